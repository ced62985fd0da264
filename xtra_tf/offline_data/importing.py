"""Foreign data into an episode log: what all formats have in common.

A source yields rows one by one, so that its size does not matter. They are
written under a temporary name next to the output, which appears when all of it
has been read, written, found to be whole and sealed. An import that was killed,
or met a full disk, leaves that name behind: the same import goes on behind the
last whole episode in it and ends with the same bytes as one that never stopped.
"""

import abc
import contextlib
import dataclasses
import os
from typing import (
  Any,
  Callable,
  Dict,
  Iterator,
  List,
  Mapping,
  NamedTuple,
  Optional,
  Tuple,
)

import numpy as np

from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
  write_seal,
)
from xtra_tf.episodes.schema import ENDS
from xtra_tf.errors import DataFileError, StorageError, UsageError
from xtra_tf.numerics.frame_conversion import convert_frame
from xtra_tf.offline_data.earlier_import import EarlierImport
from xtra_tf.offline_data.whole_output import whole_output
from xtra_tf.runs import format_bytes
from xtra_tf.runs.provenance import code_version, versions
from xtra_tf.tasks import TaskSpec


class ImportedRow(NamedTuple):
  """A row of an episode, and whether the episode ends with it.

  Of an episode that ends `terminal` or `truncated` the last row is the final
  observation, real = 0; of one that is `cut` it may be any.
  """
  row: StepRow
  end: Optional[str]  # one of `schema.ENDS`, or None
  done: int  # records of the source that were read so far


class ImportSource(abc.ABC):
  """Data of one task in a foreign format.

  Making one checks all that can be checked without reading the data.

  Attributes:
    path: what was given by the user, for messages.
    task: what was played, as the source shows it.
    columns: which of `OPTIONAL_COLUMNS` the rows have.
    provenance: what is known of how the data came about; plain JSON.
    num_records: what is to be read.
    unit: what a record is called.
    stored_bytes: size of the files that are read.
    left_out: {what: how many} records that are no data; complete when all rows
      have been read.
  """

  path: str
  task: TaskSpec
  columns: Tuple[str, ...]
  provenance: Mapping[str, Any]
  num_records: int
  unit: str
  stored_bytes: int
  left_out: Dict[str, int]
  notes: Tuple[str, ...] = ()

  @abc.abstractmethod
  def rows(self) -> Iterator[ImportedRow]:
    """Reads the data in order.

    Raises:
      DataFileError: a file is damaged; names the file and the record.
      IncompatibleDataError: the data are another game's.
    """


@dataclasses.dataclass(frozen=True)
class ImportSummary:
  """What an import has written."""
  directory: str
  task: TaskSpec
  ends: Mapping[str, int]  # episodes by how they end
  steps: int  # that can be learned from
  rows: int
  stored_bytes: int
  returns: np.ndarray  # <float64>[games] raw, of games that were not cut
  largest_reward: float  # largest magnitude of a raw reward
  left_out: Mapping[str, int]  # as of ImportSource
  notes: Tuple[str, ...]  # as of ImportSource


def summary_rows(summary: ImportSummary) -> List[Tuple[str, str]]:
  """The counts of an import as (what, how many), for people."""
  task = summary.task
  rows = [('Episodes', f'{sum(summary.ends.values()):,}')]
  rows += [(f'  that end {end}', f'{count:,}')
           for end, count in summary.ends.items()]
  rows += [('Steps to learn from', f'{summary.steps:,}'),
           ('Rows', f'{summary.rows:,}')]
  rows += [(f'Left out: {what}', f'{count:,}')
           for what, count in summary.left_out.items()]
  if len(summary.returns):
    low, middle, high = np.percentile(summary.returns, [25, 50, 75])
    rows.append(('Raw return of whole games (quartiles)',
                 f'{low:,.6g} / {middle:,.6g} / {high:,.6g}'))
  frame = 'x'.join(map(str, task.observation_shape))
  return rows + [
      ('Largest raw reward', f'{summary.largest_reward:,.6g}'),
      ('Frames', f'{frame} {task.observation_dtype}, {task.codec}'),
      ('Sticky actions', f'{task.sticky_actions:g}'),
      ('Size', format_bytes(summary.stored_bytes))]


