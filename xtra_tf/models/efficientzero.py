"""EfficientZero's world model, in the sizes of EfficientZero and XTRA."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

import tensorflow as tf

from xtra_tf.models import layers, representation
from xtra_tf.models.action_head import ActionHead
from xtra_tf.models.dynamics import Dynamics
from xtra_tf.models.efficientzero_config import EfficientZeroConfig
from xtra_tf.models.initializers import Seeds
from xtra_tf.models.prediction import Prediction
from xtra_tf.models.projection import Projection
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import two_hot
from xtra_tf.types import ModelOutput


class EfficientZeroState(NamedTuple):
  """From where the model goes on."""
  latent: tf.Tensor  # <float32>[B, h, w, C]
  lstm_hidden: tf.Tensor  # <float32>[B, L], 0 where the prefix starts anew
  lstm_cell: tf.Tensor  # <float32>[B, L]


class EfficientZero(WorldModel):
  """Latent dynamics with value prefix and self-supervised consistency.

  Source: EfficientZero, sections 4.1 and 4.2; `config/atari/model.py`
  (EfficientZeroNet); XTRA `config/atari/model.py` for the larger
  representation. Modules that the official code creates and never calls do not
  exist here.

  With `config.action_ids` the network is one of these actions alone, weights
  included; actions and policy logits are translated where they enter and
  leave.
  """

  def __init__(self, config: EfficientZeroConfig, seed: Optional[int] = None,
               name: str = 'efficientzero'):
    """Creates the model with all its variables.

    Args:
      config: sizes.
      seed: decides the initial weights; None takes entropy from the system.
      name: of the model.
    """
    super().__init__(name=name)
    self.config = config
    self.num_actions = config.num_actions
    self.prefix_horizon = config.prefix_horizon
    self._head: Optional[ActionHead] = None
    if config.action_ids is not None:
      self._head = ActionHead(config.action_ids, config.num_actions)
    seeds = Seeds(seed)
    latent_shape = config.latent_shape
    if config.has_images:
      self.representation = representation.ImageRepresentation(
          config.observation_shape[-1], config.channels,
          config.representation_blocks, config.downsample,
          config.shrinkage, seeds,
          'representation')
    else:
      self.representation = representation.VectorRepresentation(
          config.observation_shape[0], config.channels, seeds,
          'representation')
    self.dynamics = Dynamics(
        latent_shape, config.network_actions, config.bins, config.lstm_size,
        config.head_channels, config.head_hidden, seeds, 'dynamics',
        gradient_scale=config.state_gradient_scale,
        zero_initial_heads=config.zero_initial_heads,
        action_encoding=config.action_encoding,
        prefix_norm=config.prefix_norm)
    self.prediction = Prediction(
        latent_shape, config.network_actions, config.bins,
        config.head_channels, config.head_hidden, seeds, 'prediction',
        zero_initial_heads=config.zero_initial_heads)
    self.projection = Projection(
        latent_shape, config.projection_hidden, config.projection_size,
        config.projection_head_hidden, seeds, 'projection')

  @property
  def action_ids(self) -> Optional[Tuple[int, ...]]:
    """See the base class."""
    return self.config.action_ids

  def build_variables(self) -> None:
    """Tells Keras that the model is built.

    The variables exist from the constructor on; without this call Keras
    refuses `summary` and `save_weights`, as it never sees a `call`.
    """
    self.built = True

  def description(self) -> Dict[str, Any]:
    """What `build_world_model` needs to build this model; fit for JSON."""
    return {'family': 'efficientzero', 'config': self.config.to_json()}

  def initial_inference(self, observation: tf.Tensor,
                        training: bool = False) -> ModelOutput:
    """See the base class; the state is an EfficientZeroState."""
    expected = self.config.observation_shape
    if tuple(observation.shape[1:]) != expected:
      raise ValueError(f'{self.name} takes observations [B, '
                       f'{", ".join(map(str, expected))}], got '
                       f'{tuple(observation.shape)}.')
    latent = self._latent(self.representation(
        self._compute(observation), training=training))
    rows = latent.shape[0]
    if rows is None:
      rows = tf.shape(latent)[0]
    idle = tf.zeros([rows, self.config.lstm_size])
    state = EfficientZeroState(latent, lstm_hidden=idle, lstm_cell=idle)
    # No step has been made: the prefix is 0 by definition, not by prediction.
    return self._output(state, tf.zeros([rows, self.config.bins]),
                        tf.zeros([rows]), training)

  def recurrent_inference(self, state: EfficientZeroState, action: tf.Tensor,
                          training: bool = False) -> ModelOutput:
    """See the base class; the state is an EfficientZeroState."""
    if self._head is not None:
      action = self._head.places(action)
    step = self.dynamics(
        self._compute(state.latent), state.lstm_hidden, state.lstm_cell, action,
        training=training)
    state = EfficientZeroState(self._latent(step.latent), step.lstm_hidden,
                               step.lstm_cell)
    return self._output(state, step.prefix_logits,
                        self._scalar(step.prefix_logits), training)

  def reset_prefix(self, state: EfficientZeroState,
                   where: tf.Tensor) -> EfficientZeroState:
    """See the base class: clears the LSTM, keeps the latent."""
    keep = tf.cast(tf.logical_not(where), tf.float32)[:, tf.newaxis]
    return state._replace(lstm_hidden=state.lstm_hidden * keep,
                          lstm_cell=state.lstm_cell * keep)

  def project(self, state: EfficientZeroState, with_head: bool,
              training: bool = False) -> tf.Tensor:
    """See the base class."""
    return self.projection(self._compute(state.latent), with_head=with_head,
                           training=training)

  def _compute(self, x: tf.Tensor) -> tf.Tensor:
    """What a network takes, in the precision in which it computes."""
    return tf.cast(x, self.config.compute_dtype)

  def _latent(self, latent: tf.Tensor) -> tf.Tensor:
    # States are float32: search trees and losses are made of them.
    latent = tf.cast(latent, tf.float32)
    if self.config.normalize_state:
      return layers.min_max_normalize(latent)
    return latent

  def _output(self, state: EfficientZeroState, reward_logits: tf.Tensor,
              reward: tf.Tensor, training: bool) -> ModelOutput:
    policy_logits, value_logits = self.prediction(
        self._compute(state.latent), training=training)
    if self._head is not None:
      policy_logits = self._head.family_logits(policy_logits)
    return ModelOutput(
        state=state, reward=reward, value=self._scalar(value_logits),
        policy_logits=policy_logits, reward_logits=reward_logits,
        value_logits=value_logits)

  def _scalar(self, logits: tf.Tensor) -> tf.Tensor:
    return two_hot.logits_to_scalar(logits, -self.config.support,
                                    self.config.support)
