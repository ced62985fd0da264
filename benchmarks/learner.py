"""Times the gradient step at full size beside the same step in PyTorch.

First both make one step from equal weights on an equal batch, without
augmentation: loss, gradient norm and number of parameters must agree, or
nothing is timed. Records:

  learner/step           ours beside PyTorch
  learner/bfloat16       ours in bfloat16 beside ours in float32
  learner/joint          a measured step of five tasks beside a plain one, in
                         the official form; .../run what it adds to a run
  learner/by_task        the same with a forward pass a task
  learner/profile/...    which operations a plain step spends its time in
  learner/start/...      seconds until the first step has been made

Examples:
  python -m benchmarks.learner
  python -m benchmarks.learner --json --only=step,by_task --pairs=31
"""

import contextlib
import os
import tempfile
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

from absl import flags

from benchmarks import command
from benchmarks.command import Effort
from benchmarks.pairs import compare
from benchmarks.party import Party
from benchmarks.records import Record, counted
from xtra_tf.errors import IncompatibleDataError, UsageError, near_names

FLAGS = flags.FLAGS

flags.DEFINE_list('only', [], 'Records to make; empty: all.')
flags.adopt_module_key_flags(command)

BATCH = 64
_OFFLINE_TASKS = 4
_CHECKED_BATCH = 8
_TOLERANCE = {'loss': 1e-3, 'gradient_norm': 1e-2, 'parameters': 0.}  # relative
# The official schedule: 22 windows of 500 in 120 000 updates.
_MEASURED_SHARE = 22 * 500 / 120_000
_MOST_ADDED = 0.3  # to a run, by the official form
_MOST_BY_TASK = 1.5  # plain steps
_MOST_SECONDS = 60.  # until the first step
_LISTED = 12  # operations of a profile


def beside_torch(effort: Effort) -> Iterator[Record]:
  """The plain step and PyTorch's."""
  with (Party('xtra_learner', None, effort.threads) as ours,
        Party('torch_learner', 'lightzero', effort.threads) as peer,
        tempfile.TemporaryDirectory() as folder):
    path = os.path.join(folder, 'batch.npz')
    _check_same_work(ours, peer, path)
    for batch in effort.batches or (BATCH,):
      case = {'quotas': [batch], 'batch_file': path, 'weights': False}
      ours.measure(case)
      yield _started('plain', ours.prepare(case), effort, batch)
      peer.prepare(case)
      yield compare('learner/step', ours, peer, 'torch', effort.pairs,
                    effort.threads, batch=batch, goal=2.)


def bfloat16(effort: Effort) -> Iterator[Record]:
  """The plain step in both precisions."""
  for batch in effort.batches or (BATCH,):
    yield from _ours_twice(
        'learner/bfloat16', effort, batch,
        {'quotas': [batch], 'compute_dtype': 'bfloat16'}, {'quotas': [batch]},
        'float32')


def joint(effort: Effort) -> Iterator[Record]:
  """The official form of a measured step, and a plain one."""
  least = 1. / (1. + _MOST_ADDED / _MEASURED_SHARE)
  for record in _measured('joint', least, effort):
    yield record
    if record.ratio:
      yield counted(
          'learner/joint/run', (1. / record.ratio - 1.) * _MEASURED_SHARE,
          'of a run added', _MOST_ADDED, at_most=True, batch=record.batch,
          threads=effort.threads,
          note='of the gradient steps of a run; targets take time besides')


def by_task(effort: Effort) -> Iterator[Record]:
  """The cheaper form, and a plain step."""
  return _measured('by_task', 1. / _MOST_BY_TASK, effort)


def profile(effort: Effort) -> Iterator[Record]:
  """The operations that take most of a plain step."""
  for batch in effort.batches or (BATCH,):
    with Party('xtra_profile', None, effort.threads) as ours:
      found = ours.measure({'quotas': [batch]})['operations']
      versions = {'ours': ours.versions}
    total = sum(milliseconds for _, milliseconds, _ in found)
    for name, milliseconds, calls in [*found[:_LISTED], _rest(found)]:
      yield Record(
          name=f'learner/profile/{name}', batch=batch, ours_ms=milliseconds,
          value=100. * milliseconds / total, threads=effort.threads,
          unit=f'% of the time of all operations, {calls:.0f} calls a step',
          versions=versions, note='summed over threads')


def _rest(found: Sequence[Tuple[str, float, float]]
          ) -> Tuple[str, float, float]:
  rest = found[_LISTED:]
  return ('others', sum(milliseconds for _, milliseconds, _ in rest),
          sum(calls for _, _, calls in rest))


def _measured(form: str, goal: float, effort: Effort) -> Iterator[Record]:
  """A measured and a plain step of agents with task weights."""
  for batch in effort.batches or (BATCH,):
    offline = batch // 2 // _OFFLINE_TASKS
    if not offline:
      raise UsageError(f'--batches={batch} has no row for each of '
                       f'{_OFFLINE_TASKS} offline tasks. Expected at least '
                       f'{2 * _OFFLINE_TASKS}.')
    plain = {'quotas': [batch // 2] + [offline] * _OFFLINE_TASKS,
             'measurement': form}
    yield from _ours_twice(f'learner/{form}', effort, batch,
                           {**plain, 'measuring': True}, plain, 'plain', goal)


def _ours_twice(name: str, effort: Effort, batch: int, case: Dict[str, Any],
                other: Dict[str, Any], other_name: str,
                goal: float | None = None) -> Iterator[Record]:
  """Two kinds of our step."""
  with contextlib.ExitStack() as stack:
    ours, peer = (stack.enter_context(
        Party('xtra_learner', None, effort.threads)) for _ in range(2))
    yield _started(name.split('/')[-1], ours.prepare(case), effort, batch)
    peer.prepare(other)
    yield compare(name, ours, peer, other_name, effort.pairs, effort.threads,
                  batch=batch, goal=goal)


def _started(name: str, seconds: float, effort: Effort, batch: int) -> Record:
  return counted(f'learner/start/{name}', seconds, 's', _MOST_SECONDS,
                 at_most=True, batch=batch, threads=effort.threads,
                 note='model, optimizer, tracing and the first step')


def _check_same_work(ours: Party, peer: Party, path: str) -> None:
  """Refuses to time a peer that does something else."""
  case = {'quotas': [_CHECKED_BATCH], 'batch_file': path, 'weights': True}
  expected = ours.measure(case)
  found = peer.measure(case)
  for name, tolerance in _TOLERANCE.items():
    if abs(found[name] - expected[name]) > tolerance * abs(expected[name]):
      raise IncompatibleDataError(
          f'PyTorch does not make our step: {name} is {found[name]} there and '
          f'{expected[name]} here. Expected a difference of at most '
          f'{tolerance:.0e} of it.')


_PARTS: Dict[str, Callable[[Effort], Iterator[Record]]] = {
    'step': beside_torch, 'bfloat16': bfloat16, 'joint': joint,
    'by_task': by_task, 'profile': profile}


def measure(effort: Effort) -> Iterator[Record]:
  """What the flags ask for."""
  for name in FLAGS.only:
    if name not in _PARTS:
      raise UsageError(f'--only={name}. {near_names(name, list(_PARTS))}')
  for name in FLAGS.only or _PARTS:
    yield from _PARTS[name](effort)


if __name__ == '__main__':
  command.run(measure)
