"""A small world model with every part of the protocol, for tests."""

from typing import Any, NamedTuple, Tuple

import numpy as np
import tensorflow as tf

from xtra_tf.models.batch_norm import BatchNorm
from xtra_tf.models.world_model import WorldModel
from xtra_tf.types import ModelOutput


class LinearState(NamedTuple):
  """State of a LinearWorldModel."""
  latent: tf.Tensor  # <float32>[B, D]
  memory: tf.Tensor  # <float32>[B, D] gathers what the prefix needs


class LinearWorldModel(WorldModel):
  """Linear maps, one batch norm and tanh; fast and differentiable.

  Scalars are the plain expectation over the bins, without value scaling.
  """

  def __init__(self, observation_shape: Tuple[int, ...], num_actions: int = 3,
               size: int = 8, support: int = 5, prefix_horizon: int = 5,
               state_gradient_scale: float = 0.5, seed: int = 0,
               name: str = 'linear_world_model'):
    """Creates all variables.

    Args:
      observation_shape: of one stacked observation.
      num_actions: A.
      size: D, width of the latent state.
      support: bins are -support..support.
      prefix_horizon: steps after which the value prefix starts anew.
      state_gradient_scale: factor of the gradient at each predicted state.
      seed: decides the initial weights.
      name: of the model.
    """
    super().__init__(name=name)
    self.num_actions = num_actions
    self.prefix_horizon = prefix_horizon
    self._support = support
    self._state_gradient_scale = state_gradient_scale
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, label: str) -> tf.Variable:
      values = random.normal(size=[rows, columns]) / np.sqrt(rows)
      return tf.Variable(values.astype(np.float32), name=label)

    bins = 2 * support + 1
    inputs = int(np.prod(observation_shape))
    self.encoder = matrix(inputs, size, 'encoder')
    self.norm = BatchNorm(size, 'norm')
    self.transition = matrix(size + num_actions, size, 'transition')
    self.recall = matrix(2 * size, size, 'recall')
    self.reward_head = matrix(size, bins, 'reward_head')
    self.value_head = matrix(size, bins, 'value_head')
    self.policy_head = matrix(size, num_actions, 'policy_head')
    self.projection = matrix(size, size, 'projection')
    self.projection_head = matrix(size, size, 'projection_head')
    self.built = True

  def initial_inference(self, observation: tf.Tensor,
                        training: bool = False) -> ModelOutput:
    """See WorldModel."""
    flat = tf.reshape(observation, [observation.shape[0], -1])
    latent = tf.tanh(self.norm(flat @ self.encoder, training=training))
    state = LinearState(latent, tf.zeros_like(latent))
    return self._output(state)

  def recurrent_inference(self, state: LinearState, action: tf.Tensor,
                          training: bool = False) -> ModelOutput:
    """See WorldModel."""
    del training  # No batch statistics here.
    taken = tf.one_hot(action, self.num_actions)
    latent = tf.tanh(
        tf.concat([state.latent, taken], axis=1) @ self.transition)
    scale = self._state_gradient_scale
    latent = scale * latent + (1. - scale) * tf.stop_gradient(latent)
    memory = tf.tanh(
        tf.concat([state.memory, latent], axis=1) @ self.recall)
    return self._output(LinearState(latent, memory))

  def reset_prefix(self, state: LinearState, where: tf.Tensor) -> LinearState:
    """See WorldModel."""
    memory = tf.where(where[:, tf.newaxis], 0., state.memory)
    return LinearState(state.latent, memory)

  def project(self, state: LinearState, with_head: bool,
              training: bool = False) -> tf.Tensor:
    """See WorldModel."""
    del training  # No batch statistics here.
    projected = tf.tanh(state.latent @ self.projection)
    return projected @ self.projection_head if with_head else projected

  def _output(self, state: LinearState) -> ModelOutput:
    reward_logits = state.memory @ self.reward_head
    value_logits = state.latent @ self.value_head
    return ModelOutput(
        state=state, reward=self._mean(reward_logits),
        value=self._mean(value_logits),
        policy_logits=state.latent @ self.policy_head,
        reward_logits=reward_logits, value_logits=value_logits)

  def _mean(self, logits: tf.Tensor) -> Any:
    bins = tf.range(-self._support, self._support + 1, dtype=tf.float32)
    return tf.reduce_sum(tf.nn.softmax(logits) * bins, axis=1)
