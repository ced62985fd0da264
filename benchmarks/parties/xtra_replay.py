"""Our replay tables, filled with frames of a real game: bytes and seconds."""

import ctypes
import gc
import os
import time
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import numpy as np
import psutil
import tensorflow as tf

from benchmarks.parties import serving, xtra_learner
from xtra_tf import environments, tasks
from xtra_tf.episodes import Episode, EpisodeLog, EpisodeLogWriter
from xtra_tf.experiments.roles import acting_specs
from xtra_tf.learners import LearnerSettings
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


# The share of the steps behind which memory is counted: what a process takes
# once, for threads and buffers, does not grow with the table.
_WARM_UP = 0.1
_UPDATES, _WARM_UP_UPDATES = 20, 3
_PIXEL = (1, 1, 1)  # the shape of a frame that takes nothing


class _PixelLog(EpisodeLog):
  """A log of whose frames one pixel is left."""

  def episodes(self, start: int = 0) -> Iterator[Episode]:
    """As the log's, with the frames' first pixels."""
    for episode in super().episodes(start):
      assert episode.observation is not None
      yield episode._replace(
          observation=episode.observation[:, :1, :1, :1].copy())


def window_of(task: tasks.TaskSpec,
              frame: Optional[Tuple[int, ...]] = None) -> WindowSpec:
  """The paper's window: 5 unroll and 5 bootstrap steps."""
  return WindowSpec(
      stack=task.stack, unroll_steps=5, td_steps=5,
      observation_shape=frame or task.observation_shape,
      observation_dtype=task.observation_dtype,
      target_shape=(task.num_actions,))


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """Plays steps into a log, or loads a log into a table.

  Two requests for two processes: what playing has left free in a process's
  memory would take in a part of the table unseen.

  Args:
    case: `task` and `folder` of the log; to play, `played` steps; to load,
      `kind` of table, `steps`, `frames` whether with the frames or with a pixel
      of each, and `batch` to draw, none if left out.

  Returns:
    Of loading: `bytes_per_transition` of the process's memory,
    `raw_frame_bytes`, `loaded_per_second`; with a `batch`, `batch_ms` to draw
    one when nothing is drawn ahead, and `waiting`, the share of its time that a
    learner of full size has no batch.
  """
  task = tasks.get_task(case['task'])
  if 'played' in case:
    _play(task, case['folder'], case['played'])
    return {}
  log = (EpisodeLog if case['frames'] else _PixelLog)(case['folder'])
  tables = _tables(task, case)
  writer = tables.writer(task.name, lambda *_: 1.)
  stream = LogStream(log, writer)
  begun = time.perf_counter()
  stream.advance(int(_WARM_UP * case['steps']))
  first, before = stream.steps, _memory()
  stream.advance(case['steps'])
  writer.close()
  seconds, steps = time.perf_counter() - begun, stream.steps
  del stream  # and the episodes that it has read ahead
  found = {'bytes_per_transition': (_memory() - before) / (steps - first),
           'raw_frame_bytes': int(np.prod(task.observation_shape)),
           'loaded_per_second': steps / seconds, 'steps': steps}
  if 'batch' in case:
    found['batch_ms'] = _draw_ms(task, tables, case['batch'])
    found['waiting'] = _waiting(task, tables, case['batch'])
  return found


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
  window = window_of(task, None if case['frames'] else _PIXEL)
  return _KINDS[case['kind']]([spec], window)


def _batches(task: tasks.TaskSpec, tables: ReplayTables, batch: int
             ) -> Iterator[Tuple[Any, Any]]:
  """As a stage draws them."""
  return iter(tables.dataset(
      Composition((batch,)),
      Extras(task.legal_mask()[np.newaxis], tf.Variable(
          [0], dtype=tf.int64, trainable=False), None, None), 0))


def _waiting(task: tasks.TaskSpec, tables: ReplayTables, batch: int) -> float:
  """Share of the time of gradient steps that goes by without a batch.

  As in `StepLearner`: a batch, a step, new priorities.
  """
  agent = xtra_learner.make_agent({'quotas': [batch]}, LearnerSettings())
  train = tf.function(agent.train, autograph=False)
  data = _batches(task, tables, batch)
  waited = begun = 0.
  for update in range(_WARM_UP_UPDATES + _UPDATES):
    if update == _WARM_UP_UPDATES:
      waited, begun = 0., time.perf_counter()
    asked = time.perf_counter()
    unroll, info = next(data)
    waited += time.perf_counter() - asked
    found = train(unroll)
    tables.update_priorities(info, found.extra.priority)
  return waited / (time.perf_counter() - begun)


def _draw_ms(task: tasks.TaskSpec, tables: ReplayTables, batch: int) -> float:
  """Median milliseconds of a batch that was not drawn ahead."""
  data = _batches(task, tables, batch)
  next(data)
  times = []
  for _ in range(15):
    begun = time.perf_counter()
    next(data)
    times.append(time.perf_counter() - begun)
  return 1e3 * float(np.median(times))


def _memory() -> int:
  """Bytes of this process that are in memory; the server is inside it.

  What was freed is given back first: frames that were read and dropped are not
  the table's.
  """
  gc.collect()
  ctypes.CDLL('libc.so.6').malloc_trim(0)
  return psutil.Process(os.getpid()).memory_info().rss


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """Nothing here is timed in pairs."""
  raise ValueError(f'The replay has no peer; measure it, got {case}.')


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'dm-reverb', 'numpy'), measure)
