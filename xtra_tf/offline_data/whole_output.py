"""A folder that appears when all of it is there, and not before."""

import contextlib
import os
import shutil
from typing import Iterator

from xtra_tf.errors import UsageError
from xtra_tf.runs import (
  RunLock,
  check_free_space,
  make_folder,
  storage_error,
)
from xtra_tf.runs.atomic import sync_file

_PARTIAL = '.partial'


@contextlib.contextmanager
def whole_output(output: str, needed_bytes: int) -> Iterator[str]:
  """A folder to write into, which becomes `output` at the end.

  It lies next to the output under a temporary name. Whatever ends the block by
  an error, or a kill, leaves no output; what a kill left behind is replaced.

  Args:
    output: absolute path; must not exist.
    needed_bytes: a careful guess of what will be written.

  Yields:
    The folder, not made yet.

  Raises:
    UsageError: the output exists, or somebody else is writing it.
    StorageError: no space, no permission.
  """
  if os.path.exists(output):
    raise UsageError(f'{output} exists already. Expected a new folder for the '
                     'data; nothing in the old one was touched.')
  make_folder(os.path.dirname(output))
  check_free_space(output, needed_bytes)
  partial = output + _PARTIAL
  with RunLock(partial):
    data = os.path.join(partial, 'data')
    try:
      if os.path.exists(data):
        shutil.rmtree(data)
      yield data
      sync_file(data)
      os.rename(data, output)
      sync_file(os.path.dirname(output))
    except OSError as error:
      raise storage_error(output, error) from error
    finally:
      shutil.rmtree(partial, ignore_errors=True)
