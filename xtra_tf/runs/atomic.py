"""Files that are there whole or not at all.

A file is written under a temporary name, synchronized and renamed; then its
folder is synchronized, so that the name survives a power failure too.
"""

import contextlib
import errno
import json
import os
import re
import threading
from typing import Any, List

from xtra_tf.errors import DataFileError, StorageError
from xtra_tf.runs.free_space import format_bytes, free_bytes

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_TEMPORARY = re.compile(r'^\..+\.\d+-\d+\.tmp$')


def storage_error(path: str, error: OSError, needed: int = 0) -> StorageError:
  """Says what a failed write means to the user.

  Args:
    path: the file or folder that was to be written.
    error: what the system said.
    needed: bytes that were to be written; 0 if unknown.

  Returns:
    The error to raise.
  """
  if error.errno in _FULL:
    wanted = f'needed {format_bytes(needed)}, ' if needed else ''
    return StorageError(
        f'No space left: {path}, {wanted}free {format_bytes(free_bytes(path))}.'
        ' Make room and run the same command again; it goes on from the last '
        'save.')
  if error.errno in _FORBIDDEN:
    return StorageError(
        f'Cannot write {path}: {error.strerror}. Expected a place that this '
        'user may write to.')
  return StorageError(
      f'Cannot write {path}: {error.strerror or error}. Expected a folder that '
      'exists or can be made, on a disk that works.')


def make_folder(path: str) -> str:
  """Makes a folder and those above it, unless they exist; returns the path.

  Raises:
    StorageError: it cannot be made.
  """
  try:
    os.makedirs(path, exist_ok=True)
  except OSError as error:
    raise storage_error(path, error) from error
  return path


def sync_file(path: str) -> None:
  """Waits until a file's (or folder's) content has reached the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def write_bytes(path: str, data: bytes) -> None:
  """Writes a file in one piece, replacing what was there.

  Args:
    path: the file; its folder must exist.
    data: its whole content.

  Raises:
    StorageError: no space, no permission. The old content is still there.
  """
  folder, name = os.path.split(os.path.abspath(path))
  temporary = os.path.join(
      folder, f'.{name}.{os.getpid()}-{threading.get_ident()}.tmp')
  for is_last in (False, True):
    try:
      with open(temporary, 'wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
      os.replace(temporary, path)
      sync_file(folder)
      return
    except OSError as error:
      # A role that goes on with the run sweeps what it takes for a leftover.
      if isinstance(error, FileNotFoundError) and not is_last:
        continue
      with contextlib.suppress(OSError):
        os.unlink(temporary)
      raise storage_error(path, error, len(data)) from error


def _plain(value: Any) -> Any:
  """NumPy scalars and arrays, and whatever else has `tolist`, as JSON."""
  if hasattr(value, 'tolist'):
    return value.tolist()
  raise TypeError(f'{type(value).__name__} cannot be written as JSON.')


def write_json(path: str, content: Any) -> None:
  """Writes a JSON file in one piece.

  Raises:
    StorageError: no space, no permission.
    ValueError: a number is NaN or infinite, which JSON does not have.
  """
  text = json.dumps(content, indent=2, allow_nan=False, default=_plain)
  write_bytes(path, (text + '\n').encode('utf-8'))


def read_json(path: str) -> Any:
  """Reads a JSON file.

  Raises:
    DataFileError: it is missing or damaged.
  """
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except OSError as error:
    raise DataFileError(
        path, f'cannot be read ({error.strerror}).') from error
  except (ValueError, RecursionError) as error:
    raise DataFileError(
        path, f'is damaged: expected JSON, found {error}.',
        hint='Restore the file from a copy, or begin anew in another folder.'
    ) from error


def sweep_temporary(folder: str) -> List[str]:
  """Removes temporary files that killed processes have left under a folder.

  Only for whoever holds the run's lock.

  Returns:
    The removed paths.
  """
  removed = []
  for parent, _, names in os.walk(folder):
    for name in names:
      if _TEMPORARY.match(name):
        removed.append(os.path.join(parent, name))
  for path in removed:
    with contextlib.suppress(FileNotFoundError):
      os.unlink(path)
  return removed
