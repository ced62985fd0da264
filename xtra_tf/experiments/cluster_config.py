"""TF_CONFIG, TensorFlow's own way to tell a process of its cluster."""

import json
import os
from typing import Any, Mapping, NamedTuple, Optional, Tuple

from xtra_tf.errors import UsageError

VARIABLE = 'TF_CONFIG'
EXAMPLE = ('{"cluster": {"worker": ["host0:12345", "host1:12345"]}, '
           '"task": {"type": "worker", "index": 0}}')
_JOBS = ('chief', 'worker')  # in the order in which they count


class ClusterConfig(NamedTuple):
  """The learners that train together, and which one this is."""
  addresses: Tuple[str, ...]  # HOST:PORT of each, the chief's first
  place: int  # of this process among them


def read(environ: Optional[Mapping[str, str]] = None) -> ClusterConfig:
  """Reads TF_CONFIG, and refuses what TensorFlow would wait or stumble over.

  Args:
    environ: the environment; the process's own if left out.

  Raises:
    UsageError: it is missing or cannot be meant; says what was found.
  """
  text = (os.environ if environ is None else environ).get(VARIABLE, '')
  if not text.strip():
    raise _wrong('is not set')
  try:
    config = json.loads(text)
  except ValueError as error:
    raise _wrong(f'is no JSON ({error}): {text!r}') from error
  cluster = _entry(config, 'cluster')
  strange = sorted(set(cluster) - set(_JOBS))
  if strange:
    raise _wrong(f'has the jobs {", ".join(strange)}, which have no part in '
                 f'this program; it knows {" and ".join(_JOBS)}')
  for job in cluster:
    _check_addresses(job, cluster[job])
  if len(cluster.get('chief', ())) > 1:
    raise _wrong(f'has {len(cluster["chief"])} chiefs, where there can be one')
  addresses = tuple(address for job in _JOBS
                    for address in cluster.get(job, ()))
  if len(addresses) < 2:
    raise _wrong(f'names {len(addresses)} learner; several are wanted here, '
                 'and one machine alone has --strategy=mirrored')
  if len(set(addresses)) < len(addresses):
    raise _wrong(f'has an address twice: {", ".join(addresses)}')
  return ClusterConfig(addresses, _own_index(cluster, _entry(config, 'task')))


def _own_index(cluster: Mapping[str, Any], task: Mapping[str, Any]) -> int:
  kind, index = task.get('type'), task.get('index')
  if not isinstance(kind, str) or kind not in cluster:
    raise _wrong(f'has the task type {kind!r}, and the cluster '
                 f'{" and ".join(cluster)}')
  if not isinstance(index, int) or isinstance(index, bool) or not (
      0 <= index < len(cluster[kind])):
    raise _wrong(f'has the task index {index!r}; for the {len(cluster[kind])} '
                 f'of {kind} it is a number from 0 to {len(cluster[kind]) - 1}')
  return index + (len(cluster.get('chief', ())) if kind == 'worker' else 0)


def _entry(config: Any, name: str) -> Mapping[str, Any]:
  found = config.get(name) if isinstance(config, dict) else None
  if not isinstance(found, dict) or not found:
    raise _wrong(f'has no entry {name!r} with names and values, found '
                 f'{json.dumps(config)}')
  return found


def _check_addresses(job: str, addresses: Any) -> None:
  if not isinstance(addresses, list) or not addresses:
    raise _wrong(f'has no list of addresses for {job}, found '
                 f'{json.dumps(addresses)}')
  for address in addresses:
    host, _, port = (address.rpartition(':') if isinstance(address, str)
                     else ('', '', ''))
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
      raise _wrong(f'has the address {address!r} in {job}, which is no '
                   'HOST:PORT')


def _wrong(found: str) -> UsageError:
  return UsageError(
      f'--strategy=multi_worker reads the environment variable {VARIABLE}, '
      f'which {found}. Expected the same cluster on every machine and each '
      f"one's own index, e.g. {VARIABLE}='{EXAMPLE}'.")
