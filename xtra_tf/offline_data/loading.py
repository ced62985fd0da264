"""Fills a table from an episode log."""

from typing import (
  Callable,
  Iterator,
  Literal,
  Mapping,
  NamedTuple,
  Optional,
  Tuple,
)

import numpy as np
import psutil

from xtra_tf.episodes import Episode, EpisodeLog, episodes_ahead
from xtra_tf.errors import DataFileError, IncompatibleDataError, UsageError
from xtra_tf.replay import SegmentWriter
from xtra_tf.runs import format_bytes

# Measured on 96x96x3 Atari frames with chunks of seven rows: a table takes
# some 3.5 kB per item besides the frames, and its frames one to three times
# what the log's take, as it compresses them less.
_BYTES_PER_ITEM = 3_500
_BYTES_PER_STORED_BYTE = 2


class LoadSummary(NamedTuple):
  """What was loaded."""
  episodes: int
  steps: int  # items that were added
  kept: int  # of these, how many the table has room for
  estimated_bytes: int  # memory that the table takes


def estimate_bytes(log: EpisodeLog, max_items: Optional[int] = None) -> int:
  """Memory that a table takes for a log, to a factor of about 1.5.

  Args:
    log: the data.
    max_items: what the table can hold; all if left out.

  Returns:
    Bytes.
  """
  if not log.num_steps:
    return 0
  share = min(1., max_items / log.num_steps) if max_items else 1.
  return int(share * (_BYTES_PER_ITEM * log.num_rows
                      + _BYTES_PER_STORED_BYTE * log.stored_bytes))


class MemoryNeed(NamedTuple):
  """What a set of tables will take, and what there is; bytes."""
  needed: int
  available: int

  def __str__(self) -> str:
    return (f'needs {format_bytes(self.needed)}, has '
            f'{format_bytes(self.available)}')


def check_memory(logs: Mapping[str, EpisodeLog], max_items: int) -> MemoryNeed:
  """Whether the tables of several logs fit into memory together.

  Args:
    logs: {task: data}.
    max_items: that a table holds at most.

  Returns:
    What is to be announced before loading.

  Raises:
    UsageError: they do not fit; each task's share is named.
  """
  parts = {name: estimate_bytes(log, max_items) for name, log in logs.items()}
  need = MemoryNeed(sum(parts.values()), psutil.virtual_memory().available)
  if need.needed > need.available:
    shares = ', '.join(f'{name} {format_bytes(size)}'
                       for name, size in parts.items())
    raise UsageError(
        f'The tables do not fit into memory: {need} ({shares}). Expected more '
        f'memory, fewer tasks, or a ReplaySettings.max_size below {max_items}: '
        'a larger set then streams through a table of that many steps.')
  return need


class LogStream:
  """A log that goes through a table too small for it, over and over.

  The table drops its oldest items as new ones come.
  """

  def __init__(self, log: EpisodeLog, writer: SegmentWriter):
    """Initializes the stream; nothing is written yet.

    Args:
      log: the data; it holds at least one step.
      writer: of the task's table; it stays open.
    """
    self._log = log
    self._writer = writer
    self._episodes: Iterator[Episode] = iter(())
    self.steps = 0  # written so far, in all passes
    self._told = 0  # epochs that `new_epoch` has spoken of

  @property
  def epoch(self) -> int:
    """Passes through the log that were completed."""
    return self.steps // self._log.num_steps

  def new_epoch(self) -> bool:
    """Whether a pass was completed since this was asked last, or `seek`."""
    before, self._told = self._told, self.epoch
    return self.epoch > before

  @property
  def passes(self) -> float:
    """Passes through the log, the one that is under way included."""
    return self.steps / self._log.num_steps

  def seek(self, steps: int, keep: int) -> None:
    """Goes to where a stream is that has yet to be written to `steps`.

    `advance(steps)` then leaves the table as if all had been written, and
    writes no more than the table can hold and an episode.

    Args:
      steps: that the stream is about to be advanced to.
      keep: items that the table has room for.
    """
    ends = np.concatenate([[0], np.cumsum(self._log.episode_steps())])
    first = _written(ends, _written(ends, steps, 'left')[0] - keep, 'right')
    self.steps = first[0]
    self._told = self.epoch
    self._episodes = episodes_ahead(self._log, first[1])

  def advance(self, steps: int,
              progress: Optional[Callable[[int], None]] = None) -> None:
    """Writes whole episodes until so many steps are written in all.

    Args:
      steps: that shall have been written since the beginning; the last
        episode is not broken off.
      progress: called with the steps written so far, after each episode.

    Raises:
      DataFileError: a record is damaged.
      UnreachableError: the server does not accept data.
    """
    while self.steps < steps:
      episode = next(self._episodes, None)
      if episode is None:
        self._episodes = episodes_ahead(self._log)
        continue
      self._writer.load(episode)
      self.steps += int(episode.real.sum())
      if progress is not None:
        progress(self.steps)


