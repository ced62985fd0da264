"""The zip file around a PyTorch state dict, read as if an enemy had written it.

`torch.save` stores, uncompressed, `<root>/data.pkl` (which tensors there are)
and `<root>/data/<key>` (the bytes of one storage each). Nothing is unpacked to
the disk, and nothing is believed before it has been compared with the size of
the file: a few bytes cannot ask for gigabytes.
Source: PyTorch `torch/serialization.py` (`_save`, `_load`).
"""

import os
import re
import struct
from types import TracebackType
from typing import BinaryIO, Dict, List, Optional, Type
import zipfile
import zlib

from xtra_tf.errors import DataFileError

MAX_FILE_BYTES = 256 * 2**20
MAX_PICKLE_BYTES = 2**20
_MAX_MEMBERS = 10_000
_MAX_DIRECTORY_BYTES = 2 * 2**20
_MAX_NAME = 200
_MAX_QUOTED = 400  # characters of another library's message

# The end of the central directory, and what stands before it in zip64 files,
# which is how PyTorch writes them.
_END = struct.Struct('<4s4H2LH')
_LOCATOR = struct.Struct('<4sLQL')
_END_64 = struct.Struct('<4sQ2H2L4Q')
_STORAGE = re.compile(r'data/([0-9]{1,20})')
_HINT = ('Expected the zip file that torch.save (PyTorch 1.6 or newer) writes '
         'for a state dict.')
_ENCRYPTED = 1
_LOCAL_HEADER_BYTES = 30
# All that zipfile raises for files that are not what they seem.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, KeyError,
           EOFError, OverflowError, RuntimeError, OSError)


class TorchArchive:
  """An open `.p` file whose table of contents makes sense.

  Attributes:
    path: the file.
    storage_bytes: {key: size in bytes} of its storages.
  """

  def __init__(self, path: str):
    """Opens the file and checks everything but the content of its members.

    Args:
      path: the file.

    Raises:
      DataFileError: it is missing, too large, truncated, no such zip file, or
        its table of contents contradicts the file.
    """
    self.path = path
    self._file = _open(path)
    try:
      size = os.fstat(self._file.fileno()).st_size
      start = _check_end(path, self._file, size)
      try:
        self._zip = zipfile.ZipFile(self._file)
      except _BROKEN as error:
        raise self._error('its table of contents is damaged '
                          f'({_quoted(error)}).') from error
      self._members = self._checked_members(start)
      self.storage_bytes = {
          match.group(1): info.file_size
          for name, info in self._members.items()
          if (match := _STORAGE.fullmatch(name))}
    except BaseException:
      self._file.close()
      raise

  def __enter__(self) -> 'TorchArchive':
    return self

  def __exit__(self, kind: Optional[Type[BaseException]],
               error: Optional[BaseException],
               traceback: Optional[TracebackType]) -> None:
    self._file.close()

  def pickle(self) -> bytes:
    """The content of data.pkl.

    Raises:
      DataFileError: its checksum is wrong, or the byte order is not ours.
    """
    if 'byteorder' in self._members and self._read('byteorder') != b'little':
      raise self._error('its numbers are not little-endian.')
    return self._read('data.pkl')

  def storage(self, key: str) -> bytes:
    """The bytes of a storage; `key` must be one of `storage_bytes`.

    Raises:
      DataFileError: its checksum is wrong.
    """
    return self._read(f'data/{key}')

  def _read(self, name: str) -> bytes:
    try:
      return self._zip.read(self._members[name])
    except _BROKEN as error:
      raise self._error(f'its member {name} is damaged ({_quoted(error)}).'
                        ) from error

  def _checked_members(self, directory_start: int
                       ) -> Dict[str, zipfile.ZipInfo]:
    """Members by their name below the root folder, each believed by now."""
    members: Dict[str, zipfile.ZipInfo] = {}
    roots = set()
    for info in self._zip.infolist():
      root, _, name = info.filename.partition('/')
      shown = repr(info.filename[:_MAX_NAME])
      parts = info.filename.split('/')
      if (len(info.filename) > _MAX_NAME or not name or '\\' in name
          or any(part in ('', '.', '..') for part in parts)):
        raise self._error(f'it has a member named {shown}.')
      if name in members:
        raise self._error(f'it has two members named {shown}.')
      if (info.compress_type != zipfile.ZIP_STORED
          or info.file_size != info.compress_size
          or info.flag_bits & _ENCRYPTED):
        raise self._error(f'its member {shown} is compressed or encrypted, '
                          'which torch.save never does.')
      roots.add(root)
      members[name] = info
    if len(roots) != 1:
      raise self._error(f'it has {len(roots)} folders at the top, expected 1.')
    if 'data.pkl' not in members:
      raise self._error('it has no data.pkl.')
    if members['data.pkl'].file_size > MAX_PICKLE_BYTES:
      raise self._error(
          f'its data.pkl has {members["data.pkl"].file_size} bytes, expected '
          f'at most {MAX_PICKLE_BYTES}.')
    self._check_overlap(list(members.values()), directory_start)
    return members

  def _check_overlap(self, infos: List[zipfile.ZipInfo],
                     directory_start: int) -> None:
    """Members side by side cannot hold more bytes than the file."""
    infos = sorted(infos, key=lambda info: info.header_offset)
    ends = [info.header_offset for info in infos[1:]] + [directory_start]
    for info, end in zip(infos, ends):
      header = _LOCAL_HEADER_BYTES + len(info.filename.encode())
      if (info.header_offset < 0
          or info.header_offset + header + info.file_size > end):
        raise self._error(f'its member {info.filename!r} reaches into the next '
                          'one.')

  def _error(self, reason: str) -> DataFileError:
    return DataFileError(self.path, f'{reason} {_HINT}')


