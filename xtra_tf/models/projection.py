"""Projection network and its head, for the consistency of latents."""

from typing import Tuple

import tensorflow as tf

from xtra_tf.models import layers
from xtra_tf.models.batch_norm import BatchNorm
from xtra_tf.models.initializers import Seeds


class Projection(tf.keras.layers.Layer):
  """SimSiam's projector, and its predictor as head.

  Source: EfficientZero `config/atari/model.py` (EfficientZeroNet.project).
  """

  def __init__(self, latent_shape: Tuple[int, int, int], hidden: int,
               size: int, head_hidden: int, seeds: Seeds, name: str):
    """Creates the layers.

    Args:
      latent_shape: (h, w, C).
      hidden: sizes of the projector's two hidden layers.
      size: of a projection.
      head_hidden: size of the head's hidden layer.
      seeds: of the initial weights.
      name: of the layer.
    """
    super().__init__(name=name, autocast=False)
    height, width, channels = latent_shape
    with tf.name_scope(name):
      self.projector = layers.Mlp(
          [height * width * channels, hidden, hidden, size], seeds, 'projector')
      self.projector_norm = BatchNorm(size, 'projector_norm')
      self.head = layers.Mlp([size, head_hidden, size], seeds, 'head')

  def call(self, latent: tf.Tensor, with_head: bool,
           training: bool = False) -> tf.Tensor:
    """Projects.

    Args:
      latent: <float32>[B, h, w, C].
      with_head: whether the head follows.
      training: whether batch statistics are used (and updated).

    Returns:
      <float32>[B, size].
    """
    x = layers.flatten_channels_first(latent)
    x = self.projector_norm(self.projector(x, training=training),
                            training=training)
    # The projector's last layer gives float32.
    return (self.head(tf.cast(x, latent.dtype), training=training)
            if with_head else x)
