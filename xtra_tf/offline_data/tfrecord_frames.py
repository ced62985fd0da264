"""Records of a TFRecord file, each length looked at before it is believed.

TensorFlow's reader checks the checksums but names no file, and takes any length
that has a valid checksum for an amount of memory to ask for.
"""

import os
from typing import Iterator, Tuple

from xtra_tf.errors import DataFileError
from xtra_tf.offline_data.npy_stream import file_bytes

# Length and its checksum in front, the payload's checksum behind.
_HEAD_BYTES = 12
_TAIL_BYTES = 4
# An episode of Atari in PNG, 27 000 frames, takes some 100 MB.
_MAX_BYTES = 2**28
_COPY = 'Copy the file anew.'


def count_records(path: str) -> int:
  """How many records a file has, by their lengths alone.

  Raises:
    DataFileError: it is missing, truncated, or a record is absurdly long.
  """
  size, offset, count = file_bytes(path), 0, 0
  try:
    with open(path, 'rb') as file:
      while offset < size:
        file.seek(offset)
        head = file.read(8)
        length = int.from_bytes(head, 'little')
        following = offset + _HEAD_BYTES + length + _TAIL_BYTES
        if len(head) == 8 and following <= size and length > _MAX_BYTES:
          raise DataFileError(
              path, f'the record has {length} bytes.', record=count,
              offset=offset, hint=f'Expected at most {_MAX_BYTES}.')
        if following > size:
          raise DataFileError(
              path, 'the file is truncated or damaged: it ends within the '
              'record, by the length that this begins with.', record=count,
              offset=offset, hint=_COPY)
        offset = following
        count += 1
  except OSError as error:
    raise DataFileError(path, f'the file cannot be read ({error}).'
                        ) from error
  return count


def read_records(path: str) -> Iterator[Tuple[int, bytes]]:
  """(number, content) of each record, checksums verified.

  Args:
    path: a file that `count_records` has looked at.

  Raises:
    DataFileError: a checksum does not fit.
  """
  import tensorflow as tf  # pylint: disable=g-import-not-at-top
  number = 0
  records = iter(tf.data.TFRecordDataset(os.fspath(path)))
  while True:
    try:
      record = next(records)
    except StopIteration:
      return
    except tf.errors.OpError as error:
      raise DataFileError(
          path, f'the record is damaged ({error.message[:120]}).',
          record=number, hint=_COPY) from error
    yield number, record.numpy()
    number += 1
