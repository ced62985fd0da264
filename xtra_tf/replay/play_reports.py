"""What collectors tell the learner: a Reverb queue, read once."""

import json
from typing import Any, Dict, List, NamedTuple, Sequence

import reverb

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.replay import byte_tables
from xtra_tf.replay.bounded_calls import BoundedCalls
from xtra_tf.replay.probing import probe

REPORTS_TABLE = 'run:reports'
_MOST_REPORTS = 10_000
_FORMAT = 1
_PROBE_SECONDS = 2


class PlayReport(NamedTuple):
  """One collector's word on what it has just played."""
  collector: int
  env_steps: int  # of this collector, ever
  committed: int  # of these, those that its log holds on the disk
  weights_step: int  # updates behind the weights by which it plays; -1: none
  games: Sequence[Dict[str, Any]] = ()  # fields of FinishedGame
  means: Dict[str, float] = {}  # of its searches since the last report


def reports_table() -> reverb.Table:
  """The queue; the oldest reports go first if nobody reads them."""
  return byte_tables.queue_table(REPORTS_TABLE, _MOST_REPORTS)


class ReportsChannel:
  """Sends reports, or takes all that have come."""

  def __init__(self, address: str, timeout_seconds: float = 10.):
    """Initializes; nothing is asked yet.

    Args:
      address: of the run's server.
      timeout_seconds: that sending or taking may last.
    """
    self._calls = BoundedCalls(address, timeout_seconds)

  def send(self, report: PlayReport) -> None:
    """Puts a report at the end of the queue.

    Raises:
      UnreachableError: the server does not answer.
    """
    content = json.dumps({'format': _FORMAT, **report._asdict()}).encode()
    self._calls('sending a report', lambda: byte_tables.put(
        self._calls.client, REPORTS_TABLE, content))

  def take(self) -> List[PlayReport]:
    """All reports that have come, oldest first; each is given once.

    Raises:
      UnreachableError: the server does not answer.
      IncompatibleDataError: a report cannot be read.
    """
    count = probe(self._calls.client, _PROBE_SECONDS)[
        REPORTS_TABLE].current_size
    if not count:
      return []
    found = self._calls('taking reports', lambda: byte_tables.take(
        self._calls.client, REPORTS_TABLE, count))
    return [_read(content, self._calls.address) for content in found]


def _read(content: bytes, address: str) -> PlayReport:
  try:
    found = json.loads(content)
    if found.pop('format') != _FORMAT:
      raise ValueError('another version')
    report = PlayReport(**found)
    for name in ('collector', 'env_steps', 'committed', 'weights_step'):
      if type(getattr(report, name)) is not int:
        raise ValueError(f'{name} is {getattr(report, name)!r}')
    return report
  except (ValueError, TypeError, KeyError, AttributeError,
          RecursionError) as error:
    raise IncompatibleDataError(
        f'A report at {address} cannot be read: {type(error).__name__}: '
        f'{error}. Expected those of launchers.collect of the same version.'
        ) from error
