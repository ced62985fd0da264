"""Our replay tables, filled with frames of a real game: bytes and seconds."""

import os
import time
from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np
import psutil
import tensorflow as tf

from benchmarks.parties import serving
from xtra_tf import environments, tasks
from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter
from xtra_tf.experiments.roles import acting_specs
from xtra_tf.offline_data.loading import LogStream
from xtra_tf.policies import RandomPolicy
from xtra_tf.replay import (
  Composition,
  Extras,
  IndexedTables,
  ReplayTables,
  ReverbTables,
  TableSpec,
  WindowSpec,
)
from xtra_tf.workers.collector import Collector

_NUM_ENVS = 8
_COLUMNS = ('search', 'root_value')
_KINDS = {'reverb': ReverbTables, 'indexed': IndexedTables}


def window_of(task: tasks.TaskSpec) -> WindowSpec:
  """The paper's window: 5 unroll and 5 bootstrap steps."""
  return WindowSpec(
      stack=task.stack, unroll_steps=5, td_steps=5,
      observation_shape=task.observation_shape,
      observation_dtype=task.observation_dtype,
      target_shape=(task.num_actions,))


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """Plays steps into a log, or loads a log into a table.

  Two requests for two processes: what playing has left free in a process's
  memory would take in a part of the table unseen.

  Args:
    case: `task` and `folder` of the log; to play, `played` steps; to load,
      `kind` of table, `steps` and `batch`.

  Returns:
    Of loading: `bytes_per_transition` of the process's memory,
    `raw_frame_bytes`, `loaded_per_second`, and `batch_ms` to draw one batch
    when nothing is drawn ahead.
  """
  task = tasks.get_task(case['task'])
  if 'played' in case:
    _play(task, case['folder'], case['played'])
    return {}
  log = EpisodeLog(case['folder'])
  tables = _tables(task, case)
  writer = tables.writer(task.name, lambda *_: 1.)
  stream = LogStream(log, writer)
  before = _memory()
  begun = time.perf_counter()
  stream.advance(case['steps'])
  writer.close()
  seconds = time.perf_counter() - begun
  return {'bytes_per_transition': (_memory() - before) / stream.steps,
          'raw_frame_bytes': int(np.prod(task.observation_shape)),
          'loaded_per_second': stream.steps / seconds, 'steps': stream.steps,
          'batch_ms': _draw_ms(task, tables, case['batch'])}


def _play(task: tasks.TaskSpec, folder: str, steps: int) -> None:
  """Plays at random into an episode log."""
  logs = [EpisodeLogWriter(folder, task, _COLUMNS, writer)
          for writer in range(_NUM_ENVS)]
  collector = Collector(
      environments.load(task, num_envs=_NUM_ENVS, seed=0, training=True),
      RandomPolicy(*acting_specs(task), seed=0), logs, [], task.stack)
  collector.collect(steps)
  collector.close()


def _tables(task: tasks.TaskSpec, case: Dict[str, Any]) -> ReplayTables:
  spec = TableSpec(task.name, max_size=2 * case['steps'])
  return _KINDS[case['kind']]([spec], window_of(task))


def _draw_ms(task: tasks.TaskSpec, tables: ReplayTables, batch: int) -> float:
  """Median milliseconds of a batch that was not drawn ahead."""
  data: Iterator[Tuple[Any, Any]] = iter(tables.dataset(
      Composition((batch,)),
      Extras(task.legal_mask()[np.newaxis], tf.Variable(
          [0], dtype=tf.int64, trainable=False), None, None), 0))
  next(data)
  times = []
  for _ in range(15):
    begun = time.perf_counter()
    next(data)
    times.append(time.perf_counter() - begun)
  return 1e3 * float(np.median(times))


def _memory() -> int:
  """Bytes of this process that are in memory; the server is inside it."""
  return psutil.Process(os.getpid()).memory_info().rss


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """Nothing here is timed in pairs."""
  raise ValueError(f'The replay has no peer; measure it, got {case}.')


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'dm-reverb', 'numpy'), measure)
