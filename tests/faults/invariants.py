"""What a kill must not change of a run's folder, judged from the disk alone."""

import json
from typing import List

from tests.end_to_end.tiny_run import Snapshot


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
