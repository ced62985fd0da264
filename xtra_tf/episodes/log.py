"""Reads an episode log; every byte that is used has been verified."""

import copy
import hashlib
import os
from typing import (
  Any,
  Dict,
  Iterator,
  List,
  Mapping,
  NamedTuple,
  Optional,
  Sequence,
  Set,
  Tuple,
)

import numpy as np

from xtra_tf.episodes import block_index, schema, seal
from xtra_tf.episodes.block_index import BlockEntry
from xtra_tf.episodes.schema import Episode
from xtra_tf.episodes.stored_rows import read_rows
from xtra_tf.errors import DataFileError
from xtra_tf.tasks import TaskSpec


class _Stored(NamedTuple):
  """An episode as the index knows it."""
  number: int
  writer: int
  end: str
  shard: str
  records: Tuple[Tuple[int, BlockEntry], ...]  # (line of the index, entry)

  @property
  def rows(self) -> int:
    return sum(entry.rows for _, entry in self.records)

  @property
  def last_real(self) -> bool:
    return [e.last_real for _, e in self.records if e.rows][-1]

  @property
  def steps(self) -> int:
    """Real rows; a last one that a cut makes a final observation is none."""
    return sum(entry.real for _, entry in self.records) - self.last_real


class EpisodeLog:
  """The episodes of all writers of a log, in order of writer and number.

  The log is as it was when it was opened. An episode without an end counts as
  `cut`, as it will when its writer goes on.

  Attributes:
    directory: of the log.
    header: what the log says of all episodes.
    env_steps_of: {writer: environment steps that it has played}.
    open_episodes: numbers of the episodes that had no end.
    sealed: the log says which writers it has, and has them.
  """

  def __init__(self, directory: str, expected_task: Optional[TaskSpec] = None,
               allowed_differences: Sequence[str] = (),
               being_written: bool = False):
    """Reads header and index; observations are read when they are asked for.

    Args:
      directory: of the log.
      expected_task: refuse data that do not fit it.
      allowed_differences: fields of `schema.NEGOTIABLE` in which they may
        differ from it.
      being_written: its writers may be at work in other processes: what they
        have not committed yet is no damage.

    Raises:
      DataFileError: a file is missing, damaged, truncated or empty.
      IncompatibleDataError: the data are of another task, resolution or action
        set than expected.
    """
    self.directory = directory
    self.header = schema.read_header(directory)
    if expected_task is not None:
      schema.check_same_task(directory, expected_task, self.header.task,
                             allowed_differences)
    self._layout = self.header.layout()
    self._overlay: Optional['EpisodeLog'] = None
    self._env_steps = 0
    self._bytes = 0
    self._stored: List[_Stored] = []
    # Numbers of those that nobody has ended yet.
    self.open_episodes: Set[int] = set()
    self.env_steps_of: Dict[int, int] = {}
    self.sealed = seal.check_seal(directory)
    for writer, folder in schema.writer_folders(directory):
      entries = _read_writer(folder, being_written)
      if not self.header.overlay:
        _check_numbers(writer, folder, entries)
      self._stored += _group(writer, folder, entries)
      if entries and entries[-1].end is None:
        self.open_episodes.add(entries[-1].episode)
      self.env_steps_of[writer] = entries[-1].env_steps if entries else 0
      if entries:
        self._env_steps += entries[-1].env_steps
        self._bytes += block_index.committed_bytes(entries)

  @property
  def task(self) -> TaskSpec:
    """The task that was played."""
    return self.header.task

  @property
  def overlay(self) -> Optional['EpisodeLog']:
    """The log that is laid over this one, if any."""
    return self._overlay

  @property
  def columns(self) -> Tuple[str, ...]:
    """Which of `schema.OPTIONAL_COLUMNS` the episodes have."""
    overlaid = self._overlay.header.columns if self._overlay else ()
    return tuple(c for c in schema.OPTIONAL_COLUMNS
                 if c in self.header.columns or c in overlaid)

  def provenance_of(self, column: str) -> Mapping[str, Any]:
    """How a column came about: the overlay's word where it has the column."""
    overlay = self._overlay
    if overlay is not None and column in overlay.header.columns:
      return overlay.header.provenance
    return self.header.provenance

  @property
  def num_episodes(self) -> int:
    return len(self._stored)

  @property
  def num_steps(self) -> int:
    """Steps that can be learned from: rows with real = 1."""
    return sum(stored.steps for stored in self._stored)

  @property
  def num_rows(self) -> int:
    """All rows: final observations and no-ops after a life loss included."""
    return sum(stored.rows for stored in self._stored)

  @property
  def env_steps(self) -> int:
    """Environment steps that were played, the last one of a cut included."""
    return self._env_steps

  @property
  def stored_bytes(self) -> int:
    """Size of the shards."""
    return self._bytes

  def digest(self) -> str:
    """SHA-256 over what the index says of all episodes, checksums included.

    Two logs with equal digests hold the same records in the same order; it
    costs no reading of the records.
    """
    summary = hashlib.sha256()
    for stored in self._stored:
      records = [(entry.rows, entry.crc32) for _, entry in stored.records]
      summary.update(repr((stored.number, stored.end, records)).encode())
    return summary.hexdigest()

  def episode_steps(self) -> np.ndarray:
    """<int64>[episodes] steps of each that can be learned from."""
    return np.array([stored.steps for stored in self._stored], np.int64)

  def returns(self) -> np.ndarray:
    """<float64>[games] raw return of each game that was played to its end."""
    return np.array([
        sum(entry.raw_return for _, entry in stored.records)
        for stored in self._stored if stored.end != 'cut'], np.float64)

  def episodes(self, start: int = 0) -> Iterator[Episode]:
    """Reads the episodes in order.

    Args:
      start: position in the log of the first one, not its number.

    Yields:
      Episodes with all columns of the log; one at a time is in memory.

    Raises:
      DataFileError: a record is damaged, or does not fit the overlay's.
    """
    for position in range(start, len(self._stored)):
      episode = self._read(self._stored[position])
      if self._overlay is not None:
        episode = self._overlay._lay_over(episode, position)
      yield episode

  def verify(self) -> None:
    """Reads every record and checks it.

    Raises:
      DataFileError: a record is damaged, or there is no step to learn from.
    """
    for _ in self.episodes():
      pass
    if not self.num_steps:
      raise DataFileError(self.directory, 'the log holds no step.',
                          hint='Expected at least one episode.')

  def require_observed_steps(self) -> None:
    """Refuses a log that nothing can be learned from.

    Raises:
      DataFileError: it holds columns for another log's rows, or no step.
    """
    if self.header.overlay:
      raise DataFileError(
          self.directory, "these are columns for the rows of another set (a "
          "teacher's targets), without observations.",
          hint='Expected the set that they were made for.')
    if not self.num_steps:
      raise DataFileError(self.directory, 'the set holds no step.',
                          hint='Expected at least one episode.')

  def with_share(self, share: float) -> 'EpisodeLog':
    """This log with a share of its steps, in whole episodes.

    The episodes are spread evenly over the log, so that those of an early and
    of a late policy keep their shares.

    Args:
      share: more than 0, at most 1.

    Returns:
      A log with about so many steps; never with none.

    Raises:
      ValueError: the share is out of range, or an overlay is laid over this
        log: lay it over the result.
    """
    if not 0 < share <= 1 or self._overlay is not None:
      raise ValueError('Expected a share of more than 0 and at most 1 of a log '
                       f'without an overlay, got {share}.')
    kept: List[_Stored] = []
    steps, seen = 0, 0
    for stored in self._stored:
      seen += stored.steps
      if steps < share * seen:
        kept.append(stored)
        steps += stored.steps
    reduced = copy.copy(self)
    reduced._stored = kept  # pylint: disable=protected-access
    reduced._bytes = int(self._bytes * steps / max(seen, 1))
    return reduced

  def of_writer(self, writer: int, after: int = -1) -> 'EpisodeLog':
    """This log with the episodes of one writer alone; none has an overlay.

    Args:
      writer: its number.
      after: of these, those whose number is larger.
    """
    reduced = copy.copy(self)
    reduced._stored = [  # pylint: disable=protected-access
        s for s in self._stored if s.writer == writer and s.number > after]
    return reduced

  def with_overlay(self, directory: str) -> 'EpisodeLog':
    """This log with the columns of another that was made for its rows.

    Args:
      directory: of the overlay, written with `EpisodeLogWriter(overlay=True)`.

    Returns:
      A log whose episodes have the overlay's columns; where both have a
      column, the overlay's.

    Raises:
      DataFileError: the overlay is not one, or is of other episodes.
      IncompatibleDataError: it is of another task.
    """
    overlay = EpisodeLog(directory, expected_task=self.task)
    path = schema.header_path(directory)
    if not overlay.header.overlay:
      raise DataFileError(path, 'the log is no overlay.',
                          hint='Expected "overlay": true.')
    ours = [(s.number, s.rows) for s in self._stored]
    theirs = [(s.number, s.rows) for s in overlay._stored]
    if ours != theirs:
      differing = sorted(set(ours) ^ set(theirs)) or ours
      raise DataFileError(
          path, f'the overlay does not fit {self.directory}: expected '
          f'{len(ours)} episodes with {sum(r for _, r in ours)} rows, found '
          f'{len(theirs)} with {sum(r for _, r in theirs)}; the first that '
          f'differs is episode {differing[0][0]}.',
          hint='Make it anew for these data.')
    combined = copy.copy(self)
    combined._overlay = overlay  # pylint: disable=protected-access
    return combined

  def _lay_over(self, base: Episode, position: int) -> Episode:
    """`base` with the columns that this log, an overlay, has for it."""
    stored = self._stored[position]
    episode = self._read(stored)
    for name in ('action', 'real', 'env_step'):
      if not np.array_equal(getattr(base, name), getattr(episode, name)):
        raise DataFileError(
            stored.shard, f'episode {base.number} of the overlay has other '
            f'values of {name} than the log that it is laid over.',
            record=stored.records[0][0], hint='Make it anew for these data.')
    columns: Dict[str, Any] = {
        name: getattr(episode, name) for name in self.header.columns}
    if 'search' in columns:
      columns['has_search'] = episode.has_search
    return base._replace(**columns)

  def _read(self, stored: _Stored) -> Episode:
    episode = read_rows(
        stored.shard, stored.records, self._layout, self.task.num_actions,
        stored.number, stored.writer)._replace(end=stored.end)
    if episode.real[-1]:
      # Nobody saw what this action led to.
      for name in ('action', 'reward', 'raw_reward', 'terminal', 'truncated',
                   'life_loss', 'real'):
        getattr(episode, name)[-1] = 0
    return episode


