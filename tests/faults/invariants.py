"""What a kill must not change of a run's folder, judged from the disk alone."""

import json
import os
import re
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from tests.end_to_end.tiny_run import Snapshot
from xtra_tf.episodes.block_index import (
  INDEX_NAME,
  SHARD_NAME,
  BlockEntry,
  checksum,
  read_index,
)

_TEMPORARY = re.compile(r'\.tmp|_temp$|\.tempstate')


def broken(first: Snapshot, later: Snapshot) -> List[str]:
  """One phrase for each promise that is broken between two moments.

  Args:
    first: what was on the disk.
    later: what was there later.

  Returns:
    Phrases; none if all is as promised.
  """
  where = f'between {first.stage} and {later.stage}'
  found = []
  for path, content in first.logs.items():
    if later.logs.get(path, b'')[:len(content)] != content:
      found.append(f'{path} lost committed bytes {where}')
  for folder, (step, env_steps) in first.manifests.items():
    newer = later.manifests.get(folder, (-1, -1))
    if newer[0] < step or newer[1] < env_steps:
      found.append(f'{folder} went back from {(step, env_steps)} to {newer} '
                   f'{where}')
  for folder, files in first.finished.items():
    if later.finished.get(folder) != files:
      found.append(f'the finished {folder} was changed {where}')
  if later.results[:len(first.results)] != first.results:
    found.append(f'results were changed {where}')
  if first.record['id'] != later.record['id']:
    found.append(f'the run has another name {where}')
  return found


def impossible(moment: Snapshot) -> List[str]:
  """One phrase for each thing that must not be on the disk at any moment."""
  found = []
  for folder, (_, env_steps) in moment.manifests.items():
    if moment.log_steps.get(folder, 0) < env_steps:
      found.append(f'the save of {folder} speaks of {env_steps} environment '
                   f'steps, its log holds {moment.log_steps.get(folder, 0)}')
  keys = [(line['run'], line['stage'], line['task'], line['step'])
          for line in map(json.loads, moment.results)]
  if len(set(keys)) < len(keys):
    found.append('a result stands there twice')
  return found


def damaged(root: str) -> List[str]:
  """One phrase for each committed block that is not as its index line says."""
  found = []
  for folder in sorted(_log_folders(root)):
    episodes: Dict[int, str] = {}
    for writer in sorted(os.listdir(folder)):
      place = os.path.join(folder, writer)
      if not os.path.exists(os.path.join(place, INDEX_NAME)):
        continue
      entries, _ = read_index(place)  # contiguous, or it would raise
      for number in {entry.episode for entry in entries}:
        if episodes.setdefault(number, writer) != writer:
          found.append(f'episode {number} of {folder} is there twice')
      found += [f'a block of {place} has other bytes than were committed'
                for entry in entries if entry.length
                and checksum(_record(place, entry)) != entry.crc32]
  return found


def leftovers(root: str) -> List[str]:
  """Temporary files that nobody will finish."""
  return [os.path.relpath(os.path.join(parent, name), root)
          for parent, folders, names in os.walk(root)
          for name in (*folders, *names) if _TEMPORARY.search(name)]


def odd_rows(rows: Sequence[Mapping[str, Any]]) -> List[str]:
  """One phrase for each row of metrics that cannot follow those before it."""
  found = []
  for before, row in zip(rows, rows[1:]):
    if row['step'] < before['step']:
      found.append(f'a row of step {row["step"]} follows one of step '
                   f'{before["step"]}')
  found += [f'the loss of step {row["step"]} is not finite' for row in rows
            if row.get('loss/total', 0.) is None]
  return found


def _log_folders(root: str) -> Iterator[str]:
  for parent, folders, _ in os.walk(root):
    if 'replay' in folders:
      episodes = os.path.join(parent, 'replay', 'episodes')
      if os.path.isdir(episodes):
        yield episodes


def _record(place: str, entry: BlockEntry) -> bytes:
  with open(os.path.join(place, SHARD_NAME), 'rb') as file:
    file.seek(entry.offset)
    return file.read(entry.length)
