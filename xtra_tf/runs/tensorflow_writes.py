"""TensorFlow's errors about the disk, as ours."""

import contextlib
import errno
from typing import Iterator

from xtra_tf.runs.atomic import storage_error


@contextlib.contextmanager
def as_storage_error(path: str, needed: int = 0) -> Iterator[None]:
  """Turns TensorFlow's errors while it writes to `path` into StorageError.

  Args:
    path: the folder that is written to.
    needed: bytes that are to be written; 0 if unknown.

  Raises:
    StorageError: no space, no permission.
  """
  import tensorflow as tf
  try:
    yield
  except tf.errors.ResourceExhaustedError as error:
    full = OSError(errno.ENOSPC, 'No space left on device')
    raise storage_error(path, full, needed) from error
  except tf.errors.OutOfRangeError as error:
    long = OSError(errno.EFBIG, 'File too large')
    raise storage_error(path, long) from error
  except tf.errors.PermissionDeniedError as error:
    forbidden = OSError(errno.EACCES, 'Permission denied')
    raise storage_error(path, forbidden) from error
  except OSError as error:
    raise storage_error(path, error, needed) from error
