"""What a server of shared tables says of itself, in a table of its own.

A signature tells shapes. Whether two windows of equal length divide into the
same steps, and which task, actions and columns a table has, it does not tell.
The record is the last thing that the server writes: who finds it finds every
table full.
"""

import dataclasses
import json
from typing import Any, Dict, List, Tuple

import numpy as np
import reverb

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.replay import byte_tables
from xtra_tf.replay.probing import TIMEOUT_SECONDS, check_signature
from xtra_tf.replay.waiting import BoundedIterator
from xtra_tf.replay.window import WindowSpec
from xtra_tf.runs import differences

# No task has such a name: there is no family `offline`.
RECORD_TABLE = 'offline:settings'
_FORMAT = 2
_MAX_BYTES = 2**20  # of a record; it comes from the network


@dataclasses.dataclass(frozen=True)
class SharedTable:
  """One task's table.

  Attributes:
    task: the task's fingerprint, see `TaskSpec.fingerprint`.
    columns: optional columns that its data have, see
      `episodes.OPTIONAL_COLUMNS`.
    items: that the table holds once it is full.
    steps: that can be learned from in the data on disk; more than `items` if
      they stream through the table.
    episodes: in the data.
    env_steps: environment steps that were played for them.
    data: SHA-256 over the data's index and checksums, see `EpisodeLog.digest`.
    targets: the same of a teacher's targets that are laid over the data; empty
      where the data have columns of their own.
    teacher: which teacher, data and settings these were made with, as their
      header says it.
  """
  task: Dict[str, Any]
  columns: Tuple[str, ...]
  items: int
  steps: int
  episodes: int
  env_steps: int
  data: str
  targets: str = ''
  teacher: Dict[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self) -> None:
    object.__setattr__(self, 'columns', tuple(self.columns))
    counts = (self.items, self.steps, self.episodes, self.env_steps)
    if not isinstance(self.teacher, dict) or not all(
        isinstance(digest, str) for digest in (self.data, self.targets)):
      raise ValueError('expected a teacher and two digests, found '
                       f'{(self.teacher, self.data, self.targets)}')
    if not isinstance(self.task, dict) or not all(
        type(count) is int and 0 <= count < 2**62 for count in counts):
      raise ValueError(f'expected a task and four counts, found {counts}')
    if not all(isinstance(column, str) for column in self.columns):
      raise ValueError(f'expected names of columns, found {self.columns}')

  @property
  def streams(self) -> bool:
    """Whether the table holds a part of the data at a time."""
    return self.steps > self.items


@dataclasses.dataclass(frozen=True)
class SharedRecord:
  """All that a learner must know of a server before it samples.

  Attributes:
    window: the items of all tables.
    block_length: see SegmentWriter.
    discount: per agent step, of values and bootstrap values.
    tables: {task: table}.
    remote: other hosts may use the server.
  """
  window: WindowSpec
  block_length: int
  discount: float
  tables: Dict[str, SharedTable]
  remote: bool = False

  def to_bytes(self) -> bytes:
    """JSON, for `from_bytes`."""
    return json.dumps({'format': _FORMAT, **dataclasses.asdict(self)},
                      sort_keys=True).encode('utf-8')

  @classmethod
  def from_bytes(cls, content: bytes, address: str) -> 'SharedRecord':
    """The record that `to_bytes` wrote.

    Args:
      content: as the server sent it; it is not trusted.
      address: of the server, for the message.

    Raises:
      IncompatibleDataError: it is none, or one of another version.
    """
    try:
      if len(content) > _MAX_BYTES:
        raise ValueError(f'{len(content)} bytes')
      found = json.loads(content.decode('utf-8'))
      version = found.pop('format')
      if version != _FORMAT:
        raise ValueError(f'version {version!r}')
      window = found.pop('window')
      for name in ('observation_shape', 'target_shape'):
        window[name] = tuple(window[name])
      return cls(
          window=WindowSpec(**window),
          block_length=int(found.pop('block_length')),
          discount=float(found.pop('discount')),
          tables={str(name): SharedTable(**table)
                  for name, table in found.pop('tables').items()},
          remote=found.pop('remote') is True)
    except (ValueError, TypeError, KeyError, AttributeError,
            RecursionError) as error:
      raise IncompatibleDataError(
          f'The settings of the replay server {address} cannot be read: found '
          f'{type(error).__name__}: {error}. Expected version {_FORMAT}, as '
          'launchers.replay_server of the same version of xtra_tf writes them.'
          ) from error

  def differences(self, found: 'SharedRecord') -> List[str]:
    """One phrase for each field in which what another serves differs."""
    ours, theirs = (json.loads(record.to_bytes()) for record in (self, found))
    for content in (ours, theirs):
      del content['remote']  # who may use it is no part of what it serves
    return differences(ours, theirs, either=True)


def record_table() -> reverb.Table:
  """The table that holds the record; empty until it is published."""
  return byte_tables.newest_table(RECORD_TABLE)


def publish(client: reverb.Client, record: SharedRecord) -> None:
  """Puts the record into its table, for every learner to see."""
  byte_tables.put(client, RECORD_TABLE, record.to_bytes())


def read_record(client: reverb.Client, tables: Dict[str, Any]) -> SharedRecord:
  """The record of a server that has published one.

  Args:
    client: of the server.
    tables: its tables, as `probe` gives them; the record's holds one item.

  Raises:
    UnreachableError: the server does not send it.
    IncompatibleDataError: it is not readable, a table that it names is not
      there, holds other windows or is not sampled uniformly.
  """
  address = client.server_address
  # A server that dies now would be waited for without end.
  [sample] = next(BoundedIterator(iter(client.sample(
      RECORD_TABLE, 1, emit_timesteps=False)), address, TIMEOUT_SECONDS)).data
  record = SharedRecord.from_bytes(
      np.asarray(sample, np.uint8).tobytes(), address)
  for name in record.tables:
    if name not in tables:
      raise IncompatibleDataError(
          f'The replay server {address} says that it serves {name}, but has no '
          f'such table. Expected it among {_names(tables)}.')
    check_signature(address, name, tables[name], record.window)
    if not tables[name].sampler_options.uniform:
      raise IncompatibleDataError(
          f'The table {name} of the replay server {address} is not sampled '
          'uniformly. Expected uniform sampling of tables that many share.')
  return record


def _names(tables: Dict[str, Any]) -> List[str]:
  return sorted(set(tables) - {RECORD_TABLE})
