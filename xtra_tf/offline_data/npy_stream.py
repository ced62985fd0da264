"""Reads arrays out of .npy and .npy.gz files a few rows at a time.

Nothing is allocated for what a header only claims, and an array of Python
objects, which would be a pickle, is refused by its header.
Source of the format: NumPy `lib/format.py`.
"""

import gzip
import io
import math
import os
from typing import IO, Any, Tuple, Union
import zlib

import numpy as np

from xtra_tf.errors import DataFileError

_COPY_HINT = 'Copy the file anew.'
# Far more than a row of any known source: a frame has some 30 kB.
_MAX_ROW_BYTES = 16 * 2**20
_MAX_HEADER_BYTES = 10_000  # NumPy's own limit, which it looks at too late


class NpyStream:
  """The rows of an array, in order; a context manager.

  Attributes:
    path: the file.
    dtype: of the array.
    shape: of the array; `shape[0]` rows.
  """

  def __init__(self, path: str):
    """Opens a file and checks its header.

    Args:
      path: a .npy file, compressed by gzip if the name ends in `.gz`.

    Raises:
      DataFileError: it is missing, damaged, no .npy file, of an unknown version
        of the format, or holds Python objects.
    """
    self.path = path
    self._row = 0
    try:
      self._file: Union[IO[bytes], io.BufferedIOBase] = (
          gzip.open(path, 'rb') if path.endswith('.gz') else open(path, 'rb'))
    except FileNotFoundError as error:
      raise DataFileError(path, 'the file is missing.', hint=_COPY_HINT
                          ) from error
    except OSError as error:
      raise DataFileError(path, f'the file cannot be opened ({error}).'
                          ) from error
    try:
      self.shape, self.dtype = self._header()
      self._row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
      if not 0 < self._row_bytes <= _MAX_ROW_BYTES:
        raise DataFileError(
            path, f'a row has the shape {list(self.shape[1:])} of {self.dtype},'
            f' {self._row_bytes} bytes.',
            hint=f'Expected 1 to {_MAX_ROW_BYTES} bytes.')
    except BaseException:
      self._file.close()
      raise

  def __enter__(self) -> 'NpyStream':
    return self

  def __exit__(self, *error: Any) -> None:
    self._file.close()

  def read(self, rows: int) -> np.ndarray:
    """The next rows, fewer at the end.

    Args:
      rows: at most so many.

    Returns:
      [n, *shape[1:]], read-only; n = 0 behind the last row. With the last row
      the end of the file, and the checksum of a .gz, have been checked.

    Raises:
      DataFileError: the file is truncated or damaged, or goes on.
    """
    if not self.shape:
      raise DataFileError(self.path, 'the array has no axis.',
                          hint='Expected one row per step.')
    rows = min(rows, self.shape[0] - self._row)
    content = self._bytes(rows * self._row_bytes)
    if len(content) < rows * self._row_bytes:
      found = self._row + len(content) // self._row_bytes
      raise DataFileError(
          self.path, f'the file ends after {found} rows, expected '
          f'{self.shape[0]} as its header says.', record=found,
          hint=_COPY_HINT)
    self._row += rows
    if self._row == self.shape[0] and self._bytes(1):
      raise DataFileError(
          self.path, f'the file goes on behind its {self._row} rows.',
          record=self._row, hint=_COPY_HINT)
    return np.frombuffer(content, self.dtype).reshape([rows, *self.shape[1:]])

  def read_scalar(self) -> int:
    """The one integer of an array without axes, or with one of length 1.

    Raises:
      DataFileError: as of `read`.
    """
    content = self._bytes(self.dtype.itemsize)
    if len(content) < self.dtype.itemsize or self._bytes(1):
      raise DataFileError(self.path, 'the file is not one number long.',
                          hint=_COPY_HINT)
    return int(np.frombuffer(content, self.dtype)[0])

  def _bytes(self, count: int) -> bytes:
    try:
      return self._file.read(count)
    except (OSError, EOFError, zlib.error) as error:
      raise DataFileError(
          self.path, f'the file cannot be decompressed ({error}).',
          record=self._row, hint=_COPY_HINT) from error

  def _header(self) -> Tuple[Tuple[int, ...], np.dtype]:
    readers = {(1, 0): (np.lib.format.read_array_header_1_0, 2),
               (2, 0): (np.lib.format.read_array_header_2_0, 4)}
    shape: Tuple[int, ...] = ()
    fortran, dtype = False, np.dtype('?')
    try:
      version = np.lib.format.read_magic(self._file)
      if version in readers:
        reader, digits = readers[version]
        shape, fortran, dtype = reader(self._header_bytes(digits))
    except DataFileError:
      raise
    # NumPy takes the header for a literal of Python, tokenizes and parses it:
    # a damaged one can fail in any of their ways.
    except Exception as error:  # pylint: disable=broad-except
      raise DataFileError(
          self.path, 'the file does not begin with the header of a .npy file '
          f'({str(error)[:120]}).', hint=_COPY_HINT) from error
    if version not in readers:
      raise DataFileError(
          self.path, f'the .npy format has version {version}.',
          hint='Expected version (1, 0) or (2, 0).')
    if dtype.hasobject:
      raise DataFileError(
          self.path, f'the array holds Python objects ({dtype}), which are a '
          'pickle: a program.', hint='Expected plain numbers or byte strings. '
          'Nothing of it was run.')
    if fortran and len(shape) > 1:
      raise DataFileError(self.path, 'the array is stored by columns.',
                          hint='Expected C order.')
    if min(shape, default=0) < 0:
      raise DataFileError(self.path, f'the array has the shape {list(shape)}.',
                          hint=_COPY_HINT)
    return shape, dtype


  def _header_bytes(self, digits: int) -> io.BytesIO:
    """The header with its length in front; NumPy reads as much as that says."""
    prefix = self._bytes(digits)
    length = int.from_bytes(prefix, 'little')
    if length > _MAX_HEADER_BYTES:
      raise DataFileError(
          self.path, f'the header claims to have {length} bytes.',
          hint=f'Expected at most {_MAX_HEADER_BYTES}. {_COPY_HINT}')
    return io.BytesIO(prefix + self._bytes(length))


def read_array(path: str, max_bytes: int) -> np.ndarray:
  """A whole array with at least one axis.

  Args:
    path: as of `NpyStream`.
    max_bytes: what it may take in memory.

  Raises:
    DataFileError: as of `NpyStream`; or it has no axis, or is too large.
  """
  with NpyStream(path) as stream:
    if not stream.shape:
      raise DataFileError(path, 'the array has no axis.',
                          hint='Expected one row per step.')
    claimed = stream.dtype.itemsize * math.prod(stream.shape)
    if claimed > max_bytes:
      raise DataFileError(
          path, f'the array {stream.dtype}{list(stream.shape)} takes {claimed} '
          'bytes.', hint=f'Expected at most {max_bytes}.')
    return stream.read(stream.shape[0])


def file_bytes(path: str) -> int:
  """Size of a file.

  Raises:
    DataFileError: it is not there.
  """
  try:
    return os.path.getsize(path)
  except OSError as error:
    raise DataFileError(path, 'the file is missing.', hint=_COPY_HINT
                        ) from error
