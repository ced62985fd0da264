"""Writes rows into a table, as windows that share their frames."""

import collections
from typing import Callable, Deque, Dict, NamedTuple, Optional

import numpy as np
import reverb

from xtra_tf.episodes import Episode, StepRow
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.replay.priorities import sanitize_number
from xtra_tf.replay.probing import check_table, unreachable
from xtra_tf.replay.window import WindowSpec
from xtra_tf.types import SCALARS

# Rows per compressed chunk. Fewer cost memory per chunk, more make a sample
# carry rows that it does not need.
_CHUNK_LENGTH = 7
# Items that may be on their way to the server before `append` waits.
_MAX_PENDING_ITEMS = 20


class _Row(NamedTuple):
  """A row and its place."""
  row: StepRow
  episode: int
  step: int


class ReplayWriter:
  """One slot's way into a table.

  Rows belong to segments, which end with a row that has real = 0: the final
  observation, or what was seen after a life loss. A segment is padded with
  copies of its first frame in front and of its last one behind, so that each
  real row is the anchor of exactly one window and no window reaches into
  another segment. Of padding and of a row with real = 0 a window holds no
  action, reward or end.

  Not to be used by two threads.
  """

  def __init__(self, client: reverb.Client, table: str, window: WindowSpec,
               max_priority: Callable[[], float], timeout_seconds: float = 60):
    """Initializes the writer.

    Args:
      client: of the replay server.
      table: name of the table, which is the task's.
      window: the items.
      max_priority: gives the priority of new items, usually the largest one
        that the learner has set so far.
      timeout_seconds: how long the server may take to accept data.

    Raises:
      UnreachableError: the server does not answer.
      UsageError: it has no such table.
      IncompatibleDataError: the table's items are others.
    """
    self.table = table
    self.window = window
    self.max_size = check_table(client, table, window).max_size
    self._address = client.server_address
    self._max_priority = max_priority
    self._timeout_seconds = timeout_seconds
    self._writer = client.trajectory_writer(num_keep_alive_refs=window.length)
    for column in window.signature():
      self._writer.configure(
          (column,), num_keep_alive_refs=window.length,
          max_chunk_length=min(_CHUNK_LENGTH, window.length))
    # The last two rows wait: whether the older one is the segment's last real
    # row is known only when no other follows.
    self._waiting: Deque[_Row] = collections.deque()
    self._segment_rows = 0  # rows of the open segment that were appended

  def append(self, row: StepRow, episode: int, step: int) -> None:
    """Adds a row; ends the segment if the row has real = 0.

    Args:
      row: with None in columns that the source lacks.
      episode: number of its episode. Another number than before ends the
        segment, as if the data broke off there.
      step: index of the row in the episode.

    Raises:
      IncompatibleDataError: the row does not fit the window.
      UnreachableError: the server does not accept data any more.
    """
    self._check(row)
    if self._waiting and self._waiting[-1].episode != episode:
      self._break_off()
    self._waiting.append(_Row(row, episode, step))
    if not row.real:
      self._end_segment()
    elif len(self._waiting) > 2:
      self._push(self._waiting.popleft())

  def load(self, episode: Episode) -> None:
    """Adds all rows of a stored episode."""
    for step in range(len(episode.real)):
      self.append(episode.row(step), episode.number, step)

  def close(self) -> None:
    """Ends an open segment as if it broke off and waits for the server."""
    if self._waiting:
      self._break_off()
    self._writer.close()

  def _check(self, row: StepRow) -> None:
    window = self.window
    observation = np.asarray(row.observation)
    if (observation.shape != tuple(window.observation_shape)
        or observation.dtype != window.observation_dtype):
      raise IncompatibleDataError(
          f'A row for the table {self.table} has an observation of '
          f'{observation.dtype}{list(observation.shape)}, expected '
          f'{window.observation_dtype}{list(window.observation_shape)}.')
    if row.search is not None and (
        np.shape(row.search) != tuple(window.target_shape)):
      raise IncompatibleDataError(
          f'A row for the table {self.table} has a search target of shape '
          f'{list(np.shape(row.search))}, expected '
          f'{list(window.target_shape)}.')

  def _break_off(self) -> None:
    """The newest row becomes the final observation; its action is not used."""
    last = self._waiting.pop()
    self._waiting.append(last._replace(row=last.row._replace(real=False)))
    self._end_segment()

  def _end_segment(self) -> None:
    """Pushes what waits and the padding behind it, and starts anew."""
    final = self._waiting.pop()
    if self._waiting:
      before = self._waiting.pop()
      row = before.row
      if not (row.terminal or row.life_loss or row.truncated):
        row = row._replace(truncated=True)
      self._waiting.append(before._replace(row=row))
    while self._waiting:
      self._push(self._waiting.popleft())
    if self._segment_rows:
      self._push(final)
      padding = _padding(final)
      for _ in range(self.window.unroll_steps + self.window.td_steps - 1):
        self._push(padding)
      self._guarded('ending a segment', lambda timeout: (
          self._writer.end_episode(timeout_ms=timeout)))
    self._segment_rows = 0

  def _push(self, entry: _Row) -> None:
    """Appends a row and creates the item that it completes."""
    if not self._segment_rows:
      padding = _padding(entry)
      for _ in range(self.window.anchor):
        self._writer.append(self._step(padding))
    self._segment_rows += 1
    self._writer.append(self._step(entry))
    length = self.window.length
    if self._writer.episode_steps < length:
      return
    history = self._writer.history
    self._writer.create_item(
        self.table, sanitize_number(self._max_priority()),
        {column: history[column][-length:] for column in history})
    self._guarded('adding items', lambda timeout: self._writer.flush(
        block_until_num_items=_MAX_PENDING_ITEMS, timeout_ms=timeout))

  def _step(self, entry: _Row) -> Dict[str, np.ndarray]:
    """One row as the table's columns."""
    row = entry.row
    real = bool(row.real)
    scalars = {
        'reward': row.reward if real else 0.,
        'terminal': row.terminal and real,
        'truncated': row.truncated and real,
        'life_loss': row.life_loss and real, 'real': real,
        'root_value': _or_zero(row.root_value),
        'bootstrap_value': _or_zero(row.bootstrap_value),
        'has_search': row.has_search and row.search is not None}
    search = (np.zeros(self.window.target_shape) if row.search is None
              or not row.has_search else row.search)
    return {
        'observation': np.asarray(row.observation),
        'action': np.asarray(row.action if real else 0, np.int32),
        'search': np.asarray(search, np.float32),
        'scalars': np.array([scalars[name] for name in SCALARS], np.float32),
        'position': np.array([entry.episode, entry.step, row.env_step],
                             np.int64)}

  def _guarded(self, doing: str, call: Callable[[int], None]) -> None:
    """Calls with a timeout in ms; a server that is gone is the user's error."""
    try:
      call(int(1000 * self._timeout_seconds))
    except (reverb.errors.ReverbError, RuntimeError) as error:
      raise unreachable(
          self._address, self._timeout_seconds,
          f'{doing} in the table {self.table}') from error


def _padding(entry: _Row) -> _Row:
  """A row that shows the same frame and says nothing else."""
  return entry._replace(row=entry.row._replace(
      real=False, search=None, has_search=False, root_value=None,
      bootstrap_value=None))


def _or_zero(value: Optional[float]) -> float:
  return 0. if value is None else float(value)
