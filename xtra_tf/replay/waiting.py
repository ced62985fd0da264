"""An iterator over batches that does not wait for ever."""

import queue
import threading
from typing import Any, Iterator, Optional, Tuple

from xtra_tf.errors import UnreachableError


class BoundedIterator:
  """Hands on an iterator's elements, or says that none came in time.

  A data set waits in silence for a table that holds too little and for a
  server that is gone. Elements are asked for one at a time, in a thread that
  ends with the process; not for use inside a tf.function.
  """

  def __init__(self, iterator: Iterator[Any], address: str,
               timeout_seconds: float = 60):
    self._iterator = iterator
    self._address = address
    self._timeout_seconds = timeout_seconds
    self._asked: 'queue.Queue[None]' = queue.Queue()
    self._answers: 'queue.Queue[Tuple[Any, Optional[BaseException]]]' = (
        queue.Queue())
    self._waiting = False
    threading.Thread(target=self._serve, daemon=True).start()

  def __iter__(self) -> 'BoundedIterator':
    return self

  def __next__(self) -> Any:
    """The next element.

    Raises:
      UnreachableError: none came in time; the call may be repeated, and goes
        on waiting for the same element.
    """
    if not self._waiting:
      self._asked.put(None)
      self._waiting = True
    try:
      element, error = self._answers.get(timeout=self._timeout_seconds)
    except queue.Empty:
      raise UnreachableError(
          f'The replay server {self._address} sent no batch for '
          f'{self._timeout_seconds:g} s. Expected a server that runs, and as '
          'many items in each table as it must hold before it is sampled.'
          ) from None
    self._waiting = False
    if error is not None:
      raise error
    return element

  def _serve(self) -> None:
    while True:
      self._asked.get()
      try:
        self._answers.put((next(self._iterator), None))
      except BaseException as error:  # StopIteration too: the caller's to see
        self._answers.put((None, error))
