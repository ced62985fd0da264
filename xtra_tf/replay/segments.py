"""From rows to windows: segments, their padding and their ends."""

import abc
import collections
from typing import Callable, Deque, Dict, NamedTuple, Optional, Tuple

import numpy as np

from xtra_tf.episodes import Episode, StepRow
from xtra_tf.replay.row_check import check_row, episode_fits
from xtra_tf.replay.window import WindowSpec
from xtra_tf.types import SCALARS

# (episode, step) of an item's anchor -> the priority that it enters with
PriorityOfNew = Callable[[int, int], float]


class _Row(NamedTuple):
  """A row and its place."""
  row: StepRow
  episode: int
  step: int


class SegmentWriter(abc.ABC):
  """One slot's way into a table, whatever the table is.

  Rows belong to segments, which end with a row that has real = 0: the final
  observation, or what was seen after a life loss. A segment is padded with
  copies of its first frame in front and of its last one behind, so that each
  real row is the anchor of exactly one window and no window reaches into
  another segment. Of padding and of a row with real = 0 a window holds no
  action, reward or end.

  With a `block_length` the rows of a segment are blocks, as the official code
  stores them, whose ends its targets treat as terminals. The last row of each
  is flagged as truncated; the rows behind it stay in the windows, so that a
  truncated row with a real one behind it is such an end and nothing else.
  Source: EfficientZero `core/game.py:84-116`, `core/selfplay_worker.py`.

  Not to be used by two threads.
  """

  def __init__(self, table: str, window: WindowSpec, max_size: int,
               block_length: int = 0):
    """Initializes the writer.

    Args:
      table: name of the table, which is the task's.
      window: the items.
      max_size: items that the table has room for.
      block_length: real rows of a block; 0: segments are not divided.
    """
    self.table = table
    self.window = window
    self.max_size = max_size
    self._block_length = block_length
    # The last two rows wait: whether the older one is the segment's last real
    # row is known only when no other follows.
    self._waiting: Deque[_Row] = collections.deque()
    self._segment_rows = 0  # rows of the open segment that were appended
    self._stored_rows = 0  # the same, with the padding
    # Episode and step of the rows of the newest window.
    self._places: Deque[Tuple[int, int]] = collections.deque(
        maxlen=window.length)
    # Earlier anchors of this episode have items already.
    self._first_item = (-1, 0)

  def append(self, row: StepRow, episode: int, step: int) -> None:
    """Adds a row; ends the segment if the row has real = 0.

    Args:
      row: with None in columns that the source lacks.
      episode: number of its episode. Another number than before ends the
        segment, as if the data broke off there.
      step: index of the row in the episode.

    Raises:
      IncompatibleDataError: the row does not fit the window.
      UnreachableError: the table does not accept data any more.
    """
    check_row(self.table, self.window, row)
    self._take(row, episode, step)

  def _take(self, row: StepRow, episode: int, step: int) -> None:
    """`append` of a row that fits."""
    if self._waiting and self._waiting[-1].episode != episode:
      self._break_off()
    self._waiting.append(_Row(row, episode, step))
    if not row.real:
      self._end_segment()
    elif len(self._waiting) > 2:
      self._push(self._waiting.popleft())

  def load(self, episode: Episode, first_step: int = 0) -> None:
    """Adds all rows of a stored episode.

    Args:
      episode: the rows.
      first_step: rows before it are no anchors of new items: the table has
        theirs.

    Raises:
      IncompatibleDataError: a row does not fit the window; those before it are
        written.
      UnreachableError: the table does not accept data any more.
    """
    self._first_item = episode.number, first_step
    if episode_fits(self.window, episode):
      for step, row in enumerate(episode.rows()):
        self._take(row, episode.number, step)
    else:  # Row by row, for the text of the error.
      for step in range(len(episode.real)):
        self.append(episode.row(step), episode.number, step)

  def close(self) -> None:
    """Ends an open segment as if it broke off."""
    if self._waiting:
      self._break_off()
    self._finish()

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
      self._close_segment()
    self._segment_rows = self._stored_rows = 0

  def _push(self, entry: _Row) -> None:
    """Appends a row and creates the item that it completes."""
    if not self._segment_rows:
      padding = _padding(entry)
      for _ in range(self.window.anchor):
        self._keep(padding)
    self._segment_rows += 1
    if self._block_length and self._segment_rows % self._block_length == 0:
      entry = _ending_a_block(entry)
    self._keep(entry)
    if self._stored_rows >= self.window.length:
      episode, step = self._places[self.window.anchor]
      if episode != self._first_item[0] or step >= self._first_item[1]:
        self._add_item(episode, step)

  def _keep(self, entry: _Row) -> None:
    self._store(self._step(entry))
    self._places.append((entry.episode, entry.step))
    self._stored_rows += 1

  @abc.abstractmethod
  def _store(self, step: Dict[str, np.ndarray]) -> None:
    """Takes the next row of the open segment, as the window's columns."""

  @abc.abstractmethod
  def _add_item(self, episode: int, step: int) -> None:
    """Makes an item of the last W rows; they are of one segment.

    Args:
      episode: of the anchor.
      step: of the anchor, in its episode.
    """

  @abc.abstractmethod
  def _close_segment(self) -> None:
    """The next row begins another segment."""

  @abc.abstractmethod
  def _finish(self) -> None:
    """No row will follow."""

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


def _padding(entry: _Row) -> _Row:
  """A row that shows the same frame and says nothing else."""
  return entry._replace(row=entry.row._replace(
      real=False, search=None, has_search=False, root_value=None,
      bootstrap_value=None))


def _ending_a_block(entry: _Row) -> _Row:
  """The row flagged truncated, unless it has an end of its own."""
  row = entry.row
  if row.terminal or row.life_loss or not row.real:
    return entry
  return entry._replace(row=row._replace(truncated=True))


def _or_zero(value: Optional[float]) -> float:
  return 0. if value is None else float(value)
