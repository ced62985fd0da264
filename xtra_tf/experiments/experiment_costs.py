"""What a stage will take, estimated before anything is run.

Operations are counted in the network's own graph (two for a multiplication with
an addition) and multiplied by how often the settings make the network run. Not
counted: the tree search around it, augmentation, the optimizer, emulation.
"""

import functools
import json
import math
from typing import Any, Callable, Dict, NamedTuple

import tensorflow as tf

from xtra_tf.experiments import roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.models import build_world_model
from xtra_tf.runs.run_directory import WITHOUT_TASK

_FLOAT_BYTES = 4
# Weights, momentum and target network, in each of the saves that are kept.
_SAVED_COPIES, _SAVES = 3, 3
# A replay item beside its frames, measured (offline_data/loading.py).
_ITEM_BYTES = 3_500
# A gradient costs about two forward passes.
_WITH_GRADIENT = 3


class Cost(NamedTuple):
  """An estimate; sums of stages are sums of fields, but for memory."""
  operations: float = 0.  # floating-point, of training and acting
  evaluation: float = 0.  # operations of evaluations, if no game ends early
  memory: float = 0.  # bytes of the tables, frames uncompressed
  disk: float = 0.  # bytes of logs and saves, frames uncompressed

  def plus(self, other: 'Cost', times: int = 1) -> 'Cost':
    """One after the other; of memory the larger of both."""
    return Cost(self.operations + times * other.operations,
                self.evaluation + times * other.evaluation,
                max(self.memory, other.memory),
                self.disk + times * other.disk)


class NetworkCost(NamedTuple):
  """Operations of a network for one row, and its size."""
  initial: int  # representation and prediction
  recurrent: int  # dynamics and prediction
  projection: int
  parameters: int


def network_cost(description: Dict[str, Any]) -> NetworkCost:
  """Counts a network's operations in its graphs.

  Args:
    description: of the world model, as in model.json.
  """
  # Which actions a head knows is a handful of operations, and no new network.
  config = {name: value for name, value in description['config'].items()
            if name != 'action_ids'}
  return _network_cost(json.dumps({'family': description['family'],
                                   'config': config}, sort_keys=True))


@functools.lru_cache(maxsize=None)
def _network_cost(description: str) -> NetworkCost:
  fields = json.loads(description)
  model: Any = build_world_model(fields, seed=0)
  model.build_variables()
  shape = [1, *fields['config']['observation_shape']]
  state = model.initial_inference(tf.zeros(shape)).state
  action = tf.TensorSpec([1], tf.int32)
  parameters = sum(int(tf.size(v)) for v in model.trainable_variables)
  return NetworkCost(
      _operations(model.initial_inference, tf.TensorSpec(shape)),
      _operations(lambda a: model.recurrent_inference(state, a), action),
      _operations(lambda a: model.project(state, True), action), parameters)


def _operations(function: Callable[[tf.Tensor], Any],
                spec: tf.TensorSpec) -> int:
  """Operations that TensorFlow's profiler counts in a function's graph."""
  profiler = tf.compat.v1.profiler
  builder = profiler.ProfileOptionBuilder
  options = builder(builder.float_operation()).with_empty_output().build()
  graph = tf.function(function).get_concrete_function(spec).graph
  return int(profiler.profile(graph, options=options).total_float_ops)


def search_operations(network: NetworkCost, planner: Any) -> int:
  """Of one search, its root included."""
  return int(network.initial + planner.num_simulations * network.recurrent)


def acting_operations(parts: RunParts, name: str, network: NetworkCost) -> int:
  """Of one step of a stage's model; behaviour cloning does not search."""
  if name == 'cloning':
    return network.initial
  return search_operations(network, parts.planner)


def stage_cost(parts: RunParts, name: str) -> Cost:
  """Estimates one stage; of `data` and `teacher`, for one source task.

  Args:
    parts: of the run.
    name: of `settings.STAGES`.
  """
  tasks = ((parts.target,) if name in ('data', 'teacher')
           else roles.stage_tasks(parts, name))
  network = network_cost(roles.describe_model(parts, name, tasks))
  settings = parts.stages[name]
  search = acting_operations(parts, name, network)
  online = settings.stage.env_steps
  operations = settings.stage.updates * _update(parts, name, network)
  operations += online * search
  offline = _offline_steps(parts)
  if name == 'teacher':
    operations += offline * search  # its pass over the data
  frame = math.prod(parts.target.observation_shape)
  held = online + offline * {
      'teacher': 1, 'student': len(parts.sources),
      'cloning': len(parts.sources), 'finetune': len(tasks) - 1}.get(name, 0)
  rows = min(held, settings.replay.max_size * len(tasks))
  target_row = _FLOAT_BYTES * (parts.target.num_actions + 4)
  saves = _SAVED_COPIES * _SAVES * network.parameters * _FLOAT_BYTES
  games = _training_games(settings.stage)
  return Cost(
      operations=operations,
      evaluation=games * parts.evaluation.max_episode_steps * search,
      memory=rows * (frame + _ITEM_BYTES),
      disk=online * (frame + target_row) + saves
      + (offline * target_row if name == 'teacher' else 0))


def judging_cost(parts: RunParts, name: str) -> Cost:
  """Estimates the final evaluation of a stage's model on the target."""
  return _games_cost(parts, name, parts.evaluation.episodes)


def source_cost(parts: RunParts, name: str) -> Cost:
  """Estimates the evaluations of a stage's model on source tasks.

  Args:
    parts: of the run.
    name: of `settings.STAGES`; of `teacher`, for one source task.
  """
  games = parts.source_evaluation.episodes_of(name)
  tasks = 1 if name == 'teacher' else len(parts.sources)
  return _games_cost(parts, name, games * tasks) if games else Cost()


def _games_cost(parts: RunParts, name: str, games: int) -> Cost:
  tasks = (parts.sources[:1] if name == 'teacher'
           else roles.stage_tasks(parts, name))
  network = network_cost(roles.describe_model(parts, name, tasks))
  search = acting_operations(parts, name, network)
  return Cost(evaluation=games * parts.evaluation.max_episode_steps * search)


def _training_games(stage: Any) -> int:
  """Evaluation games while training."""
  if not stage.evaluation_interval:
    return 0
  return (stage.updates // stage.evaluation_interval
          * stage.evaluation_episodes)


def _offline_steps(parts: RunParts) -> int:
  """Steps of one source task's data that are used."""
  return int(parts.stages['data'].stage.env_steps * parts.data_share)


def _update(parts: RunParts, name: str, network: NetworkCost) -> float:
  """Operations of one gradient step."""
  settings = parts.stages[name]
  stage, steps = settings.stage, settings.learner.unroll_steps
  rows = reanalyzed = stage.batch_size
  if name in WITHOUT_TASK:
    reanalyzed = 0
  elif name == 'finetune':
    rows = sum(roles.batch_rows(parts, name, with_target=True))
  consistency = settings.learner.consistency_coefficient > 0
  unroll = network.initial + steps * (
      network.recurrent + (network.projection if consistency else 0))
  # The side of the consistency loss that has no gradient.
  future = steps * (network.initial + network.projection) if consistency else 0
  search = search_operations(network, parts.planner)
  targets = (steps + 1) * (stage.policy_reanalyze_ratio * search
                           + stage.value_reanalyze_ratio * network.initial)
  return rows * (_WITH_GRADIENT * unroll + future) + reanalyzed * targets
