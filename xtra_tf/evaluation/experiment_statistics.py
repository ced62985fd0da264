"""Intervals over training runs, by rliable.

Legend: R training runs (seeds), G games, P points of a curve.

rliable (Agarwal et al. 2021, arXiv 2108.13264) resamples runs with replacement,
for every game on its own, and takes percentiles. Its argument `random_state`
has no effect on the draws, which come from NumPy's global generator; hence
`_seeded`. One NaN would make every number NaN without a word; hence `_checked`.
"""

import contextlib
from typing import Any, Callable, Dict, Iterator, NamedTuple, Tuple

import numpy as np
from numpy.typing import ArrayLike
from rliable import library, metrics

from xtra_tf.errors import UsageError
from xtra_tf.evaluation.aggregates import MINIMUM_SAMPLES, Interval

RESAMPLES = 2000
# Fixed, so that a report made again shows equal intervals.
SEED = 0
AGGREGATES: Dict[str, Callable[[np.ndarray], float]] = {
    'mean': metrics.aggregate_mean,
    'median': metrics.aggregate_median,
    'iqm': metrics.aggregate_iqm,
    'optimality_gap': metrics.aggregate_optimality_gap}


class Draws(NamedTuple):
  """How resamples are drawn."""
  seed: int = SEED
  resamples: int = RESAMPLES


DRAWS = Draws()


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
  """Seeds NumPy's global generator, and puts its old state back."""
  # The one that rliable draws from.
  state = np.random.get_state()  # noqa: NPY002
  np.random.seed(seed)  # noqa: NPY002
  try:
    yield
  finally:
    np.random.set_state(state)  # noqa: NPY002


def _checked(what: str, scores: ArrayLike) -> np.ndarray:
  """Scores of all runs in all games, complete and finite: [R, G, ...]."""
  try:
    array = np.asarray(scores, np.float64)
  except (TypeError, ValueError) as error:
    raise UsageError(
        f'The scores of {what} are no full table: {error}. Expected as many '
        'runs in each game, each with a score.') from error
  if array.ndim < 2:
    raise UsageError(f'The scores of {what} have the shape '
                     f'{list(array.shape)}. Expected runs x games.')
  if array.shape[0] < MINIMUM_SAMPLES:
    raise UsageError(
        f'There are {array.shape[0]} runs of {what}. Expected at least '
        f'{MINIMUM_SAMPLES} for an interval; show the single runs instead.')
  if not array.size:
    raise UsageError(f'There is no score of {what}.')
  bad = np.argwhere(~np.isfinite(array))
  if len(bad):
    where = ', '.join(f'run {run}, game {game}'
                      for run, game in bad[:5, :2].tolist())
    raise UsageError(
        f'{len(bad)} of the scores of {what} are not finite ({where}). '
        'Expected a number from each run; leave the run out by name.')
  # Each game's runs are resampled on their own, so that their order says
  # nothing; sorted, it changes nothing either, not even the draws.
  return np.sort(array, axis=0)


def _estimate(scores: Any, function: Callable[..., np.ndarray],
              draws: Draws) -> Tuple[np.ndarray, np.ndarray]:
  with _seeded(draws.seed):
    points, intervals = library.get_interval_estimates(
        {'': scores}, function, reps=draws.resamples)
  return points[''], intervals['']


def _intervals(points: np.ndarray, bounds: np.ndarray) -> Tuple[Interval, ...]:
  return tuple(Interval(float(p), float(low), float(high))
               for p, low, high in zip(points, *bounds))


def aggregate_intervals(what: str, scores: ArrayLike, draws: Draws = DRAWS
                        ) -> Dict[str, Interval]:
  """Mean, median, IQM and optimality gap of normalised scores.

  Args:
    what: whose scores, for errors.
    scores: [R, G].
    draws: of the bootstrap.

  Returns:
    {name of `AGGREGATES`: interval}. Mean and median are over games, of means
    over runs; the IQM is over all runs and games.

  Raises:
    UsageError: fewer than `MINIMUM_SAMPLES` runs, a missing run, a score that
      is not finite.
  """
  points, bounds = _estimate(
      _checked(what, scores),
      lambda x: np.array([f(x) for f in AGGREGATES.values()]), draws)
  return dict(zip(AGGREGATES, _intervals(points, bounds)))


