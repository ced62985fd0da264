"""A learner's tables, all of them on the run's own server elsewhere."""

import threading
from typing import Any, Callable, Dict, Iterator, Optional, Sequence

import numpy as np
import reverb
import tensorflow as tf

from xtra_tf.errors import Stopped, UnreachableError, UserError
from xtra_tf.replay.batches import (
  Extras,
  SampledWindows,
  without_own_prefetch,
)
from xtra_tf.replay.bounded_calls import BoundedCalls
from xtra_tf.replay.composition import Composition
from xtra_tf.replay.dataset import make_dataset, table_batches
from xtra_tf.replay.patience import Patience
from xtra_tf.replay.priorities import update_priorities_from_host
from xtra_tf.replay.probing import check_table, probe
from xtra_tf.replay.reanalyzed_queue import ReanalyzedQueue
from xtra_tf.replay.segments import PriorityOfNew, SegmentWriter
from xtra_tf.replay.server import TableSpec
from xtra_tf.replay.tables import ReplayTables
from xtra_tf.replay.waiting import BoundedIterator
from xtra_tf.replay.window import WindowSpec
from xtra_tf.types import SampleInfo

_POLL_SECONDS = 2.0  # after which a batch that does not come is looked into
_PROBE_SECONDS = 2
_QUEUE_SECONDS = 0.01  # between two looks at the reanalyzers' queue
_STOP_SECONDS = 0.1


class RemoteTables(ReplayTables):
  """Tables that other processes fill; this one samples and sets priorities.

  If the server is gone, batches are waited for, with a word on it every ten
  seconds and up to a limit; Reverb's own data set would wait for ever.
  Priorities that cannot be set meanwhile are dropped: the server takes those of
  the ledger when it comes back.
  """

  def __init__(self, specs: Sequence[TableSpec], window: WindowSpec,
               address: str, timeout_seconds: float,
               say: Callable[[str], None],
               reanalyzed_rows: Optional[int] = None):
    """Initializes; the server has these tables.

    Args:
      specs: see the base class.
      window: see the base class.
      address: of the server.
      timeout_seconds: how long it may be gone.
      say: told what is waited for.
      reanalyzed_rows: of a whole batch, all of the first task, that come with
        their targets from reanalyzers; None: they are sampled here.
    """
    super().__init__(specs, window)
    self._reanalyzed_rows = reanalyzed_rows
    self._specs = {spec.name: spec for spec in specs}
    self._address = address
    self._timeout_seconds = timeout_seconds
    self._say = say
    self._calls = BoundedCalls(address)
    self._stopped = threading.Event()
    self._failure: Optional[UserError] = None
    self.updates_lost = 0  # batches whose priorities were dropped

  @property
  def failure(self) -> Optional[UserError]:
    """See the base class."""
    return self._failure

  def writer(self, name: str, priority_of_new: PriorityOfNew) -> SegmentWriter:
    """Not for a learner: collectors and the server fill the tables."""
    raise ValueError(f'{name} is filled by other processes.')

  def sizes(self) -> Dict[str, int]:
    """See the base class."""
    patience = Patience(f'the replay server {self._address}',
                        self._timeout_seconds, self._say)
    while True:
      try:
        tables = probe(self._calls.client, _PROBE_SECONDS)
        patience.end()
        return {name: tables[name].current_size for name in self.names}
      except UnreachableError:
        patience.wait('does not answer')

  def least_items(self, name: str, rows: int) -> int:
    """See the base class."""
    return self._specs[name].min_size

  def dataset(self, composition: Composition, extras: Extras,
              first_batch: int) -> tf.data.Dataset:
    """See the base class."""
    return make_dataset(
        self._address, self.names, composition, self._window, extras,
        first_batch=first_batch, guard=self._guard,
        first=self._reanalyzed(composition.quotas[0]))

  def windows(self, rows: int) -> tf.data.Dataset:
    """Sub-batches of the first table, as SampledWindows: for a reanalyzer.

    Args:
      rows: of a sub-batch.

    Raises:
      UnreachableError: the server does not answer.
      UsageError: it has no such table.
      IncompatibleDataError: the table holds other windows.
    """
    name = self.names[0]
    check_table(self._calls.client, name, self._window)
    batches = self._guard(name, table_batches(
        self._address, name, 0, rows, self._window))
    return without_own_prefetch(batches).prefetch(1)

  def update_priorities(self, info: SampleInfo, priority: tf.Tensor) -> None:
    """See the base class; on the host, and given up if the server is gone."""
    host = tf.nest.map_structure(np.asarray, info)
    try:
      self._calls('setting priorities', lambda: update_priorities_from_host(
          self._calls.client, self.names, host, np.asarray(priority)))
    except (UnreachableError, Stopped):
      # A signal is answered by the loop of the learner, behind this step.
      self.updates_lost += 1

  def stop(self) -> None:
    """Lets go; the server goes on."""
    self._stopped.set()

  def _guard(self, name: str, batches: tf.data.Dataset) -> tf.data.Dataset:
    return tf.data.Dataset.from_generator(
        lambda: self._patiently(name, batches.as_numpy_iterator()),
        output_signature=batches.element_spec)

  def _patiently(self, name: str, batches: Iterator[Any]) -> Iterator[Any]:
    waited = BoundedIterator(batches, self._address, _POLL_SECONDS)
    while not self._stopped.is_set():
      patience = Patience(f'rows of {name} from the replay server '
                          f'{self._address}', self._timeout_seconds, self._say)
      batch = None
      while batch is None and not self._stopped.is_set():
        try:
          batch = next(waited)
        except StopIteration:
          return
        except UnreachableError:
          self._look(patience)
      patience.end()
      yield batch

  def _look(self, patience: Patience) -> None:
    """Why no batch comes.

    Raises:
      UnreachableError: for too long.
    """
    try:
      probe(reverb.Client(self._address), _PROBE_SECONDS)
      state = 'answers, but sends nothing'
    except UnreachableError:
      state = 'does not answer'
    self._wait(patience, state, 0.)

  def _wait(self, patience: Patience, state: str, seconds: float) -> None:
    """Waits in a thread of TensorFlow's.

    Raises:
      UnreachableError: for too long.
    """
    try:
      patience.wait(state, seconds)
    except Stopped:
      self._stopped.wait(_STOP_SECONDS)  # the main thread's to answer
    except UserError as error:
      self._failure = error  # TensorFlow hands on a text at best
      raise

  def _reanalyzed(self, share: int) -> Optional[tf.data.Dataset]:
    """What reanalyzers send; None if rows are sampled here.

    Args:
      share: rows of a replica.
    """
    rows = self._reanalyzed_rows
    if rows is None:
      return None
    queue = ReanalyzedQueue(self._address, self._window, rows)
    queue.check()
    batches = tf.data.Dataset.from_generator(
        lambda: self._take_all(queue), output_signature=queue.spec)
    if share == rows:
      return batches
    return batches.unbatch().batch(share, drop_remainder=True)

  def _take_all(self, queue: ReanalyzedQueue) -> Iterator[SampledWindows]:
    while not self._stopped.is_set():
      patience = Patience(f'launchers.reanalyze at {self._address}',
                          self._timeout_seconds, self._say)
      batch = None
      while batch is None and not self._stopped.is_set():
        state = 'has sent no rows'
        try:
          batch = queue.take()
        except (UnreachableError, Stopped):
          state = 'cannot be heard: the replay server does not answer'
        if batch is None:
          self._wait(patience, state, _QUEUE_SECONDS)
      patience.end()
      if batch is not None:
        yield batch
