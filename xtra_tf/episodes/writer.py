"""Writes one writer's part of an episode log, so that a kill loses little."""

import contextlib
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from xtra_tf.episodes import block_index, blocks, schema
from xtra_tf.episodes.block_index import BlockEntry
from xtra_tf.episodes.schema import StepRow
from xtra_tf.episodes.stored_rows import read_rows
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.tasks import TaskSpec

# Kinds of NumPy types that a column takes without changing a value.
_KINDS = {'f': 'fiu', 'i': 'iu', 'b': 'b', 'u': 'u'}


class EpisodeLogWriter:
  """Appends rows to a log; a block of them is committed at a time.

  A block is written and synced before its index line is. What has no line was
  never written: reopening drops it, ends an open episode as `cut` and goes on
  with the next one. Several writers may share a folder, each with a number of
  its own; one writer number belongs to one process at a time.
  """

  def __init__(self, directory: str, task: TaskSpec, columns: Sequence[str],
               writer: int = 0, provenance: Optional[Mapping[str, Any]] = None,
               block_steps: int = 200, overlay: bool = False,
               drop_open: bool = False, keep_open: bool = False,
               first_lines: Optional[int] = None):
    """Begins a log or goes on with one.

    Args:
      directory: of the log; `<directory>/<writer>/` is this writer's.
      task: that is played.
      columns: which of `schema.OPTIONAL_COLUMNS` to store. A row must have a
        value in these; what it has in others is not asked for.
      writer: number of this writer.
      provenance: how the data come about, any JSON; kept from the first time.
      block_steps: rows of a block at most.
      overlay: the log holds columns for the rows of another log; rows have no
        observation, and `begin_episode` names the other log's episode.
      drop_open: an episode that an earlier session left open is taken back
        instead of ended as `cut`; for data that can be made again.
      keep_open: such an episode stays open, and the next row belongs to it; so
        does the one that is open when this writer is closed.
      first_lines: blocks behind so many are taken back, for data that are made
        again in the same way; see `lines`.

    Raises:
      IncompatibleDataError: the folder holds a log of another task or columns.
      DataFileError: the log is damaged, beyond what a kill leaves behind.
      StorageError: the folder cannot be written.
    """
    if not 0 <= writer < 2**31 or block_steps < 1:
      raise ValueError(f'Expected 0 <= writer < 2^31 and block_steps >= 1, got '
                       f'{writer} and {block_steps}.')
    header = schema.Header(task, tuple(columns), overlay, provenance or {})
    if os.path.exists(schema.header_path(directory)):
      found = schema.read_header(directory)
      schema.check_same_task(directory, task, found.task)
      schema.check_columns(
          directory, _column_names(header), _column_names(found))
    else:
      schema.write_header(directory, header)
    self._task = task
    self._layout = header.layout()
    self._overlay = overlay
    self._keep_open = keep_open
    self._writer = writer
    self._block_steps = min(block_steps, blocks.most_rows(self._layout))
    self._folder = os.path.join(directory, str(writer))
    self._rows: List[StepRow] = []
    self._number: Optional[int] = None  # set by begin_episode
    self._previous: Optional[StepRow] = None  # of the open episode
    self._complete = False  # the open episode has its final observation
    self._ended_by: Optional[str] = None  # flag seen in the open episode
    try:
      self._open(drop_open, first_lines)
    except OSError as error:
      raise schema.storage_error(self._folder, error) from error
    if self._last is not None and self._last.end is None:
      if keep_open:
        self._go_on()
      else:
        self._commit('cut')

  @property
  def lines(self) -> int:
    """Blocks committed by this writer, ever."""
    return self._lines

  @property
  def env_steps(self) -> int:
    """Real environment steps committed by this writer, ever."""
    return self._last.env_steps if self._last else 0

  @property
  def next_episode(self) -> int:
    """Number of the episode that the next row belongs to."""
    if self._number is not None:
      return self._number
    if self._last is None:
      return self._writer * schema.EPISODES_PER_WRITER
    return self._last.episode + (self._last.end is not None)

  def begin_episode(self, number: int) -> None:
    """Names the next episode; without it episodes are counted.

    Raises:
      ValueError: an episode is open, or the number is not above the last one.
    """
    if self._is_open():
      raise ValueError(f'Episode {self.next_episode} has not ended yet.')
    if self._last is not None and number <= self._last.episode:
      raise ValueError(f'Expected an episode number above '
                       f'{self._last.episode}, got {number}.')
    self._number = number

  def append(self, row: StepRow) -> None:
    """Adds a row to the open episode, or begins one with it.

    Raises:
      IncompatibleDataError: a value does not fit the task.
      ValueError: the row cannot follow the one before it, or lacks a column.
      StorageError: the disk is full; the row is kept for another attempt.
    """
    self._check_order(row)
    row = self._checked(row)
    self._note(row)
    self._rows.append(row)
    if len(self._rows) >= self._block_steps:
      self._commit(None)

  def end_episode(self, kind: str) -> None:
    """Ends and commits the open episode.

    Args:
      kind: `terminal` or `truncated`, if the last rows say so and the final
        observation was appended; `cut` in any state: the last row becomes the
        final observation, its action is not used.

    Raises:
      ValueError: the rows do not end in this way.
    """
    if kind not in schema.ENDS:
      raise ValueError(f'Unknown end {kind!r} of an episode. Expected one of '
                       f'{", ".join(schema.ENDS)}.')
    if not self._is_open():
      raise ValueError('No episode is open.')
    if kind != 'cut' and not (self._complete and self._ended_by == kind):
      raise ValueError(
          f'Episode {self.next_episode} cannot end as {kind}: expected a row '
          f'flagged {kind} and then the final observation, found the flag '
          f'{self._ended_by} and a last row with real = '
          f'{int(self._previous.real) if self._previous else "?"}.')
    self._commit(kind)

  def flush(self) -> None:
    """Commits the rows so far; an open episode stays open.

    Raises:
      StorageError: the disk is full; the rows are kept for another attempt.
    """
    if self._rows:
      self._commit(None)

  def close(self) -> None:
    """Commits everything; an open episode ends as `cut`, unless it is kept."""
    if self._index.closed:
      return
    try:
      if self._keep_open:
        self.flush()
      elif self._is_open():
        self._commit('cut')
    finally:
      self._index.close()
      self._shard.close()

  def _is_open(self) -> bool:
    return bool(self._rows) or (
        self._last is not None and self._last.end is None)

  def _note(self, row: StepRow) -> None:
    """Keeps what may follow the row."""
    last_of_game = (self._previous is None or not self._previous.life_loss
                    or self._previous.terminal or self._previous.truncated)
    if row.terminal or row.truncated:
      self._ended_by = 'terminal' if row.terminal else 'truncated'
      last_of_game = True
    self._complete = bool(not row.real and last_of_game)
    self._previous = row

  def _check_order(self, row: StepRow) -> None:
    before = self._previous
    if self._complete:
      raise ValueError(f'Episode {self.next_episode} has its final observation '
                       'already. Expected end_episode.')
    if before is not None and row.real and before.real and (
        before.terminal or before.truncated or before.life_loss):
      raise ValueError(
          'A row with real = 0 must follow a terminal, a truncation and a life '
          f'loss, got one with real = 1 in episode {self.next_episode}.')

  def _checked(self, row: StepRow) -> StepRow:
    """A copy of the row that fits the layout, whatever becomes of the frame."""
    values: Dict[str, Any] = {}
    for name, (dtype, shape) in self._layout.items():
      value = getattr(row, name)
      if value is None:
        raise ValueError(f'The column {name} was declared, but a row has no '
                         'value in it.')
      array = np.asarray(value)
      exact = name == 'observation'
      if array.shape != shape or (
          array.dtype != dtype if exact else array.dtype.kind not in
          _KINDS[dtype.kind]):
        raise IncompatibleDataError(
            f'The {name} of a row for {self._folder} is {array.dtype}'
            f'{list(array.shape)}, expected {dtype}{list(shape)} for the task '
            f'{self._task.name}.')
      # NumPy would wrap or round what does not fit.
      if dtype.kind == 'f' and not np.isfinite(array).all():
        raise IncompatibleDataError(
            f'The {name} of a row for {self._folder} is not finite: {value}.')
      values[name] = array.astype(dtype)
    if not 0 <= row.action < self._task.num_actions:
      raise IncompatibleDataError(
          f'The action {row.action} of a row for {self._folder} is not one of '
          f'0..{self._task.num_actions - 1} of the task {self._task.name}.')
    return row._replace(**values)

  def _go_on(self) -> None:
    """Goes on in the episode that an earlier session left open."""
    episode = self.read_open_episode()
    if episode is not None:
      for index in range(len(episode.real)):
        self._note(episode.row(index))
      if self._complete and self._ended_by:
        self._commit(self._ended_by)  # only the word of its end was missing

  def read_open_episode(self) -> Optional[schema.Episode]:
    """The committed rows of the open episode, as they were written.

    Returns:
      None if no episode is open, or none of its rows is committed. Unlike an
      episode of an `EpisodeLog` it may end with a real row.

    Raises:
      DataFileError: a record is damaged.
    """
    if self._last is None or self._last.end is not None:
      return None
    entries, _ = block_index.read_index(self._folder)
    lines = [(line, entry) for line, entry in enumerate(entries)
             if entry.episode == self._last.episode and entry.rows]
    if not lines:
      return None
    return read_rows(
        os.path.join(self._folder, block_index.SHARD_NAME), lines, self._layout,
        self._task.num_actions, self._last.episode, self._writer)

  def _open(self, drop_open: bool, first_lines: Optional[int]) -> None:
    """Opens both files behind the last committed block."""
    os.makedirs(self._folder, exist_ok=True)
    index_path = os.path.join(self._folder, block_index.INDEX_NAME)
    shard_path = os.path.join(self._folder, block_index.SHARD_NAME)
    if not os.path.exists(index_path) and not os.path.exists(shard_path):
      _create(index_path)
    entries, self._index_bytes = block_index.read_index(self._folder)
    size = block_index.shard_size(self._folder, entries)
    if not os.path.exists(shard_path):
      _create(shard_path)
    committed = block_index.committed_bytes(entries)
    self._index = open(index_path, 'r+b', buffering=0)
    self._shard = open(shard_path, 'r+b', buffering=0)
    # A kill leaves at most the block that was being written.
    if blocks.whole_records(self._shard, committed, size) > 1:
      raise DataFileError(
          index_path, f'{shard_path} has several blocks that no line names: '
          'lines were lost.', record=len(entries),
          hint='Copy the data set anew.')
    if drop_open:
      while entries and entries[-1].end is None:
        entries.pop()
    if first_lines is not None:
      entries = entries[:first_lines]
    self._index_bytes = block_index.lines_bytes(self._folder, len(entries))
    committed = block_index.committed_bytes(entries)
    self._lines = len(entries)
    self._index.truncate(self._index_bytes)
    self._shard.truncate(committed)
    schema.sync_directory(self._folder)
    self._last = entries[-1] if entries else None

  def _commit(self, end: Optional[str]) -> None:
    """Writes the open rows as a block, then its line."""
    rows, last = self._rows, self._last
    record = blocks.encode_block(
        self.next_episode, rows, self._layout,
        f'{os.getpid()}-{id(self)}') if rows else b''
    real = sum(int(row.real) for row in rows)
    entry = BlockEntry(
        episode=self.next_episode, rows=len(rows), real=real,
        last_real=bool(rows and rows[-1].real),
        raw_return=float(sum(float(row.raw_reward) for row in rows)),
        offset=last.offset + last.length if last else 0, length=len(record),
        crc32=block_index.checksum(record), env_steps=self.env_steps + real,
        end=end)
    line = block_index.encode_line(entry)
    try:
      _write_at(self._shard, entry.offset, record)
      _write_at(self._index, self._index_bytes, line)
    except OSError as error:
      # A reader would take the half of a block for damage.
      for file, end_of_committed in ((self._index, self._index_bytes),
                                     (self._shard, entry.offset)):
        with contextlib.suppress(OSError):
          file.truncate(end_of_committed)
      raise schema.storage_error(
          self._folder, error, len(record) + len(line)) from error
    self._index_bytes += len(line)
    self._lines += 1
    self._last = entry
    self._rows = []
    if end is not None:
      self._number = None
      self._previous, self._complete, self._ended_by = None, False, None


def _column_names(header: schema.Header) -> List[str]:
  return list(header.layout())


def _create(path: str) -> None:
  with open(path, 'xb') as file:
    os.fsync(file.fileno())


def _write_at(file: Any, offset: int, content: bytes) -> None:
  """Writes and syncs; what a failed attempt left behind is dropped first."""
  file.truncate(offset)
  file.seek(offset)
  rest = memoryview(content)
  while rest:
    rest = rest[file.write(rest):]
  os.fsync(file.fileno())
