"""The numbers of a run over time: JSON lines, and TensorBoard as a view.

A line is one flat object: step (gradient steps), env_steps, time (seconds since
the epoch) and {tag: number or null}. Null stands for NaN and infinity, which
JSON does not have.
"""

import contextlib
import json
import math
import os
import time
from typing import Any, Dict, List, Mapping, Optional

from xtra_tf.errors import DataFileError
from xtra_tf.runs import atomic
from xtra_tf.runs.tensorboard_view import TensorBoardView

_RESERVED = ('step', 'env_steps', 'time')


def read_metrics(path: str) -> List[Dict[str, Any]]:
  """All rows of a metrics file, in the order of writing.

  A last line without its end is left out: its writer was killed, or is about
  to finish it.

  Raises:
    DataFileError: the file is missing, or a complete line is damaged.
  """
  try:
    with open(path, 'rb') as file:
      content = file.read()
  except OSError as error:
    raise DataFileError(
        path, f'cannot be read ({error.strerror}).') from error
  rows = []
  for number, line in enumerate(content.split(b'\n')[:-1]):
    try:
      row = json.loads(line)
      if not isinstance(row, dict) or not set(_RESERVED) <= set(row):
        raise ValueError(f'expected an object with {", ".join(_RESERVED)}')
    except ValueError as error:
      raise DataFileError(path, f'is damaged: {error}.', record=number,
                          hint='Remove the line to go on without it.'
                          ) from error
    rows.append(row)
  return rows


class MetricsWriter:
  """Appends rows to a metrics file and shows them to TensorBoard."""

  def __init__(self, path: str, tensorboard_dir: Optional[str] = None):
    """Opens the file, without the torn line that a kill may have left.

    Args:
      path: of the metrics file; its folder is made.
      tensorboard_dir: where TensorBoard's files go; None writes none.

    Raises:
      DataFileError: the file is damaged.
      StorageError: it cannot be written.
    """
    self.path = path
    self._view = TensorBoardView(tensorboard_dir) if tensorboard_dir else None
    atomic.make_folder(os.path.dirname(os.path.abspath(path)))
    if os.path.exists(path):
      self._rewrite(read_metrics(path))
    self._open()

  def __enter__(self) -> 'MetricsWriter':
    return self

  def __exit__(self, *exception: Any) -> None:
    self.close()

  def write(self, step: int, env_steps: int,
            scalars: Mapping[str, float]) -> None:
    """Appends a row.

    Args:
      step: gradient steps made so far.
      env_steps: environment steps taken so far.
      scalars: {tag: number}; NaN and infinity become null.

    Raises:
      ValueError: a tag has the name of a counter.
      StorageError: no space.
    """
    clash = set(scalars) & set(_RESERVED)
    if clash:
      raise ValueError(f'Tags must not be called {", ".join(_RESERVED)}, got '
                       f'{", ".join(sorted(clash))}.')
    row: Dict[str, Any] = {'step': int(step), 'env_steps': int(env_steps),
                           'time': round(time.time(), 3)}
    for tag, value in scalars.items():
      number = float(value)
      row[tag] = number if math.isfinite(number) else None
    self._append(_encode(row))
    if self._view is not None:
      self._view.write(row)

  def truncate_after(self, step: int) -> None:
    """Forgets rows of gradient steps that a resumed run will make again.

    Args:
      step: of the save that the run goes on from; its own rows are kept.

    Raises:
      StorageError: no space.
    """
    self._file.close()
    rows = read_metrics(self.path)
    kept = [row for row in rows if row['step'] <= step]
    if len(kept) < len(rows):
      self._rewrite(kept)
    # TensorBoard's files cannot be cut: they are made anew from the rows.
    if self._view is not None:
      self._view.rebuild(kept)
    self._open()

  def flush(self) -> None:
    """Hands TensorBoard what it has not seen yet."""
    if self._view is not None:
      self._view.flush()

  def close(self) -> None:
    """Closes the files; writing is over."""
    self._file.close()
    if self._view is not None:
      self._view.close()

  def _append(self, line: bytes) -> None:
    begin = os.fstat(self._file.fileno()).st_size
    left = line
    try:
      while left:  # on a full disk a part may be written first
        left = left[self._file.write(left):]
    except OSError as error:
      with contextlib.suppress(OSError):
        self._file.truncate(begin)
      raise atomic.storage_error(self.path, error, len(line)) from error

  def _open(self) -> None:
    try:
      # Unbuffered: a row is in the system's hands at once, so that only a power
      # failure loses any, and closing has nothing left that could fail.
      self._file = open(self.path, 'ab', buffering=0)
    except OSError as error:
      raise atomic.storage_error(self.path, error) from error

  def _rewrite(self, rows: List[Dict[str, Any]]) -> None:
    atomic.write_bytes(self.path, b''.join(map(_encode, rows)))


def _encode(row: Dict[str, Any]) -> bytes:
  return (json.dumps(row, allow_nan=False) + '\n').encode('utf-8')
