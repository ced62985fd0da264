"""The append-only index of a writer's shard: one JSON line per block.

A block is committed once its line is there. Each line carries a checksum of
itself, so that a changed digit is found as surely as a torn line.
"""

import dataclasses
import json
import math
import os
from typing import Any, Dict, List, Optional, Tuple
import zlib

from xtra_tf.episodes.schema import ENDS
from xtra_tf.errors import DataFileError

INDEX_NAME = 'index.jsonl'
SHARD_NAME = 'shard-00000.tfrecord'

REPAIR_HINT = (
    'If the program that wrote it was killed, let that run go on: its writer '
    'drops what was not committed. Otherwise copy the data set anew.')


@dataclasses.dataclass(frozen=True)
class BlockEntry:
  """One line: where a block is, and what it says without being read.

  A line with length 0 has no record; it says only how an episode ended.

  Attributes:
    episode: number of the episode.
    rows: rows in the block.
    real: rows with real = 1.
    last_real: whether the last row of the block has real = 1.
    raw_return: sum of the raw rewards.
    offset: byte in the shard at which the record begins.
    length: bytes of the record, its TFRecord frame included; 0 for none.
    crc32: zlib's CRC-32 of these bytes.
    env_steps: rows with real = 1 of this writer up to here.
    end: how the episode ended, if it ends with this line.
  """
  episode: int
  rows: int
  real: int
  last_real: bool
  raw_return: float
  offset: int
  length: int
  crc32: int
  env_steps: int
  end: Optional[str]


_TYPES: Dict[str, Any] = {
    'episode': int, 'rows': int, 'real': int, 'last_real': bool,
    'raw_return': float, 'offset': int, 'length': int, 'crc32': int,
    'env_steps': int, 'end': (str, type(None))}


def _check_of(fields: Dict[str, Any]) -> int:
  text = json.dumps(fields, sort_keys=True, separators=(',', ':'))
  return zlib.crc32(text.encode())


def checksum(record: bytes) -> int:
  """The checksum of a record's bytes, as in `BlockEntry.crc32`."""
  return zlib.crc32(record)


def encode_line(entry: BlockEntry) -> bytes:
  """The line of an entry, its newline included."""
  fields = dataclasses.asdict(entry)
  fields['check'] = _check_of(fields)
  return json.dumps(fields, separators=(',', ':')).encode() + b'\n'


def decode_line(line: bytes) -> BlockEntry:
  """The entry of a line.

  Raises:
    ValueError: saying what is wrong with the line.
  """
  try:
    fields = json.loads(line)
    check = fields.pop('check')
  except (ValueError, KeyError, TypeError, AttributeError,
          RecursionError) as error:
    raise ValueError('it is not an entry of an index') from error
  if check != _check_of(fields):
    raise ValueError('its checksum does not fit')
  if (set(fields) != set(_TYPES)
      or not all(isinstance(fields[k], t) for k, t in _TYPES.items())
      or fields['end'] not in (None, *ENDS) or not _is_possible(fields)):
    raise ValueError('its fields are not those of an index')
  return BlockEntry(**fields)


def _is_possible(fields: Dict[str, Any]) -> bool:
  """Whether the numbers of a line can be those of a block."""
  counts = [fields[name] for name, kind in _TYPES.items() if kind is int]
  return (all(type(count) is int and 0 <= count < 2**63 for count in counts)
          and math.isfinite(fields['raw_return'])
          and fields['last_real'] <= fields['real'] <= fields['rows']
          and bool(fields['length']) == bool(fields['rows']))


def read_index(folder: str) -> Tuple[List[BlockEntry], int]:
  """Reads a writer's index up to a torn last line.

  Args:
    folder: the writer's.

  Returns:
    The entries, and the number of bytes that their lines have. The file is
    longer if its last line is torn, that is, has no newline.

  Raises:
    DataFileError: the index is missing, or a complete line is damaged or does
      not go on where the one before it ended.
  """
  path = os.path.join(folder, INDEX_NAME)
  try:
    with open(path, 'rb') as file:
      content = file.read()
  except FileNotFoundError as error:
    raise DataFileError(path, 'the file is missing.',
                        hint='Copy the data set anew.') from error
  except OSError as error:
    raise DataFileError(path, f'the file cannot be read: {error}.') from error
  end = content.rfind(b'\n') + 1
  entries: List[BlockEntry] = []
  for record, line in enumerate(content[:end].splitlines(keepends=True)):
    try:
      entry = decode_line(line)
      _check_sequence(entries[-1] if entries else None, entry)
    except ValueError as error:
      raise DataFileError(path, f'the line is damaged: {error}.',
                          record=record,
                          hint='Copy the data set anew.') from error
    entries.append(entry)
  return entries, end


def lines_bytes(folder: str, count: int) -> int:
  """Bytes of the first `count` lines of a writer's index."""
  with open(os.path.join(folder, INDEX_NAME), 'rb') as file:
    return sum(len(file.readline()) for _ in range(count))


def _check_sequence(previous: Optional[BlockEntry], entry: BlockEntry) -> None:
  """Raises ValueError if a line was lost, doubled or moved."""
  offset = previous.offset + previous.length if previous else 0
  env_steps = (previous.env_steps if previous else 0) + entry.real
  if entry.offset != offset or entry.env_steps != env_steps:
    raise ValueError(
        f'it does not go on where the line before ended (expected offset '
        f'{offset} and {env_steps} environment steps, found {entry.offset} and '
        f'{entry.env_steps})')
  if previous is not None and previous.end is None:
    if entry.episode != previous.episode:
      raise ValueError(f'episode {previous.episode} has no end')
  elif previous is not None and entry.episode <= previous.episode:
    raise ValueError(f'episode {entry.episode} follows {previous.episode}')


def committed_bytes(entries: List[BlockEntry]) -> int:
  """Length of the shard up to the last committed block."""
  return entries[-1].offset + entries[-1].length if entries else 0


def shard_size(folder: str, entries: List[BlockEntry]) -> int:
  """Size of a writer's shard.

  Args:
    folder: the writer's.
    entries: its index.

  Raises:
    DataFileError: the shard is missing or shorter than its index says; the
      first record that is not whole is named.
  """
  path = os.path.join(folder, SHARD_NAME)
  try:
    size = os.path.getsize(path)
  except FileNotFoundError as error:
    if not entries:
      return 0  # The writer was killed before it made the file.
    raise DataFileError(
        path, 'the file is missing.',
        hint='Copy the data set anew.') from error
  if size < committed_bytes(entries):
    record = next(i for i, e in enumerate(entries)
                  if e.offset + e.length > size)
    state = 'empty' if not size else f'truncated: it has {size} bytes'
    raise DataFileError(
        path, f'the file is {state}; expected {committed_bytes(entries)} '
        'bytes.',
        record=record, offset=entries[record].offset,
        hint='Copy the data set anew.')
  return size
