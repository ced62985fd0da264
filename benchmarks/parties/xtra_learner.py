"""Our gradient step.

Sizes of gin/sizes/efficientzero.gin, frames 96 x 96 x 3, stack 4, five unroll
steps, the paper's LearnerSettings, targets stored in the batch: targets of
other kinds are a search's or an encoder's time, not the learner's.
"""

from typing import Any, Callable, Dict, Sequence

import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from benchmarks.parties import serving
from xtra_tf.learners import (
  LearnerSettings,
  TaskWeights,
  TaskWeightSettings,
  WorldModelAgent,
)
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.targets import StoredTargets
from xtra_tf.testing import training_batches
from xtra_tf.types import Unroll

_FRAME = (96, 96, 3)
_STACK, _ACTIONS, _STEPS = 4, 18, 5
_TARGETS = StoredTargets(stack=_STACK, unroll_steps=_STEPS, td_steps=5,
                         discount=0.997**4)


def make_agent(case: Dict[str, Any], settings: LearnerSettings
               ) -> WorldModelAgent:
  """An agent of full size.

  Args:
    case: `quotas`, rows of each task; `compute_dtype` of the network, float32
      if left out; `measurement`, a form of `TaskWeightSettings`, for agents
      with task weights.
    settings: of the learner.

  Returns:
    The agent.
  """
  quotas = case['quotas']
  model = EfficientZero(
      EfficientZeroConfig((*_FRAME[:2], _STACK * _FRAME[2]),
                          num_actions=_ACTIONS,
                          compute_dtype=case.get('compute_dtype', 'float32')),
      seed=0)
  weights = None
  if 'measurement' in case:
    weights = TaskWeights(
        TaskWeightSettings(passes=case['measurement']), len(quotas))
  time_steps = ts.time_step_spec(tensor_spec.TensorSpec(_FRAME, tf.uint8))
  actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, _ACTIONS - 1)
  policy = random_tf_policy.RandomTFPolicy(time_steps, actions)
  return WorldModelAgent(
      time_steps, actions, policy, policy, model, _TARGETS, settings=settings,
      quotas=quotas, train_step=tf.Variable(0, dtype=tf.int64),
      task_weights=weights)


def make_batch(quotas: Sequence[int], measuring: bool = False) -> Unroll:
  """A batch of random numbers, the same in every process."""
  return training_batches.random_unroll(
      quotas, frame=_FRAME, stack=_STACK, unroll_steps=_STEPS,
      num_actions=_ACTIONS, measuring=measuring)


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One step; `case` is `make_agent`'s, and `measuring` for a measured one."""
  agent = make_agent(case, LearnerSettings())
  batch = make_batch(case['quotas'], case.get('measuring', False))
  train = tf.function(agent.train, autograph=False)
  return lambda: train(batch).loss.numpy()


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """Writes the batch for the peer; with `weights` also what comes of it.

  Args:
    case: as for `prepare`, `batch_file` to write, `weights` whether our weights
      go into it and one step is made that is not augmented.

  Returns:
    Loss, gradient norm and number of parameters of that step.
  """
  settings = LearnerSettings(shift=0, intensity=0.)
  batch = make_batch(case['quotas'])
  arrays = _peer_batch(batch, settings)
  if not case['weights']:
    np.savez(case['batch_file'], **arrays)
    return {}
  agent = make_agent(case, settings)
  variables = agent.world_model.trainable_variables
  np.savez(case['batch_file'], **arrays, **{
      f'weight_{i}': variable.numpy() for i, variable in enumerate(variables)})
  info = tf.function(agent.train, autograph=False)(batch)
  return {'loss': float(info.loss),
          'gradient_norm': float(info.extra.gradient_norm),
          'parameters': int(sum(tf.size(v) for v in variables))}


def _peer_batch(unroll: Unroll, settings: LearnerSettings
                ) -> Dict[str, np.ndarray]:
  """Batch and targets by the peer's names."""
  targets = _TARGETS(unroll)
  first = _STACK - 1
  weight = unroll.importance_weight.numpy()**settings.importance_initial
  arrays = {
      'frames': unroll.observation[:, :_STACK + _STEPS],
      'actions': unroll.action[:, first:first + _STEPS],
      'value': targets.value, 'prefix': targets.value_prefix,
      'policy': targets.policy, 'value_mask': targets.value_mask,
      'prefix_mask': targets.value_prefix_mask,
      'policy_mask': targets.policy_mask,
      'consistency_mask': targets.consistency_mask}
  return {'weight': (weight / weight.max()).astype(np.float32),
          **{name: array.numpy() for name, array in arrays.items()}}


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'numpy'), measure)
