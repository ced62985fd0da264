"""What a run's own server says of itself, in a table of its own."""

import json
from typing import Callable, Dict, NamedTuple

import reverb

from xtra_tf.errors import IncompatibleDataError, UnreachableError, UsageError
from xtra_tf.replay import byte_tables
from xtra_tf.replay.bounded_calls import BoundedCalls
from xtra_tf.replay.patience import Patience
from xtra_tf.replay.probing import probe

RUN_TABLE = 'run:record'
_FORMAT = 1
_PROBE_SECONDS = 2


class RunRecord(NamedTuple):
  """Which stage of which run a server serves, and what it has loaded."""
  stage: str  # e.g. `finetune/Alien`
  settings: str  # hash of the run's settings
  generation: str  # another one each time that the server starts
  loaded: Dict[str, int]  # {writer: newest episode of its log in the table}
  remote: bool = False  # other hosts may use the server

  def to_bytes(self) -> bytes:
    """JSON, for `from_bytes`."""
    return json.dumps({'format': _FORMAT, **self._asdict()},
                      sort_keys=True).encode()

  @classmethod
  def from_bytes(cls, content: bytes, address: str) -> 'RunRecord':
    """The record that `to_bytes` wrote.

    Raises:
      IncompatibleDataError: it is none, or one of another version.
    """
    try:
      found = json.loads(content)
      if found.pop('format') != _FORMAT:
        raise ValueError('another version')
      record = cls(**found)
      texts = record.stage, record.settings, record.generation
      if not (all(isinstance(text, str) for text in texts)
              and all(isinstance(writer, str) and type(number) is int
                      for writer, number in record.loaded.items())):
        raise ValueError(f'found {record}')
      return record
    except (ValueError, TypeError, KeyError, AttributeError,
            RecursionError) as error:
      raise IncompatibleDataError(
          f'The record of the replay server {address} cannot be read: '
          f'{type(error).__name__}: {error}. Expected that of a '
          'launchers.replay_server of the same version.') from error


def run_table() -> reverb.Table:
  """The table; empty until the server has loaded what there is."""
  return byte_tables.newest_table(RUN_TABLE)


def publish_run(client: reverb.Client, record: RunRecord) -> None:
  """Puts the record into its table: from now on the server may be used."""
  byte_tables.put(client, RUN_TABLE, record.to_bytes())


def find_run(address: str, stage: str, settings: str, timeout_seconds: float,
             say: Callable[[str], None]) -> RunRecord:
  """Waits until a run's server is there and has loaded its tables.

  Args:
    address: `HOST:PORT`.
    stage: that it must serve.
    settings: hash of the settings that it must have.
    timeout_seconds: how long to wait without progress.
    say: told every ten seconds what is waited for.

  Raises:
    UsageError: the address is none, or the server another one.
    UnreachableError: it does not come.
    IncompatibleDataError: it serves another stage, or has other settings.
  """
  host, separator, port = address.rpartition(':')
  if not host or not separator or not port.isdecimal():
    raise UsageError(f'The address of the replay server is {address!r}. '
                     'Expected HOST:PORT, e.g. localhost:8000.')
  calls = BoundedCalls(address)
  patience = Patience(f'the replay server {address}', timeout_seconds, say)
  while True:
    try:
      tables = probe(calls.client, _PROBE_SECONDS)
      if RUN_TABLE not in tables:
        raise UsageError(
            f"The replay server {address} is no run's own; it has "
            f'{", ".join(sorted(tables))}. Expected launchers.replay_server '
            '--root_dir=... --stage=...')
      if tables[RUN_TABLE].current_size:
        break
      patience.progress()
      state = 'is still loading'
    except UnreachableError:
      state = 'does not answer'
    patience.wait(state)
  patience.end()
  record = _read(calls)
  expected = {'stage': stage, 'settings': settings}
  found = {name: getattr(record, name) for name in expected}
  if found != expected:
    raise IncompatibleDataError(
        f'The replay server {address} serves {found}. Expected {expected}: '
        'start all roles of a run with the same --root_dir, gin files, seed '
        'and --stage.')
  return record


def _read(calls: BoundedCalls) -> RunRecord:
  [content] = calls('reading its record', lambda: byte_tables.take(
      calls.client, RUN_TABLE))
  return RunRecord.from_bytes(content, calls.address)