def mean_interval(what: str, scores: ArrayLike, draws: Draws = DRAWS
                  ) -> Interval:
  """Mean over runs of one game.

  Args:
    what: whose scores, for errors.
    scores: [R].
    draws: of the bootstrap.

  Raises:
    UsageError: as `aggregate_intervals`.
  """
  return curve_intervals(what, np.reshape(scores, [-1, 1]), draws)[0]


def curve_intervals(what: str, curves: ArrayLike, draws: Draws = DRAWS
                    ) -> Tuple[Interval, ...]:
  """Mean over runs at each point of a curve, each point on its own.

  Args:
    what: whose curves, for errors.
    curves: [R, P].
    draws: of the bootstrap.

  Raises:
    UsageError: as `aggregate_intervals`.
  """
  scores = _checked(what, curves)[:, None, :]  # one game
  return _intervals(*_estimate(scores, lambda x: x.mean(axis=(0, 1)), draws))


def difference_interval(what: str, first: ArrayLike, second: ArrayLike,
                        draws: Draws = DRAWS) -> Interval:
  """Mean of `first` minus mean of `second`, both resampled.

  Args:
    what: who is compared, for errors.
    first: [R1] scores in one game.
    second: [R2].
    draws: of the bootstrap.

  Raises:
    UsageError: as `aggregate_intervals`.
  """
  pair = [_checked(what, np.reshape(x, [-1, 1])) for x in (first, second)]
  return _intervals(*_estimate(
      pair, lambda x, y: np.array([x.mean() - y.mean()]), draws))[0]


def improvement(scores: ArrayLike, baseline: ArrayLike) -> np.ndarray:
  """Mean over runs, divided by the baseline's: the paper's improvement, [G].

  Args:
    scores: [R1, G].
    baseline: [R2, G], of positive means.
  """
  scores, baseline = (np.asarray(x, np.float64) for x in (scores, baseline))
  return scores.mean(axis=0) / baseline.mean(axis=0)


def improvement_intervals(what: str, scores: ArrayLike, baseline: ArrayLike,
                          draws: Draws = DRAWS) -> Tuple[Interval, Interval]:
  """Mean and median over games of `improvement`, both methods resampled.

  Args:
    what: who is compared, for errors.
    scores: [R1, G].
    baseline: [R2, G], of positive means.
    draws: of the bootstrap.

  Raises:
    UsageError: as `aggregate_intervals`, or a mean of the baseline is not
      positive, so that a ratio says nothing.
  """
  pair = [_checked(what, x) for x in (scores, baseline)]
  if np.any(pair[1].mean(axis=0) <= 0):
    raise UsageError(
        f'No improvement of {what}: the baseline has a mean score of 0 or '
        f'below in a game. Found means {pair[1].mean(axis=0).tolist()}.')

  def ratios(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # A resample of a few runs, some of them at 0, may have a mean of 0.
    with np.errstate(divide='ignore', invalid='ignore'):
      values = improvement(x, y)
    return np.array([np.mean(values), np.median(values)])

  mean, median = _intervals(*_estimate(pair, ratios, draws))
  return mean, median


def probability_of_improvement(what: str, first: ArrayLike, second: ArrayLike,
                               draws: Draws = DRAWS) -> Interval:
  """How likely a run of `first` beats one of `second`, mean over games.

  Ties count one half (rliable's Mann-Whitney U).

  Args:
    what: who is compared, for errors.
    first: [R1, G].
    second: [R2, G].
    draws: of the bootstrap.

  Raises:
    UsageError: as `aggregate_intervals`.
  """
  pair = [_checked(what, x) for x in (first, second)]
  points, bounds = _estimate(
      pair, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
      draws)
  return _intervals(points, bounds)[0]
