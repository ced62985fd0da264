"""A learner's tables of which some are another server's, shared with others."""

import threading
import time
from typing import (
  Any,
  Callable,
  Dict,
  Iterator,
  NamedTuple,
  Optional,
  Sequence,
)

from absl import logging
import reverb
import tensorflow as tf

from xtra_tf.errors import (
  IncompatibleDataError,
  UnreachableError,
  UsageError,
  UserError,
)
from xtra_tf.replay.batches import Extras
from xtra_tf.replay.composition import Composition
from xtra_tf.replay.dataset import make_dataset
from xtra_tf.replay.priorities import update_priorities
from xtra_tf.replay.probing import probe
from xtra_tf.replay.segments import PriorityOfNew, SegmentWriter
from xtra_tf.replay.server import TableSpec
from xtra_tf.replay.shared_record import (
  RECORD_TABLE,
  SharedRecord,
  read_record,
)
from xtra_tf.replay.tables import ReplayTables, ReverbTables
from xtra_tf.replay.waiting import BoundedIterator
from xtra_tf.replay.window import WindowSpec
from xtra_tf.types import SampleInfo

_POLL_SECONDS = 2.0  # after which a batch that does not come is looked into
_SAY_SECONDS = 10.0  # between two lines about what is waited for
_PROBE_SECONDS = 2


class SharedServer(NamedTuple):
  """A server that was found, and what it says of itself."""
  address: str
  record: SharedRecord
  timeout_seconds: float  # how long it may be gone
  say: Callable[[str], None] = logging.info  # told what is waited for


def connect(address: str, timeout_seconds: float,
            say: Callable[[str], None] = logging.info) -> SharedServer:
  """Finds a server of shared tables, and waits until it has loaded them.

  Args:
    address: `HOST:PORT`.
    timeout_seconds: how long to try; later, how long it may be gone.
    say: told every ten seconds what is waited for.

  Returns:
    The server; its record fits its tables.

  Raises:
    UsageError: the address is none.
    UnreachableError: there is no such server, or it does not get ready.
    IncompatibleDataError: its settings cannot be read.
  """
  host, separator, port = address.rpartition(':')
  if not host or not separator or not port.isdecimal():
    raise UsageError(f'The address of the offline tables is {address!r}. '
                     'Expected HOST:PORT, e.g. localhost:8000.')
  client = reverb.Client(address)
  begun = said = time.monotonic()
  while True:
    try:
      tables = probe(client, _PROBE_SECONDS)
      if RECORD_TABLE not in tables:
        raise UsageError(
            f'The replay server {address} shares no offline tables; it has '
            f'{", ".join(sorted(tables))}. Expected a launchers.replay_server.')
      if tables[RECORD_TABLE].current_size:
        return SharedServer(address, read_record(client, tables),
                            timeout_seconds, say)
      state = 'is still loading its data'
    except UnreachableError:
      state = 'does not answer'
    now = time.monotonic()
    if now - begun >= timeout_seconds:
      raise UnreachableError(
          f'The replay server {address} {state}, after {timeout_seconds:g} s '
          'of trying. Expected a launchers.replay_server at --offline_address '
          'that runs and has loaded its data; --offline_timeout waits longer.')
    if now - said >= _SAY_SECONDS:
      say(f'Waiting for the replay server {address}, which {state}: '
          f'{now - begun:.0f} s of {timeout_seconds:g} s.')
      said = now
    time.sleep(min(1.0, timeout_seconds / 4))