def _read_writer(folder: str, being_written: bool) -> List[BlockEntry]:
  """A writer's index; what was not committed is refused, or left out."""
  index_path = os.path.join(folder, block_index.INDEX_NAME)
  shard_path = os.path.join(folder, block_index.SHARD_NAME)
  if not os.path.exists(index_path) and not os.path.exists(shard_path):
    return []  # The writer has only made its folder so far.
  entries, end = block_index.read_index(folder)
  if being_written:
    block_index.shard_size(folder, entries)
    return entries
  if os.path.getsize(index_path) > end:
    raise DataFileError(index_path, 'the last line is torn.',
                        record=len(entries), hint=block_index.REPAIR_HINT)
  size = block_index.shard_size(folder, entries)
  committed = block_index.committed_bytes(entries)
  if size > committed:
    raise DataFileError(
        index_path, f'{shard_path} goes on for {size - committed} bytes behind '
        f'the last block that a line names.', record=len(entries),
        hint=block_index.REPAIR_HINT)
  return entries


def _check_numbers(writer: int, folder: str,
                   entries: Sequence[BlockEntry]) -> None:
  """Refuses the folder of another writer."""
  for record, entry in enumerate(entries):
    whose = entry.episode // schema.EPISODES_PER_WRITER
    if whose != writer:
      raise DataFileError(
          os.path.join(folder, block_index.INDEX_NAME),
          f'episode {entry.episode} is of writer {whose}, expected {writer}: '
          'folders were exchanged.', record=record,
          hint='Copy the data set anew.')


def _group(writer: int, folder: str, entries: List[BlockEntry]
           ) -> List[_Stored]:
  """The entries of each episode; one without rows was never begun."""
  shard = os.path.join(folder, block_index.SHARD_NAME)
  grouped: Dict[int, List[Tuple[int, BlockEntry]]] = {}
  for record, entry in enumerate(entries):
    grouped.setdefault(entry.episode, []).append((record, entry))
  return [
      _Stored(number=number, writer=writer, end=lines[-1][1].end or 'cut',
              shard=shard, records=tuple(lines))
      for number, lines in grouped.items()]
