"""The learner's own word on the priorities of all items, by position.

A server cannot be asked for its priorities, gives items that are loaded again
other keys, and forgets both when it dies.
"""

import contextlib
from typing import Dict, Iterator, List, Mapping, Sequence

import numpy as np

from xtra_tf.errors import CheckpointError

_FIRST_STEPS = 64
_ARRAYS = ('episode', 'steps', 'priority')


class PriorityLedger:
  """Priorities of T tasks' items, and the largest that task 0 was given.

  New data of the played task enter its table with the largest priority so far,
  so that each is soon looked at. The official code takes the maximum over the
  buffer's present priorities (core/replay_buffer.py); the running maximum
  stands for it here. Items of the other tasks enter with 1.

  Attributes:
    maximum: largest priority that an item of task 0 was given; 1 at first.
  """

  def __init__(self, tasks: Sequence[str]):
    """Begins an empty ledger.

    Args:
      tasks: names in the order of the run's tasks.
    """
    self.maximum = 1.
    self._tasks = list(tasks)
    # {episode: <float32>[steps]}, NaN where there is no item.
    self._known: List[Dict[int, np.ndarray]] = [{} for _ in tasks]
    self._restoring = False

  @contextlib.contextmanager
  def restoring(self) -> Iterator[None]:
    """Items that are added now had a priority before, and get it back."""
    self._restoring = True
    try:
      yield
    finally:
      self._restoring = False

  def of_new(self, task: str, episode: int, step: int) -> float:
    """The priority with which an item enters its table.

    Args:
      task: its name.
      episode: of the item's anchor.
      step: of the anchor, 0 or more.

    Returns:
      What it had, while restoring; else the largest, or 1 for other tasks.
    """
    index = self._tasks.index(task)
    row = self._room(index, episode, step)
    if not self._restoring or np.isnan(row[step]):
      row[step] = self.maximum if index == 0 else 1.
    return float(row[step])

  def update(self, task: np.ndarray, position: np.ndarray,
             priority: np.ndarray) -> None:
    """Takes note of a batch's new priorities.

    Args:
      task: <int>[B] indices.
      position: <int64>[B, 2] episode and step of the anchors.
      priority: <float32>[B].
    """
    for index, (episode, step), value in zip(task, position, priority):
      self._room(int(index), int(episode), int(step))[step] = value
    played = priority[(task == 0) & np.isfinite(priority)]
    if played.size:
      self.maximum = max(self.maximum, float(played.max()))

  def to_arrays(self) -> Dict[str, np.ndarray]:
    """What `from_arrays` takes."""
    arrays = {}
    for index, known in enumerate(self._known):
      arrays[f'episode/{index}'] = np.array(list(known), np.int64)
      arrays[f'steps/{index}'] = np.array(
          [len(row) for row in known.values()], np.int64)
      arrays[f'priority/{index}'] = np.concatenate(
          [*known.values(), np.zeros([0], np.float32)])
    return arrays

  def take_arrays(self, arrays: Mapping[str, np.ndarray],
                  maximum: float) -> None:
    """Goes on from what `to_arrays` gave.

    Args:
      arrays: as saved; none: an older save, which knew no priorities.
      maximum: largest priority.

    Raises:
      CheckpointError: the arrays are of other tasks, or do not fit each other.
    """
    self.maximum = maximum
    if not arrays:
      return
    expected = {f'{name}/{i}' for name in _ARRAYS
                for i in range(len(self._tasks))}
    if set(arrays) != expected:
      raise CheckpointError(
          f'The saved priorities are {sorted(arrays)}. Expected those of '
          f'{len(self._tasks)} tasks: {sorted(expected)}.')
    for index in range(len(self._tasks)):
      episode, steps, priority = (arrays[f'{name}/{index}'] for name in _ARRAYS)
      if len(episode) != len(steps) or int(steps.sum()) != len(priority):
        raise CheckpointError(
            f'The saved priorities of {self._tasks[index]} do not fit: found '
            f'{len(episode)} episodes, {len(steps)} lengths of '
            f'{int(steps.sum())} steps in all, and {len(priority)} priorities.')
      rows = np.split(priority.astype(np.float32), np.cumsum(steps)[:-1])
      self._known[index] = dict(zip(episode.tolist(), rows))

  def _room(self, index: int, episode: int, step: int) -> np.ndarray:
    """The row of an episode, long enough for a step."""
    known = self._known[index]
    row = known.get(episode)
    if row is None or len(row) <= step:
      longer = np.full([max(_FIRST_STEPS, 2 * step)], np.nan, np.float32)
      if row is not None:
        longer[:len(row)] = row
      known[episode] = row = longer
    return row
