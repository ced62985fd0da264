"""Representation networks: observation to latent.

Axes: B batch, H and W of the observation, h and w of the latent, C channels.
"""

from typing import List, Tuple

import tensorflow as tf

from xtra_tf.models import layers
from xtra_tf.models.batch_norm import BatchNorm
from xtra_tf.models.initializers import Seeds

# Factors by which a downsampling network may shrink each side of an image: the
# stem and a block halve it once each, every pooling layer once more.
SHRINKAGES = (4, 8, 16)


class ImageRepresentation(tf.keras.layers.Layer):
  """Residual network; with `downsample` latents are `shrinkage` times smaller.

  Downsampling: stem of stride 2 and C // 2 channels, blocks, a block of stride
  2, blocks, pool, blocks, pool, blocks. A shrinkage of 8 leaves the second pool
  out, one of 4 both. Without downsampling: stem of stride 1 and C channels,
  blocks. `blocks` is the length of each run of blocks: 1 in EfficientZero, 4 in
  EfficientZero-L.
  Source: EfficientZero and XTRA `config/atari/model.py`
  (RepresentationNetwork, DownSample).
  """

  def __init__(self, observation_channels: int, channels: int, blocks: int,
               downsample: bool, shrinkage: int, seeds: Seeds, name: str):
    super().__init__(name=name, autocast=False)
    self._downsample = downsample
    self._shrinkage = shrinkage

    def run(stage: str, width: int) -> List[layers.ResidualBlock]:
      return [layers.ResidualBlock(width, width, seeds, f'{stage}_{i}')
              for i in range(blocks)]

    with tf.name_scope(name):
      width = channels // 2 if downsample else channels
      self.stem = layers.Convolution(observation_channels, width, seeds,
                                     'stem', stride=2 if downsample else 1)
      self.stem_norm = BatchNorm(width, 'stem_norm')
      if downsample:
        self.blocks_half = run('half', width)
        self.halving = layers.ResidualBlock(width, channels, seeds, 'halving',
                                            stride=2)
        self.blocks_quarter = run('quarter', channels)
        self.blocks_eighth = run('eighth', channels)
      self.blocks_latent = run('latent', channels)

  def call(self, observation: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Encodes.

    Args:
      observation: <float32>[B, H, W, S * C], scaled to [0, 1].
      training: whether batch statistics are used (and updated).

    Returns:
      <float32>[B, h, w, C], not negative.
    """
    x = tf.nn.relu(self.stem_norm(self.stem(observation), training=training))
    if self._downsample:
      for block in self.blocks_half:
        x = block(x, training=training)
      x = self.halving(x, training=training)
      for block in self.blocks_quarter:
        x = block(x, training=training)
      if self._shrinkage >= 8:
        x = layers.average_pool(x)
      for block in self.blocks_eighth:
        x = block(x, training=training)
      if self._shrinkage >= 16:
        x = layers.average_pool(x)
    for block in self.blocks_latent:
      x = block(x, training=training)
    return x


class VectorRepresentation(tf.keras.layers.Layer):
  """Linear - batch norm - relu, twice, to a latent of one cell."""

  def __init__(self, observation_size: int, channels: int, seeds: Seeds,
               name: str):
    super().__init__(name=name, autocast=False)
    self._channels = channels
    with tf.name_scope(name):
      self.linear_1 = layers.Linear(observation_size, channels, seeds,
                                    'linear_1')
      self.norm_1 = BatchNorm(channels, 'norm_1')
      self.linear_2 = layers.Linear(channels, channels, seeds, 'linear_2')
      self.norm_2 = BatchNorm(channels, 'norm_2')

  def call(self, observation: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Encodes.

    Args:
      observation: <float32>[B, S * D].
      training: whether batch statistics are used (and updated).

    Returns:
      <float32>[B, 1, 1, C], not negative.
    """
    x = tf.nn.relu(self.norm_1(self.linear_1(observation), training=training))
    x = tf.nn.relu(self.norm_2(self.linear_2(x), training=training))
    return tf.reshape(x, [-1, 1, 1, self._channels])


def latent_shape(observation_shape: Tuple[int, ...], channels: int,
                 downsample: bool, shrinkage: int) -> Tuple[int, int, int]:
  """Shape (h, w, C) of the latent of a stacked observation."""
  if len(observation_shape) == 1:
    return (1, 1, channels)
  shrink = shrinkage if downsample else 1
  height, width = (side // shrink for side in observation_shape[:2])
  return (height, width, channels)
