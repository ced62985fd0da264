"""Reads a log's episodes while the ones before are still being used."""

from concurrent import futures
import math
from typing import Iterator

import numpy as np

from xtra_tf.episodes.log import EpisodeLog
from xtra_tf.episodes.schema import Episode

# Of observations that are read ahead; an episode with more is read when its
# turn comes, so that not two of that size are in memory.
_MOST_BYTES = 2**28


def episodes_ahead(log: EpisodeLog, start: int = 0) -> Iterator[Episode]:
  """As `EpisodeLog.episodes`; the next one is read in a thread meanwhile.

  Checksums and decompression let other threads run, so that whoever writes the
  episodes elsewhere hardly waits for them. Errors come when it is the damaged
  episode's turn. The thread ends with the iterator, at the latest when the
  episode that it is about is read.

  Args:
    log: the data.
    start: position in the log of the first one, not its number.

  Yields:
    Episodes in order; at most two are in memory.

  Raises:
    DataFileError: as `EpisodeLog.episodes`.
  """
  source = log.episodes(start)
  episode = next(source, None)
  with futures.ThreadPoolExecutor(1, 'episodes_ahead') as thread:
    for size in _frame_bytes(log)[start + 1:]:
      assert episode is not None
      if size > _MOST_BYTES:
        yield episode
        episode = next(source)
      else:
        coming = thread.submit(next, source)
        yield episode
        episode = coming.result()
    if episode is not None:
      yield episode


def _frame_bytes(log: EpisodeLog) -> np.ndarray:
  """<int64>[episodes] about the size of each one's observations."""
  task = log.task
  frame = (math.prod(task.observation_shape)
           * np.dtype(task.observation_dtype).itemsize)
  return log.episode_steps() * frame
