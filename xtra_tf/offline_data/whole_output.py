"""A folder that appears when all of it is there, and not before."""

import contextlib
import os
import shutil
from typing import Iterator

from xtra_tf.errors import DataFileError, IncompatibleDataError, UsageError
from xtra_tf.offline_data.earlier_import import check_is_ours
from xtra_tf.runs import (
  RunLock,
  check_free_space,
  make_folder,
  storage_error,
)
from xtra_tf.runs.atomic import sync_file

_PARTIAL = '.partial'


@contextlib.contextmanager
def whole_output(output: str, needed_bytes: int, goes_on: bool = False
                 ) -> Iterator[str]:
  """A folder to write into, which becomes `output` at the end.

  It lies next to the output under a temporary name. Whatever ends the block by
  an error, or a kill, leaves no output.

  Args:
    output: absolute path; must not exist.
    needed_bytes: a careful guess of what will be written.
    goes_on: what a kill or a full disk left behind is kept for the caller, who
      goes on with it; otherwise it is replaced.

  Yields:
    The folder; not made yet, but for what is gone on with.

  Raises:
    UsageError: the output exists, somebody else is writing it, or the temporary
      name is taken by something that is not ours.
    StorageError: no space, no permission.
  """
  # A link that leads nowhere is there, too.
  if os.path.lexists(output):
    raise UsageError(f'{output} exists already. Expected a new folder for the '
                     'data; nothing in the old one was touched.')
  make_folder(os.path.dirname(output))
  check_free_space(output, needed_bytes)
  partial = output + _PARTIAL
  if goes_on:
    check_is_ours(partial)
  with RunLock(partial):
    data = os.path.join(partial, 'data')
    kept = False
    try:
      if os.path.exists(data) and not goes_on:
        shutil.rmtree(data)
      yield data
      sync_file(data)
      os.rename(data, output)
      sync_file(os.path.dirname(output))
    except OSError as error:
      kept = goes_on
      raise storage_error(output, error) from error
    except (DataFileError, IncompatibleDataError):
      raise  # Nothing is made of data that are not good.
    except BaseException:
      kept = goes_on
      raise
    finally:
      if not kept:
        shutil.rmtree(partial, ignore_errors=True)
