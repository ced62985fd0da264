"""Plays legal actions uniformly at random."""

from typing import Any, Optional, Sequence

import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from xtra_tf.policies.acting_specs import checked_num_actions
from xtra_tf.policies.planning_policy import sample_visits
from xtra_tf.policies.search_info import search_info_spec
from xtra_tf.types import SearchStatistics


class RandomPolicy(tf_policy.TFPolicy):
  """Plays the legal actions of each observation with equal probability.

  Its info has the form of a planning policy's: one visit for each legal action,
  a root value of 0, and the statistics of a search that never left its root.
  """

  def __init__(self, time_step_spec: ts.TimeStep, action_spec: Any, *,
               seed: int = 0, actions: Optional[Sequence[int]] = None,
               name: str = 'random_policy'):
    """Initializes the policy.

    Args:
      time_step_spec: its observation is {'frame': <any>[*frame],
        'legal_actions': <bool>[A]}.
      action_spec: bounded <int32>[], 0..A - 1.
      seed: of the draws; a counter, kept in checkpoints, goes into each call's
        seed as well.
      actions: ids that are played, of each observation's legal ones; None: all.
        A single one is played always.
      name: of the policy.

    Raises:
      ValueError: specs of another kind.
    """
    num_actions = checked_num_actions(time_step_spec, action_spec)
    super().__init__(time_step_spec, action_spec,
                     info_spec=search_info_spec(num_actions), clip=False,
                     name=name)
    self._calls = tf.Variable(0, trainable=False, dtype=tf.int32, name='calls')
    self._seed = seed
    chosen = range(num_actions) if actions is None else actions
    self._chosen = tf.constant([float(n in chosen)
                                for n in range(num_actions)])

  def restart(self) -> None:
    """Starts the random numbers anew, as right after construction."""
    self._calls.assign(0)

  def _action(self, time_step: ts.TimeStep, policy_state: Any,
              seed: Optional[Any] = None) -> policy_step.PolicyStep:
    del seed  # The policy has its own; see the constructor.
    visits = self._chosen * tf.cast(
        time_step.observation['legal_actions'], tf.float32)
    action = sample_visits(
        visits, tf.constant(1.),
        tf.stack([self._seed, self._calls.assign_add(1)]))
    nothing = tf.zeros_like(visits[:, 0])
    statistics = SearchStatistics(
        max_depth=nothing, mean_depth=nothing,
        visit_entropy=tf.math.log(tf.reduce_sum(visits, axis=1)),
        prior_to_visit_kl=nothing)
    return policy_step.PolicyStep(
        action, policy_state,
        {'search': visits, 'root_value': nothing, 'statistics': statistics})

  def _distribution(self, time_step: ts.TimeStep,
                    policy_state: Any) -> policy_step.PolicyStep:
    raise NotImplementedError('This policy gives actions only.')
