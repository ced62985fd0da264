"""Prediction network: latent to value and policy."""

from typing import Sequence, Tuple

import tensorflow as tf

from xtra_tf.models import layers
from xtra_tf.models.initializers import Seeds


class Prediction(tf.keras.layers.Layer):
  """One residual block, then a head each for value and policy.

  Source: EfficientZero `config/atari/model.py` (PredictionNetwork).
  """

  def __init__(self, latent_shape: Tuple[int, int, int], num_actions: int,
               bins: int, head_channels: int, head_hidden: Sequence[int],
               seeds: Seeds, name: str, *, zero_initial_heads: bool):
    """Creates the layers.

    Args:
      latent_shape: (h, w, C).
      num_actions: A, actions that the network knows.
      bins: of the value's support.
      head_channels: channels left in front of the heads' MLPs.
      head_hidden: hidden sizes of the MLPs.
      seeds: of the initial weights.
      name: of the layer.
      zero_initial_heads: whether all logits are 0 at first.
    """
    super().__init__(name=name, autocast=False)
    channels = latent_shape[-1]

    def head(outputs: int, head_name: str
             ) -> Tuple[layers.ChannelReducer, layers.Mlp]:
      reducer = layers.ChannelReducer(latent_shape, head_channels, seeds,
                                      f'{head_name}_reducer')
      return reducer, layers.Mlp([reducer.size, *head_hidden, outputs], seeds,
                                 head_name, zero_initial=zero_initial_heads)

    with tf.name_scope(name):
      self.block = layers.ResidualBlock(channels, channels, seeds, 'block')
      self.value_reducer, self.value = head(bins, 'value')
      self.policy_reducer, self.policy = head(num_actions, 'policy')

  def call(self, latent: tf.Tensor,
           training: bool = False) -> Tuple[tf.Tensor, tf.Tensor]:
    """Predicts.

    Args:
      latent: <float32>[B, h, w, C].
      training: whether batch statistics are used (and updated).

    Returns:
      Policy logits <float32>[B, A] and value logits <float32>[B, bins].
    """
    x = self.block(latent, training=training)
    value = self.value(self.value_reducer(x, training=training),
                       training=training)
    policy = self.policy(self.policy_reducer(x, training=training),
                         training=training)
    return policy, value
