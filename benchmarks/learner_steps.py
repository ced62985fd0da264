"""Our gradient steps at full size, ready to be timed.

Sizes of gin/sizes/efficientzero.gin, frames 96 x 96 x 3, stack 4, five unroll
steps, the paper's LearnerSettings, targets stored in the batch (targets of
other kinds are a search's or an encoder's time, not the learner's).
"""

import dataclasses
import time
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

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
_DISCOUNT = 0.997**4


@dataclasses.dataclass(frozen=True)
class StepSpec:
  """Which step.

  Attributes:
    quotas: rows of each task, the target's first.
    measurement: form of the measured step; None: a plain step.
    compute_dtype: of the network.
    augmented: whether frames are shifted and brightened.
  """
  quotas: Tuple[int, ...]
  measurement: Optional[str] = None
  compute_dtype: str = 'float32'
  augmented: bool = True


class Step:
  """An agent, a batch and the traced step."""

  def __init__(self, spec: StepSpec):
    """Builds and traces; `first_seconds` says how long both took."""
    begun = time.perf_counter()
    self.model = EfficientZero(
        EfficientZeroConfig((*_FRAME[:2], _STACK * _FRAME[2]),
                            num_actions=_ACTIONS,
                            compute_dtype=spec.compute_dtype), seed=0)
    self.settings = LearnerSettings(
        **{} if spec.augmented else {'shift': 0, 'intensity': 0.})
    self.targets = StoredTargets(
        stack=_STACK, unroll_steps=_STEPS, td_steps=5, discount=_DISCOUNT)
    self.batch = training_batches.random_unroll(
        spec.quotas, frame=_FRAME, stack=_STACK, unroll_steps=_STEPS,
        num_actions=_ACTIONS, measuring=spec.measurement is not None)
    weights = None
    if len(spec.quotas) > 1:
      weights = TaskWeights(TaskWeightSettings(
          **{'measurement': spec.measurement} if spec.measurement else {}),
          len(spec.quotas))
    time_steps = ts.time_step_spec(tensor_spec.TensorSpec(_FRAME, tf.uint8))
    actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, _ACTIONS - 1)
    policy = random_tf_policy.RandomTFPolicy(time_steps, actions)
    self.agent = WorldModelAgent(
        time_steps, actions, policy, policy, self.model, self.targets,
        settings=self.settings, quotas=spec.quotas,
        train_step=tf.Variable(0, dtype=tf.int64), task_weights=weights)
    self._train = tf.function(self.agent.train, autograph=False)
    self.run()
    self.first_seconds = time.perf_counter() - begun

  def run(self) -> Any:
    """One step, to its end."""
    info = self._train(self.batch)
    info.loss.numpy()
    return info

  def milliseconds(self) -> float:
    """One step's wall time."""
    begun = time.perf_counter()
    self.run()
    return 1e3 * (time.perf_counter() - begun)


def peer_batch(step: Step) -> Dict[str, np.ndarray]:
  """The step's batch and targets as the peer takes them."""
  unroll: Unroll = step.batch
  targets = step.targets(unroll)
  first = _STACK - 1
  return {
      'frames': unroll.observation[:, :_STACK + _STEPS].numpy(),
      'actions': unroll.action[:, first:first + _STEPS].numpy(),
      'value': targets.value.numpy(),
      'prefix': targets.value_prefix.numpy(),
      'policy': targets.policy.numpy(),
      'value_mask': targets.value_mask.numpy(),
      'prefix_mask': targets.value_prefix_mask.numpy(),
      'policy_mask': targets.policy_mask.numpy(),
      'consistency_mask': targets.consistency_mask.numpy(),
      'weight': _importance(step, unroll)}


def peer_weights(step: Step) -> Dict[str, np.ndarray]:
  """The trained variables, in the order of their creation."""
  return {f'weight_{i}': variable.numpy()
          for i, variable in enumerate(step.model.trainable_variables)}


def _importance(step: Step, unroll: Unroll) -> np.ndarray:
  """Weights of the rows at step 0, as ImportanceWeights makes them."""
  raw = unroll.importance_weight.numpy()**step.settings.importance_initial
  return (raw / raw.max()).astype(np.float32)


Timer = Callable[[], float]
