"""What processes take of a machine, and whether it stays the same."""

import os
import re
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
import psutil

# A change is judged behind the first quarter of a run: until then tables and
# caches fill.
WARM_UP_SHARE = 0.25
MOST_MIB_PER_HOUR = 5.
_MEMORY = ('Rss', 'Pss', 'Anonymous')
_ROLE = re.compile(r'launchers\.(\w+)')
_NUMBER = re.compile(r'--collector=(\d+)')
_NAMES = {'replay_server': 'server', 'train': 'learner'}


def roles_below(pid: int) -> Dict[str, int]:
  """{role: number} of a launcher's process and of those that it has started."""
  top = psutil.Process(pid)
  found: Dict[str, int] = {}
  for process in [top, *top.children(recursive=True)]:
    try:
      command = ' '.join(process.cmdline())
    except psutil.Error:
      continue  # it has just ended
    module = _ROLE.search(command)
    if module is None:
      continue
    name = _NAMES.get(module.group(1), module.group(1))
    number = _NUMBER.search(command)
    if name == 'collect' and number:
      name = f'collector-{number.group(1)}'
    if name == 'local':
      name = 'supervisor' if '--inside' in command else 'parent'
    found[name] = process.pid
  return found


def look(pid: int) -> Dict[str, Any]:
  """What one process takes now.

  Returns:
    Its number; `rss`, `pss` and `anonymous` memory in MiB; open `files` and
    `threads`. What a leak adds to is `anonymous`; the others also hold pages of
    libraries, which come and go with other programs.
  """
  found: Dict[str, Any] = {'pid': pid}
  with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
    sizes = dict(re.findall(r'^(\w+): +(\d+) kB', file.read(), re.MULTILINE))
  for name in _MEMORY:
    found[name.lower()] = round(int(sizes[name]) / 1024, 2)
  found['files'] = len(os.listdir(f'/proc/{pid}/fd'))
  found['threads'] = len(os.listdir(f'/proc/{pid}/task'))
  return found


def behind_warm_up(lines: Sequence[Mapping[str, Any]]
                   ) -> List[Mapping[str, Any]]:
  """The samples that are judged."""
  first, last = lines[0]['seconds'], lines[-1]['seconds']
  return [line for line in lines
          if line['seconds'] >= first + WARM_UP_SHARE * (last - first)]


def verdict(lines: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
  """Whether memory, files and threads of all roles stayed as they were.

  Args:
    lines: samples in order, each with `seconds`, `updates` and `roles`, {role:
      what `look` returned}.

  Returns:
    {role: slopes, ranges and `flat`}, and the number of samples and seconds
    that they are taken from. Memory is flat if a line through it rises by less
    than `MOST_MIB_PER_HOUR`, files and threads if a line through their number
    changes by less than one over all samples.
  """
  judged = behind_warm_up(lines)
  roles = judged[-1]['roles']
  seconds = judged[-1]['seconds'] - judged[0]['seconds']
  updates = judged[-1]['updates'] - judged[0]['updates']
  found: Dict[str, Any] = {
      'samples': len(judged), 'seconds': round(seconds), 'updates': updates,
      'roles': {}}
  for role in roles:
    rows = [line for line in judged if role in line['roles']]
    hours = np.array([line['seconds'] / 3600 for line in rows])
    columns = {name: np.array([line['roles'][role][name] for line in rows])
               for name in ('anonymous', 'files', 'threads', 'pid')}
    slopes = {name: _slope(hours, values) for name, values in columns.items()}
    whole = hours[-1] - hours[0]
    found['roles'][role] = {
        'mib': float(columns['anonymous'][-1]),
        'mib_per_hour': round(slopes['anonymous'], 2),
        'mib_per_10000_updates': round(
            slopes['anonymous'] * seconds / 3600 / max(updates, 1) * 1e4, 2),
        **{name: [int(columns[name].min()), int(columns[name].max())]
           for name in ('files', 'threads')},
        'flat': bool(
            slopes['anonymous'] < MOST_MIB_PER_HOUR
            and all(abs(slopes[name]) * whole < 1
                    for name in ('files', 'threads'))
            and len(set(columns['pid'])) == 1)}
  found['flat'] = all(role['flat'] for role in found['roles'].values())
  return found


def _slope(x: np.ndarray, y: np.ndarray) -> float:
  """Of the line of least squares; 0 for a single moment."""
  x = x - x.mean()
  spread = float((x * x).sum())
  return float((x * (y - y.mean())).sum()) / spread if spread else 0.
