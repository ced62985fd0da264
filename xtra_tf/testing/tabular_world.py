"""A world model that is a few tables, so that searches can be checked."""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from xtra_tf.types import ModelOutput, Simulator


class TabularState(NamedTuple):
  """State of a TabularWorld."""
  index: tf.Tensor  # <int32>[B] row of the tables
  prefix: tf.Tensor  # <float32>[B] rewards since the prefix was last reset


@dataclasses.dataclass(frozen=True)
class TabularWorld:
  """A deterministic world of S states; all tables are given."""
  next_state: np.ndarray  # <int32>[S, A]
  reward: np.ndarray  # <float32>[S, A]
  value: np.ndarray  # <float32>[S]
  policy_logits: np.ndarray  # <float32>[S, A]
  prefix_horizon: int = 5

  @classmethod
  def random(cls, num_states: int, num_actions: int, seed: int,
             prefix_horizon: int = 5) -> 'TabularWorld':
    """Random tables: rewards 0 or +-1, values about 1, uneven priors."""
    random = np.random.default_rng(seed)
    size = [num_states, num_actions]
    reward = random.choice([-1., 0., 1.], size=size, p=[.1, .7, .2])
    return cls(
        next_state=random.integers(num_states, size=size).astype(np.int32),
        reward=reward.astype(np.float32),
        value=random.normal(1., 1., num_states).astype(np.float32),
        policy_logits=random.normal(size=size).astype(np.float32),
        prefix_horizon=prefix_horizon)

  def root(self, index: np.ndarray) -> ModelOutput:
    """Model outputs of root states.

    Args:
      index: <int>[B] states.

    Returns:
      A ModelOutput with prefix 0.
    """
    index = tf.constant(index, tf.int32)
    return self._output(TabularState(index, tf.zeros(index.shape)))

  def simulator(self) -> Simulator:
    """The world, as a planner wants it."""
    return Simulator(recurrent=self._recurrent, reset_prefix=self._reset_prefix,
                     prefix_horizon=self.prefix_horizon)

  def _recurrent(self, state: TabularState, action: tf.Tensor) -> ModelOutput:
    edge = tf.stack([state.index, action], axis=1)
    reward = tf.gather_nd(tf.constant(self.reward), edge)
    return self._output(TabularState(
        index=tf.gather_nd(tf.constant(self.next_state), edge),
        prefix=state.prefix + reward))

  def _reset_prefix(self, state: TabularState,
                    where: tf.Tensor) -> TabularState:
    return state._replace(prefix=tf.where(where, 0., state.prefix))

  def _output(self, state: TabularState) -> ModelOutput:
    no_logits = tf.zeros([*state.index.shape, 1])
    return ModelOutput(
        state=state, reward=state.prefix,
        value=tf.gather(tf.constant(self.value), state.index),
        policy_logits=tf.gather(tf.constant(self.policy_logits), state.index),
        reward_logits=no_logits, value_logits=no_logits)
