"""Calls to a server that may die while it is being asked."""

from typing import Callable, TypeVar

import reverb

from xtra_tf.replay.probing import probe, unreachable
from xtra_tf.runs import wait_for

T = TypeVar('T')

_PROBE_SECONDS = 2


class BoundedCalls:
  """Makes Reverb calls, which know no timeouts, in a thread that may be left.

  A call to a server that is gone does not come back. It is then left to its
  thread, which ends with the process, and the next call has a new one.
  """

  def __init__(self, address: str, timeout_seconds: float = 10.):
    """Initializes; nothing is asked yet.

    Args:
      address: `HOST:PORT` of the server.
      timeout_seconds: that a call may take.
    """
    self.address = address
    self.client = reverb.Client(address)
    self._timeout_seconds = timeout_seconds

  def __call__(self, doing: str, call: Callable[[], T]) -> T:
    """What `call` returns.

    Args:
      doing: what it does, for the message.
      call: asks the server.

    Raises:
      UnreachableError: no answer in time, or the connection broke.
      Stopped: a signal has come meanwhile.
    """
    probe(self.client, _PROBE_SECONDS)
    try:
      return wait_for(call, self._timeout_seconds)
    except TimeoutError:
      raise unreachable(self.address, self._timeout_seconds, doing) from None
    except (reverb.errors.ReverbError, RuntimeError, StopIteration) as error:
      raise unreachable(self.address, self._timeout_seconds, doing) from error
