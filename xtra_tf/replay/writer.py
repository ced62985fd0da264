"""Writes rows into a Reverb table, as windows that share their frames."""

import time
from typing import Any, Callable, Dict

import numpy as np
import reverb

from xtra_tf.replay.priorities import sanitize_number
from xtra_tf.replay.probing import check_table, unreachable
from xtra_tf.replay.row_check import check_priority
from xtra_tf.replay.segments import PriorityOfNew, SegmentWriter
from xtra_tf.replay.window import WindowSpec
from xtra_tf.runs import wait_for

# Rows per compressed chunk. Fewer cost memory per chunk, more make a sample
# carry rows that it does not need.
_CHUNK_LENGTH = 7
# Items that may be on their way to the server before `append` waits.
_MAX_PENDING_ITEMS = 20
# Items between two looks at how many are on their way; a look takes as long as
# half an item.
_ITEMS_OF_A_FLUSH = 5
_SLICE_SECONDS = 1.0  # of a wait, between two looks whether to go on with it


def _never() -> bool:
  return False


class ReplayWriter(SegmentWriter):
  """One slot's way into a Reverb table; see the base class.

  Each frame is stored once, in chunks that the items refer to.
  """

  def __init__(self, client: reverb.Client, table: str, window: WindowSpec,
               priority_of_new: PriorityOfNew, timeout_seconds: float = 60,
               block_length: int = 0,
               gives_up: Callable[[], bool] = _never):
    """Initializes the writer.

    Args:
      client: of the replay server.
      table: name of the table, which is the task's.
      window: the items.
      priority_of_new: gives the priority of a new item by its place.
      timeout_seconds: how long the server may take to accept data.
      block_length: real rows of a block; 0: segments are not divided.
      gives_up: whether not to wait any longer, before the time is over.

    Raises:
      UnreachableError: the server does not answer.
      UsageError: it has no such table.
      IncompatibleDataError: the table's items are others.
    """
    super().__init__(table, window, check_table(client, table, window).max_size,
                     block_length)
    self._address = client.server_address
    self._priority_of_new = priority_of_new
    self._timeout_seconds = timeout_seconds
    self._gives_up = gives_up
    self._writer = self._open(client)
    for column in window.signature():
      self._writer.configure(
          (column,), num_keep_alive_refs=window.length,
          max_chunk_length=min(_CHUNK_LENGTH, window.length))
    # Columns of the writer that grow with it; putting them together takes as
    # long as an item.
    self._history: Dict[str, Any] = {}
    self._unflushed = 0  # items since the last flush

  def _store(self, step: Dict[str, np.ndarray]) -> None:
    self._writer.append(step)

  def _add_item(self, episode: int, step: int) -> None:
    length = self.window.length
    if not self._history:
      self._history = self._writer.history
    self._writer.create_item(
        self.table, sanitize_number(
            check_priority(self.table, self._priority_of_new(episode, step))),
        {column: rows[-length:]
         for column, rows in self._history.items()})
    self._unflushed += 1
    if self._unflushed == _ITEMS_OF_A_FLUSH:
      self._unflushed = 0
      self._guarded('adding items', lambda timeout: self._writer.flush(
          block_until_num_items=_MAX_PENDING_ITEMS - _ITEMS_OF_A_FLUSH,
          timeout_ms=timeout))

  def _close_segment(self) -> None:
    # One that is interrupted would forget what it holds.
    self._guarded('adding the last items of a segment', lambda timeout: (
        self._writer.flush(timeout_ms=timeout)))
    self._guarded('ending a segment', lambda _: self._writer.end_episode(
        timeout_ms=int(1000 * self._timeout_seconds)))

  def _finish(self) -> None:
    self._writer.close()

  def _open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
    """A call that waits without end for a server that has just died."""
    try:
      return wait_for(lambda: client.trajectory_writer(
          num_keep_alive_refs=self.window.length), self._timeout_seconds)
    except TimeoutError:
      raise unreachable(
          self._address, self._timeout_seconds,
          f'opening a writer of the table {self.table}') from None

  def _guarded(self, doing: str, call: Callable[[int], None]) -> None:
    """Calls with a timeout in ms; a server that is gone is the user's error.

    Args:
      doing: what it does, for the message.
      call: is made again when its time is over, and so goes on.
    """
    begun = time.monotonic()
    while True:
      try:
        return call(int(1000 * min(_SLICE_SECONDS, self._timeout_seconds)))
      except (reverb.errors.ReverbError, RuntimeError) as error:
        waited = time.monotonic() - begun
        if (isinstance(error, reverb.errors.DeadlineExceededError)
            and waited < self._timeout_seconds and not self._gives_up()):
          continue
        raise unreachable(
            self._address, waited,
            f'{doing} in the table {self.table}') from error