def _quoted(error: Exception) -> str:
  """What zipfile says; it repeats names of any length from the file."""
  text = str(error)
  return text if len(text) <= _MAX_QUOTED else f'{text[:_MAX_QUOTED]}...'


def _open(path: str) -> BinaryIO:
  if not os.path.exists(path):
    raise DataFileError(path, f'does not exist. {_HINT}')
  if not os.path.isfile(path):
    raise DataFileError(path, f'is no file. {_HINT}')
  try:
    return open(path, 'rb')
  except OSError as error:
    raise DataFileError(path, f'cannot be read: {error.strerror}.') from error


def _check_end(path: str, file: BinaryIO, size: int) -> int:
  """Checks the last bytes of the file, before zipfile believes them.

  zipfile makes an object for each entry of a central directory of any size,
  and looks for its end at several places. Here it stands at one place only.

  Returns:
    Where the central directory begins.
  """
  if size > MAX_FILE_BYTES:
    raise DataFileError(path, f'has {size} bytes, expected at most '
                        f'{MAX_FILE_BYTES}. {_HINT}')
  file.seek(0)
  magic = file.read(4)
  if magic != b'PK\x03\x04':
    raise DataFileError(path, f'does not begin like a zip file. {_HINT}')
  length = min(size, _END_64.size + _LOCATOR.size + _END.size)
  file.seek(size - length)
  tail = file.read(length)
  if len(tail) < _END.size or tail[-_END.size:][:4] != b'PK\x05\x06':
    raise DataFileError(
        path, f'is truncated after {size} bytes: the end of a zip file is '
        f'missing. {_HINT}', hint='Copy or download it again.')
  (_, _, _, _, members, bytes_, start, _) = _END.unpack(tail[-_END.size:])
  end = size - _END.size
  locator = tail[-_END.size - _LOCATOR.size:-_END.size]
  if locator[:4] == b'PK\x06\x07':
    record = tail[:-_END.size - _LOCATOR.size]
    if len(record) != _END_64.size or record[:4] != b'PK\x06\x06':
      raise DataFileError(path, f'its table of contents is damaged. {_HINT}')
    members, bytes_, start = _END_64.unpack(record)[-3:]
    end -= _LOCATOR.size + _END_64.size
  if (members > _MAX_MEMBERS or bytes_ > _MAX_DIRECTORY_BYTES
      or start + bytes_ != end):
    raise DataFileError(
        path, f'claims {members} members in {bytes_} bytes at byte {start}; '
        f'expected at most {_MAX_MEMBERS} in {_MAX_DIRECTORY_BYTES}, ending at '
        f'byte {end}. {_HINT}')
  return start
