"""Blocks of rows as TFRecord records.

A record is a tf.train.Example: `episode`, `rows`, and one bytes feature per
column, the column's values in row order, compressed by zlib. Any TFRecord
reader can read a shard.
"""

import math
from typing import BinaryIO, Dict, List, Mapping, Sequence
import zlib

import numpy as np

from xtra_tf.episodes.schema import Column, StepRow
from xtra_tf.errors import IncompatibleDataError

# Level 1 makes Atari frames about ten times smaller than raw; higher levels
# gain little and cost the actor time.
_COMPRESSION_LEVEL = 1

# Around the payload: length (8 bytes), its checksum (4), payload's (4).
FRAME_BYTES = 16
_HEAD_BYTES = 12

# What a block's column takes in memory at most, so that a reader is never asked
# for more. 200 Atari frames of 160 x 160 in RGB take 15 MB.
_MAX_COLUMN_BYTES = 2**27


def most_rows(layout: Mapping[str, Column]) -> int:
  """Rows that a block may have.

  Raises:
    IncompatibleDataError: not even one, so large are they.
  """
  sizes = {name: math.prod(column.shape) * column.dtype.itemsize
           for name, column in layout.items()}
  name = max(sizes, key=lambda name: sizes[name])
  if sizes[name] > _MAX_COLUMN_BYTES:
    raise IncompatibleDataError(
        f'A row of the column {name} takes {sizes[name]} bytes. Expected at '
        f'most {_MAX_COLUMN_BYTES}.')
  return _MAX_COLUMN_BYTES // sizes[name]


def encode_block(episode: int, rows: Sequence[StepRow],
                 layout: Mapping[str, Column], name: str) -> bytes:
  """One record, TFRecord's frame included.

  Args:
    episode: number of the rows' episode.
    rows: of one episode, in order.
    layout: the columns to store.
    name: a name that no other thread of this process uses meanwhile.

  Returns:
    The bytes to append to a shard.
  """
  import tensorflow as tf  # pylint: disable=g-import-not-at-top
  feature = {
      key: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
      for key, value in (('episode', episode), ('rows', len(rows)))}
  for column, (dtype, shape) in layout.items():
    values = np.array([getattr(row, column) for row in rows], dtype)
    packed = zlib.compress(values.reshape([len(rows), *shape]).tobytes(),
                           _COMPRESSION_LEVEL)
    feature[column] = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[packed]))
  example = tf.train.Example(features=tf.train.Features(feature=feature))
  # TFRecordWriter cannot append, so it frames each record in memory.
  path = f'ram://xtra_tf/{name}'
  with tf.io.TFRecordWriter(path) as writer:
    writer.write(example.SerializeToString())
  with tf.io.gfile.GFile(path, 'rb') as file:
    record = file.read()
  tf.io.gfile.remove(path)
  return record


def decode_block(record: bytes, episode: int, rows: int,
                 layout: Mapping[str, Column]) -> Dict[str, np.ndarray]:
  """The columns of a record whose checksum has been verified.

  Args:
    record: the bytes, TFRecord's frame included.
    episode: the episode that the index names.
    rows: the number of rows that the index names.
    layout: the columns that are stored.

  Returns:
    {column: array [rows, *shape]}, read-only.

  Raises:
    ValueError: the record is not what the index says.
  """
  import tensorflow as tf  # pylint: disable=g-import-not-at-top
  length = int.from_bytes(record[:8], 'little')
  if length != len(record) - FRAME_BYTES:
    raise ValueError(f'its frame says {length} bytes, expected '
                     f'{len(record) - FRAME_BYTES}')
  try:
    example = tf.train.Example.FromString(record[_HEAD_BYTES:-4])
  except Exception as error:  # protobuf's DecodeError has no public name here
    raise ValueError('it is not a tf.train.Example') from error
  feature = example.features.feature
  found = [list(feature[key].int64_list.value) for key in ('episode', 'rows')]
  if found != [[episode], [rows]]:
    raise ValueError(f'it holds episode and rows {found}, expected '
                     f'{[[episode], [rows]]}')
  columns = {name: _unpack(feature[name].bytes_list.value, name, rows, column)
             for name, column in layout.items()}
  # A checksum says that a value is what was written, not that it makes sense.
  for name, values in columns.items():
    if values.dtype.kind == 'f' and not np.isfinite(values).all():
      raise ValueError(f'the column {name} has a value that is not finite')
  return columns


def _unpack(values: Sequence[bytes], name: str, rows: int,
            column: Column) -> np.ndarray:
  if len(values) != 1:
    raise ValueError(f'the column {name} is missing')
  shape = (rows, *column.shape)
  size = math.prod(shape) * column.dtype.itemsize
  if size > _MAX_COLUMN_BYTES:
    raise ValueError(f'the column {name} would take {size} bytes, more than '
                     f'{_MAX_COLUMN_BYTES}')
  # The bound keeps a damaged or hostile column from filling the memory.
  unpacker = zlib.decompressobj()
  try:
    unpacked = unpacker.decompress(values[0], size + 1)
  except zlib.error as error:
    raise ValueError(f'the column {name} cannot be decompressed') from error
  if len(unpacked) != size or not unpacker.eof:
    raise ValueError(f'the column {name} is not of shape {shape}')
  return np.frombuffer(unpacked, column.dtype).reshape(shape)


def whole_records(shard: BinaryIO, offset: int, size: int) -> int:
  """How many complete records follow a byte, by their frames' lengths.

  Args:
    shard: open for reading.
    offset: byte at which a record may begin.
    size: of the shard.
  """
  count = 0
  while offset + FRAME_BYTES <= size:
    shard.seek(offset)
    offset += FRAME_BYTES + int.from_bytes(shard.read(8), 'little')
    count += offset <= size
  return count


def concatenate(blocks: List[Dict[str, np.ndarray]]) -> Dict[str, np.ndarray]:
  """The columns of consecutive blocks, joined; writable arrays."""
  return {name: np.concatenate([block[name] for block in blocks])
          for name in blocks[0]}
