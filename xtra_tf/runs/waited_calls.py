"""Calls that may never come back, waited for by somebody who hears signals."""

import math
import queue
import threading
import time
from typing import Callable, Optional, Tuple, TypeVar

from xtra_tf.runs.stopping import stop_request

T = TypeVar('T')

_SLICE_SECONDS = 0.1
# A call that is about to end is waited for.
_GRACE_SECONDS = 1.0


def wait_for(call: Callable[[], T], timeout_seconds: float = math.inf) -> T:
  """What `call` returns; it is made in a thread of its own.

  Python hears of a signal in its main thread alone, and not before that thread
  comes back from native code: never, if it waits there for a server that is
  gone. A call that is given up is left to its thread, which ends with the
  process.

  Args:
    call: knows no timeouts.
    timeout_seconds: how long it may take.

  Raises:
    TimeoutError: it took longer.
    Stopped: a signal has come, and it did not end within a second.
  """
  answers: ('queue.SimpleQueue[Tuple[Optional[T], Optional[BaseException]]]'
            ) = queue.SimpleQueue()

  def work() -> None:
    try:
      answers.put((call(), None))
    except BaseException as error:  # the caller's to see
      answers.put((None, error))

  begun = time.monotonic()
  asked: Optional[float] = None  # when it was seen that a signal has come
  threading.Thread(target=work, daemon=True).start()
  while True:
    try:
      value, error = answers.get(timeout=_SLICE_SECONDS)
      break
    except queue.Empty:
      now = time.monotonic()
    if stop_request.is_made:
      asked = now if asked is None else asked
      if now - asked >= _GRACE_SECONDS:
        stop_request.check()
    if now - begun >= timeout_seconds:
      raise TimeoutError(f'No answer for {timeout_seconds:g} s.')
  if error is not None:
    raise error
  return value  # type: ignore[return-value]
