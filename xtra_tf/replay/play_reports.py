"""What collectors tell the learner: a Reverb queue, read once."""

import json
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy as np
import reverb
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError
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
  return reverb.Table(
      REPORTS_TABLE, reverb.selectors.Fifo(), reverb.selectors.Fifo(),
      max_size=_MOST_REPORTS, max_times_sampled=1,
      rate_limiter=reverb.rate_limiters.MinSize(1),
      signature=tf.TensorSpec([1, None], tf.uint8))


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
    self._calls('sending a report', lambda: self._calls.client.insert(
        np.frombuffer(content, np.uint8), {REPORTS_TABLE: 1.}))

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
    samples = self._calls('taking reports', lambda: list(
        self._calls.client.sample(REPORTS_TABLE, count, emit_timesteps=False)))
    return [_read(np.asarray(sample.data[0], np.uint8).tobytes(),
                  self._calls.address) for sample in samples]


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
