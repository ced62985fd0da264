"""Measures the replay: memory of a transition, loading, drawing a batch.

Real frames of one Atari game, played at random, go through an episode log into
a table, over and over until 50,000 transitions are in it. One million is
extrapolated from that. What the frames take is the difference to the same
transitions with one pixel of each frame. `reverb` is the table of the stages,
`indexed` the one that draws without replacement.

Examples:
  python -m benchmarks.replay
  python -m benchmarks.replay --json --transitions=10000
"""

import tempfile
from typing import Any, Dict, Iterator

from absl import flags

from benchmarks import command
from benchmarks.command import Effort
from benchmarks.party import Party
from benchmarks.records import Record, counted

FLAGS = flags.FLAGS

flags.DEFINE_string('task', 'Assault', 'Game whose frames are stored.')
flags.DEFINE_integer('transitions', 50_000, 'How many go into a table.')
flags.adopt_module_key_flags(command)

_KINDS = ('reverb', 'indexed')
_PLAYED = 10_000  # different transitions; the log is gone through repeatedly
_BATCH = 64
_MILLION = 1_000_000
_GIB = 2**30
_MOST_GIB = 8.
_LEAST_PER_SECOND = 5_000.
_LEAST_FRAME_RATIO = 8.
_MOST_WAITING = 0.05


def measure(effort: Effort) -> Iterator[Record]:
  """Each kind of table in a process of its own."""
  with tempfile.TemporaryDirectory() as folder:
    log = {'task': FLAGS.task, 'folder': folder}
    with Party('xtra_replay', None, effort.threads) as party:
      party.measure({**log, 'played': min(_PLAYED, FLAGS.transitions)})
    for kind in _KINDS:
      case = {**log, 'kind': kind, 'steps': FLAGS.transitions}
      with Party('xtra_replay', None, effort.threads) as party:
        pixels = party.measure({**case, 'frames': False})
      with Party('xtra_replay', None, effort.threads) as party:
        found = party.measure({**case, 'frames': True, 'batch': _BATCH})
        yield from _records(kind, found, pixels['bytes_per_transition'], {
            'threads': effort.threads, 'versions': {'ours': party.versions}})


def _records(kind: str, found: Dict[str, Any], rest: float,
             fields: Dict[str, Any]) -> Iterator[Record]:
  """What was measured of one kind of table.

  Args:
    kind: of the table.
    found: with frames.
    rest: bytes of a transition without its frame.
    fields: of all records.
  """
  where = f'{FLAGS.task}, {found["steps"]:,} transitions'
  size, raw = found['bytes_per_transition'], found['raw_frame_bytes']
  yield counted(
      f'replay/{kind}/frame', raw / (size - rest),
      'raw bytes of a frame per byte that it takes in the table',
      _LEAST_FRAME_RATIO, at_most=False,
      note=f'{where}, beside the same with one pixel of each frame', **fields)
  yield Record(
      name=f'replay/{kind}/transition', value=raw / size,
      unit='raw bytes of a frame per byte of a whole transition',
      note=f'{where}; {rest:,.0f} bytes of it are not the frame', **fields)
  yield counted(
      f'replay/{kind}/million', size * _MILLION / _GIB,
      'GiB for a million transitions', _MOST_GIB, at_most=True,
      note=f'extrapolated from {where}', **fields)
  yield counted(
      f'replay/{kind}/loading', found['loaded_per_second'],
      'transitions a second', _LEAST_PER_SECOND, at_most=False, note=where,
      **fields)
  yield Record(
      name=f'replay/{kind}/batch', batch=_BATCH, ours_ms=found['batch_ms'],
      pairs=15, note='drawing and decoding, nothing drawn ahead', **fields)
  yield counted(
      f'replay/{kind}/waiting', found['waiting'],
      "of a full-size learner's time is spent waiting for batches",
      _MOST_WAITING, at_most=True, batch=_BATCH,
      note='20 gradient steps on the loaded table', **fields)


if __name__ == '__main__':
  command.run(measure)
