"""Dynamics network: latent and action to next latent and value prefix.

Axes: B batch, h and w space of the latent, C channels, L units of the LSTM.
"""

from typing import NamedTuple, Sequence, Tuple

import tensorflow as tf

from xtra_tf.models import layers
from xtra_tf.models.batch_norm import BatchNorm
from xtra_tf.models.initializers import Seeds
from xtra_tf.numerics import gradients


class DynamicsOutput(NamedTuple):
  """One step of the dynamics."""
  latent: tf.Tensor  # <float32>[B, h, w, C]
  lstm_hidden: tf.Tensor  # <float32>[B, L]
  lstm_cell: tf.Tensor  # <float32>[B, L]
  prefix_logits: tf.Tensor  # <float32>[B, bins]


class Dynamics(tf.keras.layers.Layer):
  """Residual transition, and an LSTM that adds up rewards along the way.

  Source: EfficientZero `config/atari/model.py` (DynamicsNetwork).
  """

  def __init__(self, latent_shape: Tuple[int, int, int], num_actions: int,
               bins: int, lstm_size: int, head_channels: int,
               head_hidden: Sequence[int], seeds: Seeds, name: str, *,
               gradient_scale: float, zero_initial_heads: bool,
               action_encoding: str, prefix_norm: str):
    """Creates the layers.

    Args:
      latent_shape: (h, w, C).
      num_actions: A, actions that the network knows.
      bins: of the value prefix's support.
      lstm_size: L.
      head_channels: channels left in front of the LSTM.
      head_hidden: hidden sizes of the prefix's MLP.
      seeds: of the initial weights.
      name: of the layer.
      gradient_scale: factor of the gradient that arrives at a new latent.
      zero_initial_heads: whether prefix logits are 0 at first.
      action_encoding: one of ACTION_ENCODINGS.
      prefix_norm: one of PREFIX_NORMS.
    """
    super().__init__(name=name, autocast=False)
    self._num_actions = num_actions
    self._one_hot = action_encoding == 'one_hot'
    self._gradient_scale = gradient_scale
    channels = latent_shape[-1]
    with tf.name_scope(name):
      planes = num_actions if self._one_hot else 1
      self.conv = layers.Convolution(
          channels + planes, channels, seeds, 'conv')
      self.norm = BatchNorm(channels, 'norm')
      self.block = layers.ResidualBlock(channels, channels, seeds, 'block')
      self.prefix_reducer = layers.ChannelReducer(
          latent_shape, head_channels, seeds, 'prefix_reducer')
      self.lstm = layers.LstmCell(self.prefix_reducer.size, lstm_size, seeds,
                                  'lstm')
      self.lstm_norm = layers.NORMS[prefix_norm](lstm_size, 'lstm_norm')
      self.prefix = layers.Mlp([lstm_size, *head_hidden, bins], seeds,
                               'prefix', zero_initial=zero_initial_heads,
                               norm=prefix_norm)

  def call(self, latent: tf.Tensor, lstm_hidden: tf.Tensor,
           lstm_cell: tf.Tensor, action: tf.Tensor,
           training: bool = False) -> DynamicsOutput:
    """Steps once.

    Args:
      latent: <float32 or bfloat16>[B, h, w, C], and so is the next one.
      lstm_hidden: <float32>[B, L].
      lstm_cell: <float32>[B, L].
      action: <int32 or float32>[B] of 0..A - 1; the network sees a plane of
        action / A, or A planes of which the action's is 1.
      training: whether batch statistics are used (and updated).

    Returns:
      A DynamicsOutput.
    """
    plane = tf.cast(self._action_planes(latent, action), latent.dtype)
    x = tf.concat([latent, plane], axis=-1)
    x = tf.nn.relu(self.norm(self.conv(x), training=training) + latent)
    latent = self.block(x, training=training)
    # Before the branch: the losses of this step are scaled too, through
    # whichever head they come.
    latent = gradients.scale_gradient(latent, self._gradient_scale)
    features = self.prefix_reducer(latent, training=training)
    lstm_hidden, lstm_cell = self.lstm(features, lstm_hidden, lstm_cell)
    y = tf.nn.relu(self.lstm_norm(lstm_hidden, training=training))
    return DynamicsOutput(latent, lstm_hidden, lstm_cell,
                          self.prefix(y, training=training))

  def _action_planes(self, latent: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    if self._one_hot:
      level = tf.one_hot(tf.cast(action, tf.int32), self._num_actions,
                         dtype=latent.dtype)
    else:
      level = (tf.cast(action, tf.float32) / self._num_actions)[:, tf.newaxis]
    planes = level[:, tf.newaxis, tf.newaxis, :]
    return tf.tile(planes, [1, latent.shape[1], latent.shape[2], 1])
