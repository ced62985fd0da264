"""An episode log into a foreign format: what all formats have in common."""

import abc
import dataclasses
import os
from typing import Callable, List, Mapping, Optional, Tuple

from xtra_tf.episodes import Episode, EpisodeLog
from xtra_tf.episodes.schema import ENDS, Header
from xtra_tf.offline_data.whole_output import whole_output
from xtra_tf.runs import format_bytes
from xtra_tf.tasks import TaskSpec

_EMPTY = 'episodes without a step'


class ExportTarget(abc.ABC):
  """A data set that is being written, an episode at a time.

  Making one writes nothing; `begin` makes the folder.

  Attributes:
    not_carried: what the format cannot hold, a sentence each.
    frames: how frames are stored, in a word or two.
  """

  not_carried: Tuple[str, ...] = ()
  frames: str

  @abc.abstractmethod
  def needed_bytes(self, log: EpisodeLog) -> int:
    """A careful guess of what will be written."""

  @abc.abstractmethod
  def begin(self, folder: str) -> None:
    """Makes the folder and the descriptions in it.

    Raises:
      StorageError: it cannot be written.
    """

  @abc.abstractmethod
  def write(self, episode: Episode) -> None:
    """Appends an episode of at least one step.

    Raises:
      StorageError: it cannot be written.
    """

  @abc.abstractmethod
  def end(self) -> None:
    """Completes the files.

    Raises:
      StorageError: they cannot be written.
    """


@dataclasses.dataclass(frozen=True)
class ExportSummary:
  """What an export has written."""
  directory: str
  task: TaskSpec
  ends: Mapping[str, int]  # episodes by how they end
  rows: int
  stored_bytes: int
  frames: str
  left_out: Mapping[str, int]
  not_carried: Tuple[str, ...]


def summary_rows(summary: ExportSummary) -> List[Tuple[str, str]]:
  """The counts of an export as (what, how many), for people."""
  rows = [('Episodes', f'{sum(summary.ends.values()):,}')]
  rows += [(f'  that end {end}', f'{count:,}')
           for end, count in summary.ends.items()]
  rows += [('Rows', f'{summary.rows:,}')]
  rows += [(f'Left out: {what}', f'{count:,}')
           for what, count in summary.left_out.items() if count]
  frame = 'x'.join(map(str, summary.task.observation_shape))
  return rows + [
      ('Frames', f'{frame} {summary.task.observation_dtype}, {summary.frames}'),
      ('Size', format_bytes(summary.stored_bytes))]


def open_log(directory: str) -> EpisodeLog:
  """The episodes to export.

  Raises:
    DataFileError: it is no set of episodes, damaged, or has no step.
  """
  log = EpisodeLog(directory)
  log.require_observed_steps()
  return log


def export_dataset(log: EpisodeLog, output: str,
                   make_target: Callable[[Header, str], ExportTarget],
                   progress: Optional[Callable[[int], None]] = None
                   ) -> ExportSummary:
  """Writes all episodes of a log in a foreign format.

  Args:
    log: as of `open_log`.
    output: folder of the data set; must not exist, and appears when it is
      whole.
    make_target: one of `formats.EXPORT_FORMATS`.
    progress: called with the rows written so far.

  Returns:
    What was written.

  Raises:
    UsageError: the output exists, its name or the task does not fit the format,
      or a library is missing.
    DataFileError: a record of the log is damaged.
    StorageError: no space, no permission; the output does not appear.
  """
  output = os.path.abspath(output)
  target = make_target(log.header, os.path.basename(output))
  ends, rows, left_out = dict.fromkeys(ENDS, 0), 0, {_EMPTY: 0}
  with whole_output(output, target.needed_bytes(log)) as folder:
    target.begin(folder)
    for episode in log.episodes():
      if len(episode.real) < 2:
        left_out[_EMPTY] += 1
        continue
      target.write(episode)
      ends[episode.end] += 1
      rows += len(episode.real)
      if progress is not None:
        progress(rows)
    target.end()
    size = sum(os.path.getsize(os.path.join(parent, name))
               for parent, _, names in os.walk(folder) for name in names)
  return ExportSummary(output, log.task, ends, rows, size, target.frames,
                       left_out, target.not_carried)
