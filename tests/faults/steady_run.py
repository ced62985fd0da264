r"""A small stage; what its process holds early in it and late in it.

  python -m tests.faults.steady_run <folder>

Prints one line of JSON: a list of two mappings of a count's name to the count.
A process of its own: what earlier tests have left in theirs is at work there,
too (gRPC tries again and again to reach servers that are gone, and opens a
socket each time).
"""

import gc
import json
import os
import sys
import threading
from typing import Dict, List
from unittest import mock

from absl import app
import tensorflow as tf
from tensorflow.python.framework import func_graph
from tf_agents.system import system_multiprocessing

from xtra_tf.experiments import configuration, roles
from xtra_tf.experiments.training import train
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.runs import RunDirectory
from xtra_tf.workers import StepLearner

_UPDATES, _WARM = 120, 40
# As far behind a save, a line of metrics and new weights as at _WARM: what is
# kept until the next of them is the same.
_LAST = 100
_STAGE = 'scratch/xtra_tf.experiments.StageSettings.'
_BINDINGS = (
    'NUM_SIMULATIONS = 2', 'BATCH_SIZE = 8',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 1',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    'xtra_tf.experiments.ReplaySettings.max_size = 100',
    f'{_STAGE}updates = {_UPDATES}', f'{_STAGE}env_steps = 300',
    f'{_STAGE}updates_per_env_step = 0.5', f'{_STAGE}start_env_steps = 60',
    f'{_STAGE}num_envs = 2', f'{_STAGE}acting_update_period = 3',
    f'{_STAGE}evaluation_interval = 0', f'{_STAGE}save_interval = 20',
    f'{_STAGE}log_interval = 10')


def _counts(graphs: int) -> Dict[str, int]:
  gc.collect()
  return {'files': len(os.listdir('/proc/self/fd')),
          'tasks': len(os.listdir('/proc/self/task')),
          'threads': threading.active_count(), 'graphs': graphs,
          'objects': len(gc.get_objects()),
          'tensors': sum(isinstance(thing, tf.Tensor)
                         for thing in gc.get_objects())}


def steady_run(folder: str) -> List[Dict[str, int]]:
  """Trains from scratch in `folder`; the counts at _WARM and at _LAST."""
  configuration.parse(['protocols/smoke.gin'], _BINDINGS)
  configuration.ExecutionSettings(graph_optimizer=False).apply()
  parts = roles.resolve_parts(seed=0)
  plan = TrainingPlan(
      stage='scratch', title='', tasks=(parts.target,), rows=(8,),
      directory=RunDirectory(folder).stage('scratch', parts.target.name),
      targets='reanalyzed', logs={}, online=True)
  seen, graphs = {}, [0]
  run, make_graph = StepLearner.run, func_graph.FuncGraph.__init__

  def counting_run(learner, iterations=1, **kwargs):
    step = int(learner.train_step_numpy)
    if step in (_WARM, _LAST):
      seen[step] = _counts(graphs[0])
    return run(learner, iterations, **kwargs)

  def counting_graph(graph, *args, **kwargs):
    graphs[0] += 1
    make_graph(graph, *args, **kwargs)

  with mock.patch.object(StepLearner, 'run', counting_run), (
      mock.patch.object(func_graph.FuncGraph, '__init__', counting_graph)):
    train(parts, plan)
  return [seen[_WARM], seen[_LAST]]


def main(argv: List[str]) -> None:
  """Keeps what the stage prints itself out of the one line."""
  line, sys.stdout = sys.stdout, sys.stderr
  print(json.dumps(steady_run(argv[1])), file=line)


if __name__ == '__main__':
  system_multiprocessing.handle_main(lambda argv: app.run(main, argv))
