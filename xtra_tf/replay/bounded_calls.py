"""Calls to a server that may die while it is being asked."""

import queue
import threading
from typing import Any, Callable, Optional, Tuple, TypeVar

import reverb

from xtra_tf.replay.probing import probe, unreachable

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
    self._asked: Optional['queue.Queue[Any]'] = None
    self._answers: 'queue.Queue[Tuple[Any, Optional[BaseException]]]' = (
        queue.Queue())

  def __call__(self, doing: str, call: Callable[[], T]) -> T:
    """What `call` returns.

    Args:
      doing: what it does, for the message.
      call: asks the server.

    Raises:
      UnreachableError: no answer in time, or the connection broke.
    """
    probe(self.client, _PROBE_SECONDS)
    if self._asked is None:
      self._asked, self._answers = queue.Queue(), queue.Queue()
      threading.Thread(target=_serve, args=(self._asked, self._answers),
                       daemon=True).start()
    self._asked.put(call)
    try:
      value, error = self._answers.get(timeout=self._timeout_seconds)
    except queue.Empty:
      self._asked = None  # whatever it answers later is nobody's
      raise unreachable(self.address, self._timeout_seconds, doing) from None
    if error is None:
      return value
    if isinstance(error, (reverb.errors.ReverbError, RuntimeError,
                          StopIteration)):
      raise unreachable(self.address, self._timeout_seconds, doing) from error
    raise error


def _serve(asked: 'queue.Queue[Any]', answers: 'queue.Queue[Any]') -> None:
  while True:
    call = asked.get()
    try:
      answers.put((call(), None))
    except BaseException as error:  # the caller's to see
      answers.put((None, error))
