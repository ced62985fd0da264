"""One run at a time in a root_dir, one process a collector."""

import contextlib
import os
import socket
from typing import Any, Optional, Union

import filelock

from xtra_tf.errors import DataFileError, StorageError, UsageError
from xtra_tf.runs import atomic


class RunLock:
  """Held as long as a run works in its root_dir; a context manager.

  The system releases the lock when the process ends, however it ends.
  """

  def __init__(self, root: Union[str, 'os.PathLike[str]'], name: str = 'run'):
    """Initializes the lock; nothing is locked yet.

    Args:
      root: the run's folder, made if need be.
      name: whose lock it is: the run's, or of one of its roles.
    """
    self._root = os.fspath(root)
    self._name = name
    self._holder = os.path.join(self._root, f'{name}.pid')
    self._lock: Optional[filelock.FileLock] = None

  def __enter__(self) -> 'RunLock':
    atomic.make_folder(self._root)
    # The holder's number is in a file of its own: what the lock file itself
    # contains is the library's affair.
    path = os.path.join(self._root, f'{self._name}.lock')
    lock = filelock.FileLock(path, timeout=0)
    try:
      lock.acquire()
    except filelock.Timeout as error:
      raise UsageError(
          f'{self._root} is in use by another {self._name}, process '
          f'{_read_holder(self._holder)}. Expected one at a time. Wait for it, '
          f'stop it, or choose another --root_dir. (Lock: {path})') from error
    except (OSError, NotImplementedError) as error:
      raise StorageError(
          f'Cannot lock {path}: {error}. Expected a writable folder on a file '
          'system with locks.') from error
    self._lock = lock
    try:
      atomic.write_json(self._holder, {
          'pid': os.getpid(), 'host': socket.gethostname()})
    except StorageError:
      lock.release()
      raise
    return self

  def __exit__(self, *exception: Any) -> None:
    with contextlib.suppress(OSError):
      os.unlink(self._holder)
    assert self._lock is not None
    self._lock.release()


def _read_holder(path: str) -> str:
  try:
    holder = atomic.read_json(path)
    return f'{holder["pid"]} on {holder["host"]}'
  except (DataFileError, KeyError, TypeError):
    return 'of unknown number'  # it is just starting or just ending
