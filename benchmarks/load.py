"""Measures what one replay server bears: writers, learners, and both at once.

Real 96x96 RGB frames of one Atari game, played at random, are written as
collectors write them (a window of 14 frames for each step, each frame stored
once) and drawn as learners draw them (batches, priorities given back). Every
writer and learner is a process; all of them and the server share the same
processors. Where more of them bring nothing more, the machine is saturated.

Examples:
  python -m benchmarks.load
  python -m benchmarks.load --json --seconds=5
"""

from concurrent import futures
import contextlib
import re
import tempfile
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from absl import flags

from benchmarks import command
from benchmarks.command import Effort
from benchmarks.party import Party
from benchmarks.records import Record, counted
from xtra_tf.errors import UnreachableError, UsageError

FLAGS = flags.FLAGS

flags.DEFINE_string('task', 'Assault', 'Game whose frames are written.')
flags.DEFINE_float('seconds', 10., 'Of each measurement.')
flags.DEFINE_list(
    'cases', ['1x0', '4x0', '8x0', '0x1', '0x2', '0x4', '1x1', '4x1', '8x1',
              '4x2', '8x4'], 'Writers x learners that work at the same time.')
flags.adopt_module_key_flags(command)

_PLAYED = 2_000  # different transitions
_ITEMS, _MAX_SIZE = 2_000, 20_000
_BATCH = 64
_MOST_P99_MS = 1000.


def measure(effort: Effort) -> Iterator[Record]:
  """All cases with the same processes, one case after the other."""
  cases = [_numbers(text) for text in FLAGS.cases]
  with contextlib.ExitStack() as stack:
    case = {'task': FLAGS.task, 'max_size': _MAX_SIZE, 'batch': _BATCH,
            'seconds': FLAGS.seconds,
            'folder': stack.enter_context(tempfile.TemporaryDirectory())}
    with Party('xtra_replay', None, effort.threads) as party:
      party.measure({**case, 'played': _PLAYED})

    def start(count: int) -> List[Party]:
      return [stack.enter_context(Party('xtra_load', None, effort.threads))
              for _ in range(count)]

    [server] = start(1)
    case.update(server.measure({**case, 'do': 'serve'}))
    writers = start(max(1, *(w for w, _ in cases)))
    learners = start(max(n for _, n in cases))
    # All rows are decoded, and there is something to be drawn.
    _at_once([(w, {**case, 'do': 'write', 'seconds': 0., 'items': _ITEMS})
              for w in writers])
    for numbers in cases:
      yield from _measure(numbers, server, writers, learners, case, {
          'threads': effort.threads, 'versions': {'ours': server.versions}})


def _numbers(text: str) -> Tuple[int, int]:
  """`4x2` as (4, 2).

  Raises:
    UsageError: it is nothing of the kind.
  """
  found = re.fullmatch(r'(\d+)x(\d+)', text)
  if found is None:
    raise UsageError(f'--cases has {text!r}. Expected writers x learners, e.g. '
                     '4x2.')
  return int(found.group(1)), int(found.group(2))


def _at_once(asked: Sequence[Any]) -> List[Dict[str, Any]]:
  """The answers of parties that work at the same time."""
  with futures.ThreadPoolExecutor(max(1, len(asked))) as pool:
    return list(pool.map(lambda pair: pair[0].measure(pair[1]), asked))


def _measure(numbers: Tuple[int, int], server: Party, writers: Sequence[Party],
             learners: Sequence[Party], case: Dict[str, Any],
             fields: Dict[str, Any]) -> Iterator[Record]:
  """So many writers and learners at the same time.

  Raises:
    UnreachableError: an item or an update of priorities was lost.
  """
  count = {**case, 'do': 'count'}
  before = server.measure(count)['inserted']
  found = _at_once(
      [(w, {**case, 'do': 'write'}) for w in writers[:numbers[0]]]
      + [(n, {**case, 'do': 'draw'}) for n in learners[:numbers[1]]])
  wrote, drew = found[:numbers[0]], found[numbers[0]:]
  inserted = server.measure(count)['inserted'] - before
  items = sum(one['items'] for one in wrote)
  if inserted != items or any(one['lost_updates'] for one in drew):
    raise UnreachableError(
        f'{numbers[0]} writers and {numbers[1]} learners: {items} items were '
        f'written, {inserted} have come, '
        f'{sum(one["lost_updates"] for one in drew)} updates were lost.')
  name = f'load/{numbers[0]} writers, {numbers[1]} learners'
  if wrote:
    yield Record(f'{name}/inserts', unit='items a second', **fields, value=sum(
        one['per_second'] for one in wrote))
    yield counted(f'{name}/insert p99', max(one['p99_ms'] for one in wrote),
                  'ms', _MOST_P99_MS, at_most=True, **fields)
  if drew:
    yield Record(f'{name}/samples', unit='windows a second', **fields,
                 value=sum(one['per_second'] for one in drew), batch=_BATCH)


if __name__ == '__main__':
  command.run(measure)
