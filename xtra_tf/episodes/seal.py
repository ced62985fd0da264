"""The seal of a log: which writers it has, and how far their indices went.

An index names every byte of its shard, but nothing in a log names the indices:
one whose folder was not copied would not be missed. The seal, written when a
session that fills a log has ended, says what must be there at least; a log may
have grown since.
"""

import hashlib
import os
from typing import Any, Dict

from xtra_tf.episodes import block_index, checked_json, schema
from xtra_tf.errors import DataFileError

SEAL_NAME = 'seal.json'
_FORMAT = 'xtra_tf episode log seal'
_VERSION = 1
_HINT = 'Copy the data set anew, all of it.'


def write_seal(directory: str) -> None:
  """Seals a log as it is now.

  Args:
    directory: of the log; its writers are closed.

  Raises:
    DataFileError: an index is damaged.
    StorageError: the seal cannot be written.
  """
  writers: Dict[str, Any] = {}
  for writer, folder in schema.writer_folders(directory):
    path = os.path.join(folder, block_index.INDEX_NAME)
    if not os.path.exists(path):
      continue
    _, size = block_index.read_index(folder)
    writers[str(writer)] = {'bytes': size, 'sha256': _digest(path, size)}
  schema.write_whole(os.path.join(directory, SEAL_NAME), checked_json.encode(
      {'format': _FORMAT, 'version': _VERSION, 'writers': writers}))


def check_seal(directory: str) -> bool:
  """Whether a log is sealed; refuses one that lacks what the seal names.

  Raises:
    DataFileError: the seal is damaged, or a writer's folder or index is
      missing, shorter or another one.
  """
  path = os.path.join(directory, SEAL_NAME)
  try:
    data = checked_json.read(path)
  except FileNotFoundError:
    return False
  content = checked_json.decode(path, data)
  checked_json.verify(path, data, content)
  if content.get('format') != _FORMAT or content.get('version') != _VERSION:
    raise DataFileError(
        path, f'found the format {content.get("format")!r}, version '
        f'{content.get("version")!r}.',
        hint=f'Expected {_FORMAT!r}, version {_VERSION}.')
  try:
    writers = {str(int(writer)): (int(entry['bytes']), str(entry['sha256']))
               for writer, entry in content['writers'].items()}
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise DataFileError(path, f'it names no writers ({error!r}).', hint=_HINT
                        ) from error
  for writer, (size, digest) in writers.items():
    index = os.path.join(directory, writer, block_index.INDEX_NAME)
    if not os.path.exists(index):
      raise DataFileError(
          index, f'the file is missing; {SEAL_NAME} says that the set has '
          f'{len(writers)} writers.', hint=_HINT)
    if _digest(index, size) != digest:
      raise DataFileError(
          index, f'its first {size} bytes are not those that {SEAL_NAME} '
          'names: episodes were lost or exchanged.', hint=_HINT)
  return True


def _digest(path: str, size: int) -> str:
  with open(path, 'rb') as file:
    return hashlib.sha256(file.read(min(size, 2**62))).hexdigest()
