"""The tables of a stage, one per task: sampled by Reverb, or by an index."""

import abc
from typing import Dict, Optional, Sequence

import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError, UserError
from xtra_tf.replay.batches import Extras
from xtra_tf.replay.composition import Composition
from xtra_tf.replay.dataset import make_dataset
from xtra_tf.replay.indexed_dataset import make_indexed_dataset
from xtra_tf.replay.indexed_table import IndexedTable, IndexedWriter
from xtra_tf.replay.priorities import update_priorities
from xtra_tf.replay.segments import PriorityOfNew, SegmentWriter
from xtra_tf.replay.server import ReplayServer, TableSpec
from xtra_tf.replay.window import WindowSpec
from xtra_tf.replay.writer import ReplayWriter
from xtra_tf.types import SampleInfo


class ReplayTables(abc.ABC):
  """What a stage asks of its tables."""

  def __init__(self, specs: Sequence[TableSpec], window: WindowSpec,
               block_length: int = 0):
    """Keeps what both kinds have.

    Args:
      specs: one per task, in the order of the run's tasks.
      window: the items of all tables.
      block_length: see SegmentWriter.
    """
    self.names = [spec.name for spec in specs]
    self._window = window
    self._block_length = block_length

  @abc.abstractmethod
  def writer(self, name: str, priority_of_new: PriorityOfNew
             ) -> SegmentWriter:
    """A new writer of a table; see `SegmentWriter` for the priority."""

  @abc.abstractmethod
  def sizes(self) -> Dict[str, int]:
    """{table: items}, in the order in which the tables were given."""

  @abc.abstractmethod
  def least_items(self, name: str, rows: int) -> int:
    """Items that a table must hold before `rows` can be drawn from it."""

  @abc.abstractmethod
  def dataset(self, composition: Composition, extras: Extras,
              first_batch: int) -> tf.data.Dataset:
    """Batches; see `make_dataset` and `make_indexed_dataset`."""

  @abc.abstractmethod
  def update_priorities(self, info: SampleInfo, priority: tf.Tensor) -> None:
    """Gives the rows of a batch new priorities; may be in a tf.function."""

  @property
  def failure(self) -> Optional[UserError]:
    """Why the data set broke off, if a server is to blame."""
    return None

  @abc.abstractmethod
  def stop(self) -> None:
    """Lets go of what the tables hold."""

  def check_serves(self, name: str, rows: int) -> None:
    """Refuses a table that will get no more data and holds too few.

    Args:
      name: of the table.
      rows: that a batch takes of it.

    Raises:
      UsageError: naming both numbers.
    """
    size, needed = self.sizes()[name], self.least_items(name, rows)
    if size < needed:
      raise UsageError(
          f'A batch takes {rows} windows of {name}, whose table holds {size}. '
          f'Expected at least {needed}: more data, a smaller batch, or '
          'ReplaySettings.with_replacement = True.')


class ReverbTables(ReplayTables):
  """Tables of an embedded Reverb server; a batch may hold an item twice."""

  def __init__(self, specs: Sequence[TableSpec], window: WindowSpec,
               block_length: int = 0, server: Optional[ReplayServer] = None):
    """Starts the server, unless one with these tables is given; see above."""
    super().__init__(specs, window, block_length)
    self._specs = {spec.name: spec for spec in specs}
    self.server = server or ReplayServer(specs, window)
    # As eager operations they would be many tensors in Python's hands: on 3.11
    # TensorFlow loses 48 bytes of each.
    self._update = tf.function(
        lambda info, priority: update_priorities(
            self.server.tf_client(), self.names, info, priority),
        autograph=False)

  def writer(self, name: str, priority_of_new: PriorityOfNew
             ) -> SegmentWriter:
    """See the base class."""
    return ReplayWriter(
        self.server.client(), name, self._window, priority_of_new,
        block_length=self._block_length)

  def sizes(self) -> Dict[str, int]:
    """See the base class."""
    return self.server.sizes()

  def least_items(self, name: str, rows: int) -> int:
    """See the base class."""
    return self._specs[name].min_size

  def dataset(self, composition: Composition, extras: Extras,
              first_batch: int) -> tf.data.Dataset:
    """See the base class."""
    return make_dataset(self.server.address, self.names, composition,
                        self._window, extras, first_batch=first_batch)

  def update_priorities(self, info: SampleInfo, priority: tf.Tensor) -> None:
    """See the base class."""
    self._update(info, priority)

  def stop(self) -> None:
    """See the base class."""
    self.server.stop()


class IndexedTables(ReplayTables):
  """Tables in this process; no item twice in a sub-batch, drawn by a seed."""

  def __init__(self, specs: Sequence[TableSpec], window: WindowSpec,
               block_length: int = 0, seed: int = 0, prefetch: int = 1):
    """Makes empty tables.

    Args:
      specs: see the base class.
      window: see the base class.
      block_length: see the base class.
      seed: of all draws, 0 or more.
      prefetch: batches drawn ahead; 0 for runs that can be repeated.
    """
    super().__init__(specs, window, block_length)
    self.tables = [IndexedTable(spec, window) for spec in specs]
    self._seed = seed
    self._prefetch = prefetch

  def writer(self, name: str, priority_of_new: PriorityOfNew
             ) -> SegmentWriter:
    """See the base class."""
    return IndexedWriter(self.tables[self.names.index(name)], priority_of_new,
                         block_length=self._block_length)

  def sizes(self) -> Dict[str, int]:
    """See the base class."""
    return {table.spec.name: table.size for table in self.tables}

  def least_items(self, name: str, rows: int) -> int:
    """See the base class."""
    return max(self.tables[self.names.index(name)].spec.min_size, rows)

  def dataset(self, composition: Composition, extras: Extras,
              first_batch: int) -> tf.data.Dataset:
    """See the base class."""
    return make_indexed_dataset(
        self.tables, composition, extras, seed=self._seed,
        first_batch=first_batch, prefetch=self._prefetch)

  def update_priorities(self, info: SampleInfo, priority: tf.Tensor) -> None:
    """See the base class."""
    tf.numpy_function(self._update, [info.key, info.task, priority], [])

  def stop(self) -> None:
    """See the base class."""
    self.tables = []

  def _update(self, key: np.ndarray, task: np.ndarray,
              priority: np.ndarray) -> None:
    for index, table in enumerate(self.tables):
      rows = task == index
      table.update_priorities(key[rows], priority[rows])
