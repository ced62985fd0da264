"""How old the rows are that a learner learns from."""

import bisect
from typing import Dict, List, Sequence

import numpy as np

from xtra_tf.types import SampleInfo


class _Ages:
  """Mean and maximum of a number of rows."""

  def __init__(self) -> None:
    self.total, self.count, self.maximum = 0., 0, 0.

  def add(self, ages: np.ndarray) -> None:
    if ages.size:
      self.total += float(ages.sum())
      self.count += ages.size
      self.maximum = max(self.maximum, float(ages.max()))


class SampleStaleness:
  """Ages of the played task's rows when they are learned from.

    age = environment steps of the task by now - those when a row was taken
    policy age = updates by now - updates behind the weights that were the
      newest when the row was taken

  Collectors in other processes take new weights a moment after they were
  published (`search/weights_behind`), so that there the true policy age is that
  much more. Reanalyzers, too, have weights that are some updates behind
  (`targets/weights_behind`). Rows of a warm-up at random count as played by the
  first weights, and rows from before anything is known have no policy age.
  """

  def __init__(self, published: Sequence[Sequence[int]] = ()):
    """Begins, or goes on from what was `published` before.

    Args:
      published: (environment steps, updates) whenever weights went to whoever
        plays, oldest first.
    """
    self._env_steps: List[int] = [int(pair[0]) for pair in published]
    self._updates: List[int] = [int(pair[1]) for pair in published]
    self._ages: Dict[str, _Ages] = {}

  @property
  def published(self) -> List[List[int]]:
    """All that was published; JSON-able, for the constructor."""
    return [list(pair) for pair in zip(self._env_steps, self._updates)]

  def publish(self, env_steps: int, updates: int) -> None:
    """Weights of so many updates go to whoever plays.

    Args:
      env_steps: of the task by now.
      updates: by now.
    """
    # Nothing was played with what the same number of steps had before, and a
    # collector that was killed has lost steps.
    first = bisect.bisect_left(self._env_steps, env_steps)
    del self._env_steps[first:], self._updates[first:]
    self._env_steps.append(env_steps)
    self._updates.append(updates)

  def observe(self, updates: int, env_steps: int,
              batch: Sequence[SampleInfo]) -> None:
    """Takes note of an update's rows.

    Args:
      updates: made before this one.
      env_steps: of the played task, which has the index 0.
      batch: of each replica.
    """
    for rows in batch:
      taken_at = np.asarray(rows.taken_at)[np.asarray(rows.task) == 0]
      # A collector elsewhere is ahead of what it has told.
      self._add('replay/age', np.maximum(env_steps - taken_at, 0))
      newest = np.searchsorted(self._env_steps, taken_at, side='right') - 1
      known = newest[newest >= 0]
      self._add('replay/policy_age',
                updates - np.asarray(self._updates, np.int64)[known])
      if len(rows.targets_step):
        self._add('targets/weights_behind',
                  updates - np.asarray(rows.targets_step))

  def take(self) -> Dict[str, float]:
    """{tag: mean or maximum} since the last call; none without rows."""
    found: Dict[str, float] = {}
    for name, ages in self._ages.items():
      if ages.count:
        found[f'{name}_mean'] = ages.total / ages.count
        found[f'{name}_max'] = ages.maximum
    self._ages = {}
    return found

  def _add(self, name: str, ages: np.ndarray) -> None:
    self._ages.setdefault(name, _Ages()).add(ages)
