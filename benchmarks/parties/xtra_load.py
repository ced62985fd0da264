"""A replay server, or one of those who fill it or draw from it."""

import time
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import reverb
import tensorflow as tf

from benchmarks.parties import serving
from benchmarks.parties.xtra_replay import window_of
from xtra_tf import tasks
from xtra_tf.episodes import EpisodeLog, StepRow
from xtra_tf.replay import (
  Composition,
  Extras,
  ReplayServer,
  ReplayWriter,
  TableSpec,
)
from xtra_tf.replay.remote_tables import RemoteTables
from xtra_tf.types import SampleInfo

_WARM_UP_BATCHES = 3
_TIMEOUT_SECONDS = 60.
# What a process has made in an earlier request and goes on with.
_kept: Dict[str, Any] = {}


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """Does what `case['do']` says: `serve`, `count`, `write` or `draw`."""
  return _DOING[case['do']](case)


def _serve(case: Dict[str, Any]) -> Dict[str, Any]:
  """Starts the server; it lasts as long as the process."""
  task = tasks.get_task(case['task'])
  _kept['server'] = ReplayServer([TableSpec(task.name, case['max_size'])],
                                 window_of(task))
  return {'address': _kept['server'].address}


def _count(case: Dict[str, Any]) -> Dict[str, Any]:
  """Items that the table was ever given, and that it holds."""
  info = _kept['server'].client().server_info(timeout=10)[case['task']]
  return {'inserted': info.rate_limiter_info.insert_stats.completed,
          'items': info.current_size}


def _write(case: Dict[str, Any]) -> Dict[str, Any]:
  """Writes rows as a collector does, for some seconds or so many items.

  A row is timed until the writer takes the next one, which it does not while
  20 items are not acknowledged.
  """
  rows = _rows(case)
  writer = ReplayWriter(
      reverb.Client(case['address']), case['task'],
      window_of(tasks.get_task(case['task'])), lambda *_: 1., _TIMEOUT_SECONDS)
  times: List[float] = []
  items, last_real = 0, False
  begun = time.perf_counter()
  while (time.perf_counter() - begun < case['seconds']
         or len(times) < case.get('items', 0)):
    row, episode, step = rows[len(times) % len(rows)]
    before = time.perf_counter()
    writer.append(row, episode + len(times) // len(rows) * 2**20, step)
    times.append(time.perf_counter() - before)
    items, last_real = items + bool(row.real), bool(row.real)
  writer.close()
  seconds = time.perf_counter() - begun
  # Where it breaks off the last row is a final observation.
  return {'items': items - last_real, 'per_second': items / seconds,
          'p99_ms': 1e3 * float(np.percentile(times, 99))}


def _rows(case: Dict[str, Any]) -> List[Tuple[StepRow, int, int]]:
  """The rows of a log, with their places; decoded once."""
  if 'rows' not in _kept:
    _kept['rows'] = [
        (episode.row(step), episode.number, step)
        for episode in EpisodeLog(case['folder']).episodes()
        for step in range(len(episode.real))]
  return _kept['rows']


def _draw(case: Dict[str, Any]) -> Dict[str, Any]:
  """Draws batches and gives priorities back as a learner does."""
  task = tasks.get_task(case['task'])
  tables = RemoteTables([TableSpec(task.name, case['max_size'])],
                        window_of(task), case['address'], _TIMEOUT_SECONDS,
                        lambda line: None)
  batches = iter(tables.dataset(
      Composition((case['batch'],)),
      Extras(task.legal_mask()[np.newaxis], tf.Variable(
          [0], dtype=tf.int64, trainable=False), None, None), 0))
  for _ in range(_WARM_UP_BATCHES):
    next(batches)
  count, begun = 0, time.perf_counter()
  while time.perf_counter() - begun < case['seconds']:
    _, info = next(batches)
    tables.update_priorities(SampleInfo(*info), tf.ones([case['batch']]))
    count += 1
  seconds = time.perf_counter() - begun
  tables.stop()
  return {'per_second': count * case['batch'] / seconds,
          'lost_updates': tables.updates_lost}


_DOING: Dict[str, Callable[[Dict[str, Any]], Dict[str, Any]]] = {
    'serve': _serve, 'count': _count, 'write': _write, 'draw': _draw}


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """Nothing here is timed in pairs."""
  raise ValueError(f'The server has no peer; measure it, got {case}.')


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'dm-reverb', 'numpy'), measure)
