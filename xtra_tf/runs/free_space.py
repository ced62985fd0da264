"""Room on the disk, and byte counts as text."""

import os
import shutil

from xtra_tf.errors import StorageError


def format_bytes(count: float) -> str:
  """A byte count for people, e.g. `1.5 GiB`."""
  for unit in ('B', 'KiB', 'MiB', 'GiB'):
    if abs(count) < 1024:
      return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
    count /= 1024
  return f'{count:.1f} TiB'


def existing_parent(path: str) -> str:
  """The path itself, or the nearest folder above it that exists."""
  path = os.path.abspath(path)
  while not os.path.exists(path):
    path = os.path.dirname(path)
  return path


def free_bytes(path: str) -> int:
  """Bytes that can still be written where `path` is or would be made."""
  return shutil.disk_usage(existing_parent(path)).free


def check_free_space(path: str, needed_bytes: int) -> None:
  """Refuses to start what would run out of room.

  Args:
    path: a file or folder, which need not exist yet.
    needed_bytes: room that is needed there, in bytes.

  Raises:
    StorageError: there is less; names path, needed and free.
  """
  free = free_bytes(path)
  if free < needed_bytes:
    raise StorageError(
        f'No space left: {path} needs {format_bytes(needed_bytes)}, free are '
        f'{format_bytes(free)}. Expected at least the former. Make room or '
        'choose a folder on another disk.')
