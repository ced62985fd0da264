"""Checks what a policy is told about the environment it acts in."""

from typing import Any

import tensorflow as tf
from tf_agents.trajectories import time_step as ts

OBSERVATION = ('frame', 'legal_actions')


def checked_num_actions(time_step_spec: ts.TimeStep, action_spec: Any) -> int:
  """Reads the number of actions out of the specs of an environment.

  Args:
    time_step_spec: its observation is {'frame': <any>[*frame],
      'legal_actions': <bool>[A]}.
    action_spec: bounded <int32>[], 0..A - 1.

  Returns:
    A.

  Raises:
    ValueError: for specs of another kind.
  """
  observation = time_step_spec.observation
  if not isinstance(observation, dict) or set(observation) != set(OBSERVATION):
    raise ValueError(f'Observations must have the parts {OBSERVATION}, got '
                     f'{observation}.')
  mask = observation['legal_actions']
  if mask.shape.rank != 1 or mask.dtype != tf.bool:
    raise ValueError(f'`legal_actions` must be <bool>[A], got {mask}.')
  if action_spec.shape.rank != 0 or action_spec.dtype != tf.int32:
    raise ValueError(f'Actions must be <int32>[], got {action_spec}.')
  num_actions = int(mask.shape[0])
  if (int(action_spec.minimum), int(action_spec.maximum)) != (
      0, num_actions - 1):
    raise ValueError(
        f'Actions must be 0..{num_actions - 1}, as `legal_actions` has '
        f'{num_actions} entries, got {int(action_spec.minimum)}..'
        f'{int(action_spec.maximum)}.')
  return num_actions