def _written(ends: np.ndarray, steps: int, side: Literal['left', 'right']
             ) -> Tuple[int, int]:
  """Whole episodes of a log that is gone through over and over.

  Args:
    ends: <int64>[episodes + 1] steps before and behind each episode.
    steps: to which they come nearest.
    side: `left`: the fewest that have so many; `right`: the most that have no
      more; none at all if `steps` is below 0.

  Returns:
    Their steps in all passes, and how many episodes of the last one they are.
  """
  total = int(ends[-1])
  passes, rest = divmod(max(steps, 0), total)
  episodes = int(np.searchsorted(ends, rest, side)) - (side == 'right')
  return passes * total + int(ends[episodes]), episodes


def check_loadable(log: EpisodeLog, writer: SegmentWriter) -> int:
  """Refuses a log that a writer's table cannot take.

  Args:
    log: the data.
    writer: of the task's table.

  Returns:
    Bytes of memory that the table will take, estimated.

  Raises:
    DataFileError: the log holds no step.
    IncompatibleDataError: the log is another task's, or holds no observations.
    UsageError: the table would need more memory than there is.
  """
  if log.task.name != writer.table:
    raise IncompatibleDataError(
        f'The episode log {log.directory} is of the task {log.task.name}, '
        f'expected {writer.table}, whose table is to be filled.')
  if log.header.overlay:
    raise IncompatibleDataError(
        f'The episode log {log.directory} has no observations: it is an '
        'overlay. Expected the log that it was made for.')
  if not log.num_steps:
    raise DataFileError(log.directory, 'the log holds no step.',
                        hint='Expected at least one episode.')
  needed = estimate_bytes(log, writer.max_size)
  available = psutil.virtual_memory().available
  if needed > available:
    raise UsageError(
        f'Loading {log.directory} would take about {format_bytes(needed)} of '
        f'memory, found {format_bytes(available)}. Expected more memory, or a '
        'smaller ReplaySettings.max_size: the table then keeps the newest '
        'steps.')
  return needed


def load_log(log: EpisodeLog, writer: SegmentWriter,
             progress: Optional[Callable[[int], None]] = None) -> LoadSummary:
  """Writes all episodes of a log into a table.

  Args:
    log: the data, with an overlay where stored targets are needed.
    writer: of the task's table; it stays open.
    progress: called with the steps written so far, after each episode.

  Returns:
    What was loaded.

  Raises:
    DataFileError: a record is damaged, or the log holds no step.
    IncompatibleDataError: the log is another task's, or holds no observations.
    UsageError: the table would need more memory than there is.
    UnreachableError: the server does not accept data.
  """
  needed = check_loadable(log, writer)
  steps = 0
  for episode in episodes_ahead(log):
    writer.load(episode)
    steps += int(episode.real.sum())
    if progress is not None:
      progress(steps)
  return LoadSummary(log.num_episodes, steps, min(steps, writer.max_size),
                     needed)
