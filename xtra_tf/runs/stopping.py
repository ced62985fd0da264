"""SIGTERM and SIGINT end a program where nothing is lost."""

import contextlib
import signal
from types import FrameType
from typing import Iterator, Optional

from xtra_tf.errors import Stopped

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
  """Turns the first signal into a `Stopped`, at once or at the next `check`.

  A loop that has something to save is `held`: the signal waits for the loop to
  `check`, which raises. Everywhere else the signal raises where the program is,
  as Ctrl-C does. A second signal ends the program without waiting:

    with stop_request.held():
      while ...:
        step()
        stop_request.check()

  Signals belong to the process, so there is one of these: `stop_request`.
  """

  def __init__(self) -> None:
    self._is_installed = False
    self._signal: Optional[int] = None
    self._holds = 0

  @property
  def is_made(self) -> bool:
    """Whether a signal has come."""
    return self._signal is not None

  def install(self) -> None:
    """Takes the signals over, also where a shell had them ignored (`&`).

    To be called from the main thread.
    """
    self._is_installed = True
    self._signal = None
    for number in _SIGNALS:
      signal.signal(number, self._on_signal)

  @contextlib.contextmanager
  def let_go(self) -> Iterator[None]:
    """Signals end the program at once, where nothing has begun.

    For native code that waits, and for what takes signals to itself, as
    TensorFlow's service for several processes does with SIGTERM: they are taken
    back in the end.
    """
    for number in _SIGNALS if self._is_installed else ():
      signal.signal(number, signal.SIG_DFL)
    try:
      yield
    finally:
      for number in _SIGNALS if self._is_installed else ():
        signal.signal(number, self._on_signal)

  def check(self) -> None:
    """Raises if a signal has come.

    Raises:
      Stopped: with the signal's exit code.
    """
    if self._signal is not None:
      raise Stopped(self._signal)

  @contextlib.contextmanager
  def held(self) -> Iterator[None]:
    """Signals wait for `check`."""
    self._holds += 1
    try:
      yield
    finally:
      self._holds -= 1

  @contextlib.contextmanager
  def released(self) -> Iterator[None]:
    """Within `held`: signals raise at once, in a part that has nothing to lose.

    Raises:
      Stopped: a signal has come before.
    """
    self.check()
    holds, self._holds = self._holds, 0
    try:
      yield
    finally:
      self._holds = holds

  def _on_signal(self, number: int, frame: Optional[FrameType]) -> None:
    del frame
    if self._signal is not None:
      # Whoever asks twice does not want to wait for a save.
      signal.signal(number, signal.SIG_DFL)
      signal.raise_signal(number)
    self._signal = number
    if not self._holds:
      raise Stopped(number)


stop_request = StopRequest()
