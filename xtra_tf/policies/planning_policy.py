"""Acts by searching with a world model."""

from typing import Any, Dict, Optional

import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import observations
from xtra_tf.planning.planner import Planner
from xtra_tf.policies.acting_specs import checked_num_actions
from xtra_tf.policies.search_info import search_info_spec


class PlanningPolicy(tf_policy.TFPolicy):
  """Stacks frames, searches, and plays what was visited most, or a sample.

  The frames seen last are the policy's state: a FIRST step fills them with its
  own frame. Acting to collect: p(a) ~ visits(a)^(1 / temperature), with noise
  at the root. Acting to evaluate (greedy): the most visited action, the lowest
  of equal ones, without noise.
  Source: EfficientZero `core/selfplay_worker.py`, `core/test.py`.

  Attributes:
    temperature: <float32>[] variable, to be assigned while training.
  """

  def __init__(self, time_step_spec: ts.TimeStep, action_spec: Any,
               world_model: WorldModel, planner: Planner, stack: int, *,
               greedy: bool = False, noise_fraction: float = 0.25,
               seed: int = 0, name: str = 'planning_policy'):
    """Binds the search to the model.

    Args:
      time_step_spec: its observation is {'frame': <uint8 or float32>[*frame],
        'legal_actions': <bool>[A]}.
      action_spec: bounded <int32>[], 0..A - 1.
      world_model: predicts.
      planner: searches.
      stack: S, frames of a stacked observation.
      greedy: plays the most visited action and draws no noise.
      noise_fraction: of exploration noise in the root's prior.
      seed: of noise, ties and samples; a counter, kept in checkpoints, goes
        into each call's seed as well.
      name: of the policy.

    Raises:
      UsageError: impossible numbers.
      IncompatibleDataError: the model has other actions than the task.
      ValueError: specs of another kind.
    """
    num_actions = checked_num_actions(time_step_spec, action_spec)
    if stack < 1:
      raise UsageError(f'`stack` must be at least 1, got {stack}.')
    if not 0. <= noise_fraction <= 1.:
      raise UsageError('`noise_fraction` must be in 0..1, got '
                       f'{noise_fraction}.')
    if world_model.num_actions != num_actions:
      raise IncompatibleDataError(
          f'The task has {num_actions} actions, but {world_model.name} was '
          f'made for {world_model.num_actions}. Use a model of the same task '
          'family.')
    if planner.target_shape(num_actions) != (num_actions,):
      raise UsageError(
          'This policy samples one of the visited actions, but '
          f'{type(planner).__name__} returns targets of shape '
          f'{planner.target_shape(num_actions)}, not ({num_actions},).')
    frame = time_step_spec.observation['frame']
    super().__init__(
        time_step_spec, action_spec,
        policy_state_spec={'frames': tf.TensorSpec(
            [stack, *frame.shape], frame.dtype, 'frames')},
        info_spec=search_info_spec(num_actions),
        # The action is legal, so within its bounds.
        clip=False,
        # _action fills the state itself; zeros are no frames.
        automatic_state_reset=False, name=name)
    self.temperature = tf.Variable(1., trainable=False, name='temperature')
    self._calls = tf.Variable(0, trainable=False, dtype=tf.int32, name='calls')
    self._world_model = world_model
    self._search = planner.bind(world_model.simulator())
    self._greedy = greedy
    self._noise_fraction = 0. if greedy else noise_fraction
    self._seed = seed

  def restart(self) -> None:
    """Starts the random numbers anew, as right after construction.

    With equal weights the policy then acts as it did the first time: an
    evaluation can be repeated without tracing the search again.
    """
    self._calls.assign(0)

  def _action(self, time_step: ts.TimeStep, policy_state: Dict[str, tf.Tensor],
              seed: Optional[Any] = None) -> policy_step.PolicyStep:
    del seed  # The policy has its own; see the constructor.
    frames = _push(policy_state['frames'], time_step.observation['frame'],
                   time_step.is_first())
    root = self._world_model.initial_inference(
        observations.stack_frames(frames))
    search_seed, sample_seed = tf.unstack(
        tf.random.experimental.stateless_split(
            tf.stack([self._seed, self._calls.assign_add(1)]), 2))
    found = self._search(
        root, time_step.observation['legal_actions'],
        tf.constant(self._noise_fraction, tf.float32), search_seed)
    if self._greedy:
      action = tf.argmax(found.target, axis=1, output_type=tf.int32)
    else:
      action = sample_visits(found.target, self.temperature, sample_seed)
    return policy_step.PolicyStep(
        action, {'frames': frames},
        {'search': found.target, 'root_value': found.root_value,
         'statistics': found.statistics})

  def _distribution(self, time_step: ts.TimeStep,
                    policy_state: Any) -> policy_step.PolicyStep:
    raise NotImplementedError('A search gives actions and visit counts, no '
                              'distribution.')


def sample_visits(visits: tf.Tensor, temperature: tf.Tensor,
                  seed: tf.Tensor) -> tf.Tensor:
  """Draws actions by their visits.

    p(a) = visits(a)^(1 / T) / sum over b of visits(b)^(1 / T)

  Args:
    visits: <float32>[B, A]; an action without a visit is never drawn.
    temperature: T <float32>[] above 0; towards 0 it becomes the argmax.
    seed: <int32>[2].

  Returns:
    <int32>[B].
  """
  logits = tf.math.log(visits) / temperature
  drawn = tf.random.stateless_categorical(logits, 1, seed, dtype=tf.int32)
  return tf.squeeze(drawn, axis=1)


def _push(frames: tf.Tensor, frame: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
  """Appends a frame to the last ones; a first frame fills the whole stack.

  Args:
    frames: <any>[B, S, *frame], oldest first.
    frame: <any>[B, *frame].
    first: <bool>[B].

  Returns:
    <any>[B, S, *frame].
  """
  newest = frame[:, tf.newaxis]
  pushed = tf.concat([frames[:, 1:], newest], axis=1)
  where = tf.reshape(first, [-1] + [1] * (pushed.shape.rank - 1))
  return tf.where(where, newest, pushed)
