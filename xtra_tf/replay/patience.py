"""How long somebody waits for something, and what he says meanwhile."""

import math
import time
from typing import Callable, Optional

from xtra_tf.errors import UnreachableError
from xtra_tf.runs import stop_request

SAY_SECONDS = 10.0  # between two lines about what is waited for


class Patience:
  """Waiting that says for whom, and that ends.

  patience = Patience('the learner at localhost:8000', 300., print)
  while not ready():
    patience.wait('has published no weights')
  patience.end()
  """

  def __init__(self, whom: str, limit_seconds: float,
               say: Callable[[str], None]):
    """Begins to wait.

    Args:
      whom: is waited for, as in a sentence.
      limit_seconds: without progress; infinite: it is never given up.
      say: told every ten seconds.
    """
    self._whom = whom
    self._limit_seconds = limit_seconds
    self._say = say
    self._begun = self._moved = time.monotonic()
    self._said: Optional[float] = None

  def progress(self) -> None:
    """What is waited for comes nearer: the limit counts from now."""
    self._moved = time.monotonic()

  def wait(self, state: str, seconds: float = 0.2) -> None:
    """Sleeps a moment.

    Args:
      state: what is the matter, as the end of a sentence about `whom`.
      seconds: of sleep.

    Raises:
      UnreachableError: there was no progress for too long.
      Stopped: a signal has come.
    """
    stop_request.check()
    now = time.monotonic()
    if now - self._moved >= self._limit_seconds:
      raise UnreachableError(
          f'Waited for {self._whom}, which {state}, for '
          f'{now - self._moved:.0f} s. Expected progress within '
          f'{self._limit_seconds:g} s. Start it again, then this command, '
          'which goes on where it was.')
    if now - (self._begun if self._said is None else self._said) >= SAY_SECONDS:
      limit = ('' if math.isinf(self._limit_seconds) else
               '; without progress it is given up after '
               f'{self._limit_seconds:g} s')
      self._say(f'Waiting for {self._whom}, which {state}: '
                f'{now - self._begun:.0f} s so far{limit}.')
      self._said = now
    time.sleep(seconds)
    stop_request.check()

  def end(self) -> None:
    """Says that the waiting is over, if anything was said before."""
    if self._said is not None:
      self._say(f'Waited {time.monotonic() - self._begun:.0f} s for '
                f'{self._whom}.')
