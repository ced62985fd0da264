"""Rows of an episode, read out of a writer's shard and verified."""

from typing import Any, Dict, Mapping, Sequence, Tuple

import numpy as np

from xtra_tf.episodes import block_index, blocks, schema
from xtra_tf.episodes.block_index import BlockEntry
from xtra_tf.errors import DataFileError


def read_rows(shard: str, lines: Sequence[Tuple[int, BlockEntry]],
              layout: Mapping[str, schema.Column], num_actions: int,
              number: int, writer: int) -> schema.Episode:
  """All rows of an episode as they were written.

  Args:
    shard: path of the writer's shard.
    lines: (line of the index, entry) of each block; one of them has rows.
    layout: columns that are stored.
    num_actions: of the task.
    number: of the episode.
    writer: its number.

  Returns:
    The episode, its end `cut`; columns that are not stored are None, the arrays
    are writable.

  Raises:
    DataFileError: a record is damaged, or not what its line says.
  """
  parts = []
  try:
    with open(shard, 'rb') as file:
      for line, entry in lines:
        if entry.rows:
          file.seek(entry.offset)
          parts.append(_decode(shard, line, entry, file.read(entry.length),
                               layout, num_actions))
  except OSError as error:
    raise DataFileError(shard, f'the file cannot be read: {error}.') from error
  columns: Dict[str, Any] = dict.fromkeys(
      ('observation', *schema.OPTIONAL_COLUMNS))
  columns.update(blocks.concatenate(parts))
  return schema.Episode(number=number, writer=writer, end='cut', **columns)


def _decode(shard: str, line: int, entry: BlockEntry, content: bytes,
            layout: Mapping[str, schema.Column], num_actions: int
            ) -> Dict[str, np.ndarray]:
  reason = ''
  if block_index.checksum(content) != entry.crc32:
    reason = 'the record is damaged: its checksum does not fit'
  else:
    try:
      columns = blocks.decode_block(content, entry.episode, entry.rows, layout)
      _check_values(entry, columns, num_actions)
      return columns
    except ValueError as error:
      reason = f'the record is damaged: {error}'
  raise DataFileError(shard, f'{reason}.', record=line, offset=entry.offset,
                      hint='Copy the data set anew.')


def _check_values(entry: BlockEntry, columns: Mapping[str, np.ndarray],
                  num_actions: int) -> None:
  """Raises ValueError if rows are not what line and header say of them."""
  real, actions = columns['real'], columns['action']
  found = (int(np.count_nonzero(real)), bool(real[-1]))
  if found != (entry.real, entry.last_real):
    raise ValueError(f'it has {found[0]} rows with real = 1, expected '
                     f'{entry.real} as its line says')
  if actions.min() < 0 or actions.max() >= num_actions:
    raise ValueError(f'it has actions {actions.min()} to {actions.max()}, '
                     f'expected 0 to {num_actions - 1}')
