"""JSON files that carry a checksum of themselves.

Every byte counts, blanks too: a file is good if it is what `encode` makes of
its own content.
"""

import hashlib
import json
from typing import Any, Dict, Mapping

from xtra_tf.errors import DataFileError

CHECK = 'check'
_MAX_BYTES = 2**24  # a header has some kB
_COPY_HINT = 'Copy the data set anew.'


def encode(content: Mapping[str, Any]) -> bytes:
  """The file of a content, its checksum included."""
  plain = json.dumps(dict(content), sort_keys=True, separators=(',', ':'))
  digest = hashlib.sha256(plain.encode()).hexdigest()
  return (json.dumps({**content, CHECK: digest}, indent=1, sort_keys=True)
          + '\n').encode()


def read(path: str) -> bytes:
  """The bytes of such a file.

  Raises:
    FileNotFoundError: there is none.
    DataFileError: it cannot be read, or is far too large.
  """
  try:
    with open(path, 'rb') as file:
      content = file.read(_MAX_BYTES + 1)
  except FileNotFoundError:
    raise
  except OSError as error:
    raise DataFileError(path, f'the file cannot be read: {error}.',
                        hint=_COPY_HINT) from error
  if len(content) > _MAX_BYTES:
    raise DataFileError(path, f'the file has more than {_MAX_BYTES} bytes.',
                        hint=_COPY_HINT)
  return content


def decode(path: str, data: bytes) -> Dict[str, Any]:
  """The content of a file, unchecked; see `verify`.

  Args:
    path: of the file, for messages.
    data: its bytes.

  Raises:
    DataFileError: it is no JSON object.
  """
  try:
    content = json.loads(data)
  # Deeply nested lists end in Python's own limit.
  except (ValueError, RecursionError) as error:
    raise DataFileError(
        path, f'the file cannot be read as JSON ({str(error)[:120]}).',
        hint=_COPY_HINT) from error
  return content if isinstance(content, dict) else {}


def verify(path: str, data: bytes, content: Mapping[str, Any]) -> None:
  """Refuses a file that was changed after it was written.

  Args:
    path: of the file, for messages.
    data: its bytes.
    content: what `decode` made of them.

  Raises:
    DataFileError: a byte is not what it was.
  """
  rest = {name: value for name, value in content.items() if name != CHECK}
  if encode(rest) != data:
    raise DataFileError(
        path, 'the file was changed after it was written: its checksum does '
        'not fit.', hint=_COPY_HINT)