class SharedTables(ReplayTables):
  """Tables of an embedded server, and behind them those of a shared one.

  Shared tables are sampled uniformly, which gives importance weights of 1, and
  only read: no rows are written into them and no priority is changed.
  """

  def __init__(self, specs: Sequence[TableSpec], window: WindowSpec,
               block_length: int, server: SharedServer):
    """Starts the embedded server, if any table is not shared.

    Args:
      specs: see the base class; those that the shared server's record names
        are its tables.
      window: see the base class.
      block_length: see the base class.
      server: the shared one; its record was checked.
    """
    super().__init__(specs, window, block_length)
    own = [spec for spec in specs if spec.name not in server.record.tables]
    self._own = ReverbTables(own, window, block_length) if own else None
    self._shared = server
    self._stopped = threading.Event()
    self._failure: Optional[UserError] = None
    # Compiled for the reason that `ReverbTables` has.
    self._update = tf.function(self._update_own, autograph=False)

  @property
  def failure(self) -> Optional[UserError]:
    """See the base class."""
    return self._failure

  def writer(self, name: str, priority_of_new: PriorityOfNew
             ) -> SegmentWriter:
    """See the base class.

    Raises:
      UsageError: the table is shared.
    """
    self._refuse_shared(name, 'written')
    return self._need_own().writer(name, priority_of_new)

  def sizes(self) -> Dict[str, int]:
    """See the base class; a shared table is full whenever it is sampled."""
    found = {name: table.items
             for name, table in self._shared.record.tables.items()}
    if self._own is not None:
      found.update(self._own.sizes())
    return {name: found[name] for name in self.names}

  def least_items(self, name: str, rows: int) -> int:
    """See the base class."""
    table = self._shared.record.tables.get(name)
    return (self._need_own().least_items(name, rows) if table is None
            else table.items)

  def dataset(self, composition: Composition, extras: Extras,
              first_batch: int) -> tf.data.Dataset:
    """See the base class; waits for a shared server that is gone.

    Raises:
      UnreachableError: it does not come back.
      IncompatibleDataError: it came back with other data or settings.
    """
    shared = self._shared
    again = connect(shared.address, shared.timeout_seconds, shared.say)
    found = '; '.join(shared.record.differences(again.record))
    if found:
      raise _other_data(shared.address, found)
    return make_dataset(
        [self._address(name) for name in self.names], self.names, composition,
        self._window, extras, first_batch=first_batch, guard=self._guard)

  def update_priorities(self, info: SampleInfo, priority: tf.Tensor) -> None:
    """Of the rows of tables that are not shared; see the base class."""
    if self._own is not None:
      self._update(info, priority)

  def _update_own(self, info: SampleInfo, priority: tf.Tensor) -> None:
    own = self._need_own()
    rows = tf.reduce_any(
        info.task[:, None] == [self.names.index(n) for n in own.names], axis=1)
    # Positions in the run's list, which the embedded server's follow.
    places = tf.constant([own.names.index(n) if n in own.names else -1
                          for n in self.names])
    kept = tf.nest.map_structure(lambda x: tf.boolean_mask(x, rows), info)
    update_priorities(
        own.server.tf_client(), own.names,
        kept._replace(task=tf.gather(places, kept.task)),
        tf.boolean_mask(priority, rows))

  def stop(self) -> None:
    """Stops the embedded server; the shared one goes on."""
    self._stopped.set()
    if self._own is not None:
      self._own.stop()

  def _need_own(self) -> ReverbTables:
    if self._own is None:
      raise ValueError('All tables are shared.')
    return self._own

  def _refuse_shared(self, name: str, what: str) -> None:
    if name in self._shared.record.tables:
      raise UsageError(
          f'The table {name} of the replay server {self._shared.address} is '
          f'shared by several learners and cannot be {what} by one. Expected '
          "a table of this run's own.")

  def _address(self, name: str) -> str:
    return (self._shared.address if name in self._shared.record.tables
            else self._need_own().server.address)

  def _guard(self, name: str, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of a shared table, whose server may die at any moment.

    Reverb's own data set then waits for ever without a word. It goes on by
    itself once a server is there again at the same address.
    """
    if name not in self._shared.record.tables:
      return batches
    return tf.data.Dataset.from_generator(
        lambda: self._patiently(name, batches.as_numpy_iterator()),
        output_signature=batches.element_spec)

  def _patiently(self, name: str, batches: Iterator[Any]) -> Iterator[Any]:
    waited = BoundedIterator(batches, self._shared.address, _POLL_SECONDS)
    while not self._stopped.is_set():
      patience = _Patience(self._shared, name)
      batch = None
      while batch is None and not self._stopped.is_set():
        try:
          batch = next(waited)
        except StopIteration:
          return
        except UnreachableError:
          try:
            patience.check()
          except UserError as error:
            self._failure = error  # TensorFlow hands on a text at best.
            raise
      patience.end()
      yield batch


class _Patience:
  """How long one batch of a table may let a learner wait."""

  def __init__(self, server: SharedServer, table: str):
    self._server = server
    self._table = table
    self._client = reverb.Client(server.address)
    self._begun = self._moved = time.monotonic()
    self._said: Optional[float] = None
    self._loaded = 0

  def end(self) -> None:
    """The batch has come."""
    if self._said is not None:
      self._server.say(
          f'The replay server {self._server.address} serves {self._table} '
          f'again, after {time.monotonic() - self._begun:.0f} s.')

  def check(self) -> None:
    """Looks why no batch comes, and says so every ten seconds.

    Raises:
      UnreachableError: the server was gone, or gave nothing, for too long.
      IncompatibleDataError: it came back with other data or settings.
    """
    address, limit = self._server.address, self._server.timeout_seconds
    try:
      state = self._state(probe(self._client, _PROBE_SECONDS))
    except UnreachableError:
      state = 'does not answer'
    now = time.monotonic()
    if now - self._moved >= limit:
      raise UnreachableError(
          f'The replay server {address} {state}, for {now - self._moved:.0f} s '
          f'by now. Expected it to come back within {limit:g} s '
          '(--offline_timeout): start launchers.replay_server again, then this '
          'command, which goes on from the last save.')
    if self._said is None or now - self._said >= _SAY_SECONDS:
      self._server.say(
          f'Waiting for {self._table} of the replay server {address}, which '
          f'{state}: {now - self._begun:.0f} s so far; without progress it is '
          f'given up after {limit:g} s.')
      self._said = now

  def _state(self, tables: Dict[str, Any]) -> str:
    """What a server that answers is doing; loading is progress.

    Raises:
      UnreachableError: it is gone again.
      IncompatibleDataError: it has other data or settings.
    """
    info = tables.get(RECORD_TABLE)
    if info is None or info.current_size:
      self._check_same(tables)
      return 'answers, but sends nothing'
    loaded = sum(tables[name].current_size for name in
                 self._server.record.tables if name in tables)
    if loaded != self._loaded:
      self._loaded, self._moved = loaded, time.monotonic()
    return f'loads its data again ({loaded:,} steps by now)'

  def _check_same(self, tables: Dict[str, Any]) -> None:
    if RECORD_TABLE not in tables:
      found = f'Found the tables {", ".join(sorted(tables))} alone'
    else:
      found = '; '.join(self._server.record.differences(
          read_record(self._client, tables)))
    if found:
      raise _other_data(self._server.address, found)


def _other_data(address: str, found: str) -> IncompatibleDataError:
  return IncompatibleDataError(
      f'The replay server {address} came back with other data or settings than '
      f'it had. {found}. Expected the same: start it with them, or begin a run '
      'with the new ones in another --root_dir.')
