"""The frames that a policy saw at each row of a stored episode."""

import numpy as np

from xtra_tf.episodes import Episode


def segment_starts(episode: Episode) -> np.ndarray:
  """Row at which the segment of each row begins; stacks do not reach before.

  The row after a lost life's no-op begins a new segment. The no-op's own row
  shows the final observation of the segment before.

  Args:
    episode: R rows.

  Returns:
    <int64>[R].
  """
  starts = np.zeros(len(episode.real), np.int64)
  start = 0
  for row in range(len(starts)):
    starts[row] = start
    # A no-op row (real = 0) that is not the game's last closes the segment.
    if not episode.real[row]:
      start = row + 1
  return starts


def stacks_of(episode: Episode, stack: int) -> np.ndarray:
  """[R, S, *frame], oldest first; the first frame of a segment is repeated."""
  if episode.observation is None:
    raise ValueError(f'Episode {episode.number} has no observations.')
  starts = segment_starts(episode)
  rows = np.arange(len(starts))
  offsets = np.arange(-stack + 1, 1)
  index = np.maximum(rows[:, None] + offsets, starts[:, None])
  return episode.observation[index]
