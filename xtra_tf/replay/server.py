"""The embedded replay server: one Reverb table per task."""

import dataclasses
from typing import Any, Dict, Optional, Sequence
import uuid

import portpicker
import reverb
import tensorflow as tf

from xtra_tf.errors import UnreachableError, UsageError
from xtra_tf.replay.probing import check_signature, probe
from xtra_tf.replay.window import WindowSpec
from xtra_tf.runs import PortLock

_PICKS = 20  # free ports that are tried


@dataclasses.dataclass(frozen=True)
class TableSpec:
  """One task's table.

  Attributes:
    name: of the task.
    max_size: items at most; the oldest go first.
    priority_exponent: alpha, items are drawn with P(i) = p_i^alpha / sum_j
      p_j^alpha; 0 draws uniformly. (Official: 0.6, core/replay_buffer.py.)
    min_size: items that the table must hold before it can be sampled.
  """
  name: str
  max_size: int
  priority_exponent: float = 0.6
  min_size: int = 1

  def __post_init__(self) -> None:
    if not 1 <= self.min_size <= self.max_size:
      raise UsageError(
          f'The table {self.name} would never serve: min_size is '
          f'{self.min_size}, max_size {self.max_size}. Expected '
          '1 <= min_size <= max_size.')
    if not 0 <= self.priority_exponent < float('inf'):
      raise UsageError(f'The priority exponent of the table {self.name} is '
                       f'{self.priority_exponent}. Expected at least 0.')

  def table(self, window: WindowSpec) -> reverb.Table:
    """The Reverb table.

    Its limiter is MinSize: how often new data are learned from is decided by
    the trainer, as a ratio limiter would stop a process that waits for itself.
    """
    sampler = (reverb.selectors.Prioritized(self.priority_exponent)
               if self.priority_exponent else reverb.selectors.Uniform())
    return reverb.Table(
        self.name, sampler, reverb.selectors.Fifo(), max_size=self.max_size,
        rate_limiter=reverb.rate_limiters.MinSize(self.min_size),
        signature=window.signature())


class ReplayServer:
  """A Reverb server inside this process."""

  def __init__(self, tables: Sequence[TableSpec], window: WindowSpec,
               port: Optional[int] = None,
               others: Sequence[reverb.Table] = ()):
    """Starts the server and checks that it serves what was asked for.

    Args:
      tables: one per task.
      window: the items of all tables.
      port: to listen on; a free one if left out. Reverb listens on every
        network interface.
      others: tables that are served besides and are no task's.

    Raises:
      UnreachableError: the port is taken, by whom, or the server does not
        answer.
      UsageError: the server's tables are not those that were asked for.
    """
    names = [spec.name for spec in tables]
    if not names or len(set(names)) != len(names):
      raise UsageError(f'Expected one table per task, got {names}.')
    self._names = names
    self._lock = _free_port() if port is None else PortLock(port)
    self._port = self._lock.port
    self._address = f'localhost:{self._port}'
    self._tf_client: Optional[reverb.TFClient] = None
    try:
      self._server = reverb.Server(
          [*(s.table(window) for s in tables), *others], port=self._port)
    except Exception:
      self._lock.release()
      raise
    try:
      self._check(tables, window)
    except Exception:
      self.stop()
      raise

  @property
  def address(self) -> str:
    """`localhost:<port>`."""
    return self._address

  @property
  def port(self) -> int:
    return self._port

  def client(self) -> reverb.Client:
    """A new client; clients in this process do not go through the network."""
    return reverb.Client(self._address)

  def tf_client(self) -> reverb.TFClient:
    """The client whose calls can be part of a tf.function; always the same."""
    if self._tf_client is None:
      # Without a name of its own TensorFlow drops the client with its cache of
      # kernels, as tf.random.set_seed does. The name is one per server, as a
      # later server may have the same port.
      with tf.init_scope():  # the first call may come from a tf.function
        self._tf_client = reverb.TFClient(
            self._address, shared_name=f'replay_{uuid.uuid4().hex}')
    return self._tf_client

  def sizes(self) -> Dict[str, int]:
    """{table: items}, in the order in which the tables were given."""
    tables = probe(self.client())
    return {name: tables[name].current_size for name in self._names}

  def stop(self) -> None:
    """Stops serving; what the tables hold is gone."""
    self._server.stop()
    self._lock.release()

  def _check(self, tables: Sequence[TableSpec], window: WindowSpec) -> None:
    # A server that shares the port, or a restored checkpoint, would answer
    # with other tables.
    served = probe(self.client())
    for spec in tables:
      asked = {'max_size': spec.max_size, 'min_size': spec.min_size,
               'priority_exponent': spec.priority_exponent}
      found = _settings(served[spec.name]) if spec.name in served else None
      if found != asked:
        raise UsageError(
            f'The replay server {self._address} does not serve the table '
            f'{spec.name} that was asked for: expected {asked}, found {found}.')
      check_signature(self._address, spec.name, served[spec.name], window)


def _settings(info: Any) -> Dict[str, Any]:
  sampler = info.sampler_options
  prioritized = sampler.HasField('prioritized')
  return {
      'max_size': info.max_size,
      'min_size': info.rate_limiter_info.min_size_to_sample,
      'priority_exponent':
          sampler.prioritized.priority_exponent if prioritized else 0}


def _free_port() -> PortLock:
  """A free port, taken; one that another process picks too is left to it."""
  for _ in range(_PICKS):
    try:
      return PortLock(portpicker.pick_unused_port())
    except UnreachableError as error:
      taken = error
  raise taken
