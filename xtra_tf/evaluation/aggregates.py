"""Aggregates of scores over games and training runs. NumPy only.

Legend: R training runs (seeds), G games.
"""

from typing import Callable, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Below this a band would pretend to know what nobody measured.
MINIMUM_SAMPLES = 3


class Interval(NamedTuple):
  """An estimate with a bootstrap interval."""
  estimate: float
  low: float
  high: float


def human_normalised(score: ArrayLike, random: ArrayLike,
                     human: ArrayLike) -> np.ndarray:
  """(score - random) / (human - random): 0 is random play, 1 is a human.

  Args:
    score: [...] raw scores.
    random: [...] mean raw score of random play.
    human: [...] mean raw score of a human.

  Raises:
    ValueError: human and random score are equal somewhere.
  """
  score, random, human = (np.asarray(x, np.float64)
                          for x in (score, random, human))
  if np.any(human == random):
    raise ValueError('A human score equals the random score; no scale between '
                     f'them. Found random {random}, human {human}.')
  return (score - random) / (human - random)


def improvement(score: ArrayLike, baseline: ArrayLike) -> np.ndarray:
  """score / baseline, the `improvement` of table 1 of the XTRA paper."""
  return np.asarray(score, np.float64) / np.asarray(baseline, np.float64)


def interquartile_mean(values: ArrayLike) -> float:
  """Mean of the middle half of all values.

  As scipy's `trim_mean(values, 0.25)`, which rliable uses: a quarter of the
  values, rounded down, is left out at either end.

  Args:
    values: any shape, all entries are pooled.
  """
  ordered = np.sort(np.asarray(values, np.float64), axis=None)
  cut = ordered.size // 4
  return float(np.mean(ordered[cut:ordered.size - cut]))


def bootstrap_interval(scores: ArrayLike, statistic: Callable[..., float],
                       seed: int, *, resamples: int = 2000,
                       confidence: float = 0.95) -> Interval:
  """Percentile bootstrap, stratified by game.

  Rows are drawn with replacement, for every game on its own, as there is no
  tie between run r of one game and run r of another.

  Args:
    scores: [R] or [R, G].
    statistic: array of the same shape -> number.
    seed: decides the draws; equal arguments give equal intervals.
    resamples: number of draws.
    confidence: of the interval, in (0, 1).

  Raises:
    ValueError: fewer than `MINIMUM_SAMPLES` rows.
  """
  scores = np.asarray(scores, np.float64)
  rows = scores.shape[0]
  if rows < MINIMUM_SAMPLES:
    raise ValueError(f'A bootstrap interval wants at least {MINIMUM_SAMPLES} '
                     f'rows, got {rows}. Show the single values instead.')
  random = np.random.default_rng(seed)
  draws = np.empty([resamples])
  for index in range(resamples):
    chosen = random.integers(rows, size=scores.shape)
    draws[index] = statistic(np.take_along_axis(scores, chosen, axis=0))
  tail = 100 * (1 - confidence) / 2
  low, high = np.percentile(draws, [tail, 100 - tail])
  return Interval(float(statistic(scores)), float(low), float(high))