def converted_task(task: TaskSpec, resolution: Optional[int],
                   grayscale: Optional[bool]) -> TaskSpec:
  """The task as its frames shall be stored.

  Args:
    task: as the source shows it.
    resolution: pixels a side; None: as they are.
    grayscale: one channel instead of RGB; None: as they are.

  Raises:
    UsageError: the frames are no pictures, or the size is impossible.
  """
  if resolution is None and grayscale is None:
    return task
  if len(task.observation_shape) != 3 or task.observation_dtype != 'uint8':
    raise UsageError(
        f'The observations of {task.name} are {task.observation_dtype}'
        f'{list(task.observation_shape)} and cannot be converted. Expected '
        'pictures, or neither --resolution nor --grayscale.')
  height, width, channels = task.observation_shape
  if resolution is not None:
    if not 8 <= resolution <= 160:
      raise UsageError(f'The resolution is {resolution}. Expected 8 to 160 '
                       'pixels a side.')
    height = width = resolution
  if grayscale is not None:
    channels = 1 if grayscale else 3
  return dataclasses.replace(task, observation_shape=(height, width, channels))


def import_dataset(source: ImportSource, output: str,
                   resolution: Optional[int] = None,
                   grayscale: Optional[bool] = None,
                   progress: Optional[Callable[[int], None]] = None
                   ) -> ImportSummary:
  """Writes an episode log with all rows of a source.

  Args:
    source: the data.
    output: folder of the log; must not exist.
    resolution: as of `converted_task`.
    grayscale: as of `converted_task`.
    progress: called with the records read so far.

  Returns:
    What was written.

  Raises:
    UsageError: the output exists, or the frames cannot be converted.
    DataFileError: a file is damaged, or there is no step in all of them.
    IncompatibleDataError: the data are another game's.
    StorageError: no space, no permission; the output does not appear, and
      the same import goes on later.
  """
  output = os.path.abspath(output)
  task = converted_task(source.task, resolution, grayscale)
  # A log takes about what the source does; half of it is a careful guess.
  with whole_output(output, source.stored_bytes // 2, goes_on=True) as data:
    summary = _write(source, task, data, progress)
    log = EpisodeLog(data)
    if not log.num_steps:
      raise DataFileError(
          source.path, 'the data set is empty: there is no step to learn '
          'from.', hint='Expected at least one episode.')
    write_seal(data)
  return dataclasses.replace(
      summary, directory=output, steps=log.num_steps, rows=log.num_rows,
      stored_bytes=log.stored_bytes, returns=log.returns())


def _write(source: ImportSource, task: TaskSpec, directory: str,
           progress: Optional[Callable[[int], None]]) -> ImportSummary:
  """Writes all rows; of the summary only the counts of this are filled in."""
  provenance: Dict[str, Any] = {
      **source.provenance, 'imported_by': {**code_version(), **versions()}}
  convert = task.observation_shape != source.task.observation_shape
  if convert:
    provenance['converted'] = {
        'from': list(source.task.observation_shape),
        'to': list(task.observation_shape)}
  earlier = EarlierImport(directory, source, task, provenance)
  writer = EpisodeLogWriter(directory, task, source.columns,
                            provenance=provenance, drop_open=True)
  largest = 0.
  ends = dict.fromkeys(ENDS, 0)
  try:
    for row, end, done in source.rows():
      largest = max(largest, abs(float(row.raw_reward)))
      if not earlier.has(row, end):
        if convert:
          row = row._replace(observation=convert_frame(
              row.observation, task.observation_shape))
        _append(writer, row, end, source.path)
      if end is not None:
        ends[end] += 1
      if progress is not None:
        progress(done)
  except BaseException:
    # What was wrong is known; that closing fails too would hide it.
    with contextlib.suppress(StorageError):
      writer.close()
    raise
  earlier.check_all_met()
  writer.close()
  return ImportSummary(
      directory=directory, task=task, ends=ends, steps=0, rows=0,
      stored_bytes=0, returns=np.zeros([0]), largest_reward=largest,
      left_out=dict(source.left_out), notes=tuple(source.notes))


def _append(writer: EpisodeLogWriter, row: StepRow, end: Optional[str],
            path: str) -> None:
  try:
    writer.append(row)
    if end is not None:
      writer.end_episode(end)
  except ValueError as error:
    raise DataFileError(
        path, f'rows of an episode do not fit each other: {error}',
        hint='Copy the data set anew.') from error
