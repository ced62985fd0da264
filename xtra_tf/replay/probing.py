"""Asks a replay server what it serves, without waiting for ever."""

import time
from typing import Any, Dict

import reverb

from xtra_tf.errors import (
  IncompatibleDataError,
  UnreachableError,
  UsageError,
  near_names,
)
from xtra_tf.replay.window import WindowSpec, signature_differences

TIMEOUT_SECONDS = 10
_RETRY_SECONDS = 0.2


def unreachable(address: str, seconds: float, doing: str) -> UnreachableError:
  """The error of a server that let somebody wait."""
  return UnreachableError(
      f'The replay server {address} did not answer for {seconds:.3g} s: '
      f'{doing}. Expected a server that runs and can be reached from here.')


def probe(client: reverb.Client, timeout_seconds: int = TIMEOUT_SECONDS
          ) -> Dict[str, Any]:
  """{table: reverb's TableInfo}.

  Writers and data sets wait for ever for a dead server, so each asks first.

  Args:
    client: of the server.
    timeout_seconds: how long to wait.

  Raises:
    UnreachableError: the server does not answer.
  """
  end = time.monotonic() + timeout_seconds
  while True:
    try:
      return client.server_info(timeout=max(1, round(end - time.monotonic())))
    except (reverb.errors.ReverbError, RuntimeError) as error:
      # A server that has just taken another's port is met through a connection
      # to the one before, which breaks at once.
      if time.monotonic() + _RETRY_SECONDS >= end or isinstance(
          error, reverb.errors.DeadlineExceededError):
        raise unreachable(client.server_address, timeout_seconds,
                          'asking for its tables') from error
    time.sleep(_RETRY_SECONDS)


def check_table(client: reverb.Client, table: str, window: WindowSpec) -> Any:
  """The TableInfo of a table that must exist and hold such windows.

  Args:
    client: of the server.
    table: name.
    window: what the items must be.

  Raises:
    UnreachableError: the server does not answer.
    UsageError: there is no such table.
    IncompatibleDataError: its items are other ones.
  """
  tables = probe(client)
  if table not in tables:
    raise UsageError(
        f'The replay server {client.server_address} has no table {table!r}. '
        + near_names(table, tables))
  check_signature(client.server_address, table, tables[table], window)
  return tables[table]


def check_signature(address: str, table: str, info: Any, window: WindowSpec
                    ) -> None:
  """Refuses a table whose items are not such windows.

  Raises:
    IncompatibleDataError: naming each column that differs.
  """
  differences = signature_differences(window.signature(), info.signature)
  if differences:
    raise IncompatibleDataError(
        f'The table {table} of the replay server {address} holds other windows '
        f'than this run: {differences}. Expected the same frames, stack, '
        'unroll and bootstrap steps and planner in all processes of a run.')
