"""A table in this process that draws without replacement, by a seed."""

import collections
import threading
from typing import (
  Deque,
  Dict,
  List,
  NamedTuple,
  Optional,
  Sequence,
  Tuple,
)

import numpy as np

from xtra_tf.errors import UsageError
from xtra_tf.replay.packed_rows import PackedRow, RowCodec
from xtra_tf.replay.priorities import sanitize_array, sanitize_number
from xtra_tf.replay.priority_index import PriorityIndex
from xtra_tf.replay.row_check import check_priority
from xtra_tf.replay.segments import PriorityOfNew, SegmentWriter
from xtra_tf.replay.server import TableSpec
from xtra_tf.replay.window import WindowSpec


class Sample(NamedTuple):
  """B items of a table."""
  data: Dict[str, np.ndarray]  # {column: [B, W, ...]}
  key: np.ndarray  # <uint64>[B] number of the item, counted from 0
  probability: np.ndarray  # <float64>[B] of a first draw, P(i)
  table_size: np.ndarray  # <int64>[B] items in the table


class IndexedTable:
  """Windows of one task's rows, drawn by a seeded index.

    P(i) = p_i^alpha / sum_j p_j^alpha

  In place of a Reverb table where a batch must not hold an item twice, or must
  be the same whenever it is drawn with the same seed and priorities. The
  oldest items go first once the table is full. Rows are kept compressed, once
  for all windows that show them, and go with the last of these.

  May be used by several threads.
  """

  def __init__(self, spec: TableSpec, window: WindowSpec):
    """Makes an empty table.

    Args:
      spec: name, size and exponent; `min_size` is looked at by whoever waits.
      window: the items.
    """
    self.spec = spec
    self.window = window
    self.codec = RowCodec(window)
    self._lock = threading.Lock()
    self._index = PriorityIndex()
    self._items: List[Sequence[PackedRow]] = []  # item k in slot k % max_size
    self._count = 0  # items that were ever added

  @property
  def size(self) -> int:
    """Items in the table."""
    return len(self._items)

  def add(self, rows: Sequence[PackedRow], priority: float) -> None:
    """Adds an item of W rows; drops the oldest one if there is no room.

    Raises:
      IncompatibleDataError: the priority is negative, or not finite.
    """
    weight = (sanitize_number(check_priority(self.spec.name, priority))
              **self.spec.priority_exponent)
    with self._lock:
      slot = self._count % self.spec.max_size
      if slot == len(self._items):
        self._items.append(rows)
      else:
        self._items[slot] = rows
      self._index.put(slot, weight)
      self._count += 1

  def sample(self, count: int, seed: Sequence[int]) -> Sample:
    """Draws items, none twice.

    Args:
      count: B.
      seed: whole numbers of 0 or more. Equal seeds draw the same items from
        equal tables.

    Returns:
      The items in the order of drawing.

    Raises:
      UsageError: the table holds fewer items.
    """
    with self._lock:
      size = len(self._items)
      if count > size:
        raise UsageError(
            f'A batch takes {count} windows of {self.spec.name} without '
            f'replacement, but its table holds {size}. Expected more data, a '
            'smaller batch, or ReplaySettings.with_replacement = True.')
      slots = self._index.draw(count, np.random.default_rng(list(seed)))
      probability = self._index.weights(slots) / self._index.total
      windows = [self._items[slot] for slot in slots]
      capacity, newest = self.spec.max_size, self._count - 1
    # The newest item that its slot can hold.
    key = newest - (newest - slots) % capacity
    return Sample(self.codec.unpack(windows), key.astype(np.uint64),
                  probability, np.full([count], size, np.int64))

  def update_priorities(self, key: np.ndarray, priority: np.ndarray) -> None:
    """Gives items new priorities; those that are gone are passed over.

    Args:
      key: <uint64>[n] as sampled.
      priority: <float>[n].
    """
    weights = sanitize_array(priority)**self.spec.priority_exponent
    number = np.asarray(key, np.uint64).astype(np.int64)
    with self._lock:
      alive = ((number < self._count)
               & (number >= self._count - len(self._items)))
      self._index.set(number[alive] % self.spec.max_size, weights[alive])


class IndexedWriter(SegmentWriter):
  """One slot's way into an indexed table; see the base class."""

  def __init__(self, table: IndexedTable, priority_of_new: PriorityOfNew,
               block_length: int = 0):
    """Initializes the writer.

    Args:
      table: takes the items.
      priority_of_new: gives the priority of a new item by its place.
      block_length: real rows of a block; 0: segments are not divided.
    """
    super().__init__(table.spec.name, table.window, table.spec.max_size,
                     block_length)
    self._target = table
    self._priority_of_new = priority_of_new
    self._rows: Deque[PackedRow] = collections.deque(
        maxlen=table.window.length)
    # The frame packed last: padding repeats it.
    self._last: Optional[Tuple[np.ndarray, bytes]] = None

  def _store(self, step: Dict[str, np.ndarray]) -> None:
    frame = step['observation']
    repeated = self._last is not None and self._last[0] is frame
    row = self._target.codec.pack(
        step, self._last[1] if repeated and self._last else None)
    self._last = frame, row.observation
    self._rows.append(row)

  def _add_item(self, episode: int, step: int) -> None:
    self._target.add(tuple(self._rows), self._priority_of_new(episode, step))

  def _close_segment(self) -> None:
    self._rows.clear()
    self._last = None

  def _finish(self) -> None:
    self._rows.clear()
