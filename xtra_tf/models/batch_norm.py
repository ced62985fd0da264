"""Batch normalisation as PyTorch has it, for flat and for image tensors."""

import math
from typing import Tuple

import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.numerics import replicas


class BatchNorm(tf.keras.layers.Layer):
  """Normalises each channel; keeps running statistics for inference.

    y = (x - mean) / sqrt(variance + 1e-5) * gamma + beta

  With `training=True` mean and (biased) variance are the batch's, and

    running = 0.9 * running + 0.1 * batch

  where the running variance takes the batch's *unbiased* variance (divisor
  n - 1), as torch.nn.BatchNorm1d and BatchNorm2d do. Keras' own layer does so
  for images only, and divides by n for flat inputs. Statistics and arithmetic
  are float32 for an input of bfloat16 too. On several replicas the batch is
  that of all of them, as in torch.nn.SyncBatchNorm.

  With the attribute `trainable` False the layer is frozen and in inference mode
  whatever `training` says, as Keras' own.
  """

  MOMENTUM = 0.9  # of the running statistics; torch writes it as 0.1
  EPSILON = 1e-5

  def __init__(self, channels: int, name: str):
    """Creates the variables.

    Args:
      channels: size C of the last axis.
      name: of the layer.
    """
    super().__init__(name=name, autocast=False)
    with tf.name_scope(name):
      self.gamma = self.add_weight('gamma', [channels], initializer='ones')
      self.beta = self.add_weight('beta', [channels], initializer='zeros')
      self.running_mean = self._statistic('running_mean', channels, 'zeros')
      self.running_variance = self._statistic('running_variance', channels,
                                              'ones')

  def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Normalises.

    Args:
      x: <float32 or bfloat16>[B, C] or [B, H, W, C].
      training: batch statistics, and an update of the running ones.

    Returns:
      A tensor like `x`.

    Raises:
      UsageError: in training, if a channel has fewer than two values: its
        unbiased variance does not exist.
    """
    if x.shape.rank == 2:
      # The fused kernel wants an image; it is the one kernel that has the
      # unbiased variance, and it runs as a single op.
      channels = x.shape[-1]
      image = tf.reshape(x, [-1, 1, 1, channels])
      return tf.reshape(self._normalise(image, training), [-1, channels])
    return self._normalise(x, training)

  def _normalise(self, x: tf.Tensor, training: bool) -> tf.Tensor:
    if not (training and self.trainable):
      return self._fused(x, self.running_mean, self.running_variance, False)[0]
    self._check_count(x)
    if replicas.number() > 1:
      y, mean, variance = self._synchronized(x)
      mean, variance = (
          self.MOMENTUM * running + (1. - self.MOMENTUM) * batch
          for running, batch in ((self.running_mean, mean),
                                 (self.running_variance, variance)))
    else:
      # The kernel moves the running statistics too: ten operations less in
      # each of the two hundred calls of a step.
      y, mean, variance, *_ = self._fused(
          x, self.running_mean, self.running_variance, True)
    self.running_mean.assign(mean)
    self.running_variance.assign(variance)
    return y

  def _fused(self, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor,
             training: bool) -> tuple:
    # Not tf.compat.v1.nn.fused_batch_norm, which raises epsilon to 1.001e-5.
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=self.gamma, offset=self.beta, mean=mean, variance=variance,
        epsilon=self.EPSILON, exponential_avg_factor=1. - self.MOMENTUM,
        is_training=training)

  def _synchronized(self, x: tf.Tensor
                    ) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """With the statistics of the rows of all replicas.

      d = x - running mean
      mean = running mean + sum d / n
      variance = sum d^2 / n - (sum d / n)^2

    One exchange is enough for both sums. Without the running mean, which is
    near the batch's, the difference would lose digits.

    Args:
      x: <float32 or bfloat16>[B, H, W, C], of static shape.

    Returns:
      y, mean <float32>[C] and unbiased variance <float32>[C].
    """
    count = replicas.number() * math.prod(x.shape[:-1])
    axes = list(range(x.shape.rank - 1))
    wide = tf.cast(x, tf.float32)
    shift = self.running_mean.read_value()
    moved = wide - shift
    first, second = tf.unstack(replicas.total(tf.stack(
        [tf.reduce_sum(moved, axes), tf.reduce_sum(tf.square(moved), axes)])))
    offset = first / count
    biased = tf.nn.relu(second / count - tf.square(offset))
    y = (moved - offset) * (self.gamma * tf.math.rsqrt(biased + self.EPSILON))
    return (tf.cast(y + self.beta, x.dtype), shift + offset,
            biased * (count / (count - 1)))

  def _check_count(self, x: tf.Tensor) -> None:
    """Static where the shape is; else when the op runs."""
    if x.shape[:-1].is_fully_defined():
      count = replicas.number() * math.prod(x.shape[:-1])
      if count < 2:
        raise UsageError(
            f'Batch norm {self.name!r} needs at least two values per channel '
            f'in training, got {count} (input of shape {tuple(x.shape)}). '
            'Use a batch of two rows or more.')
    else:
      tf.debugging.assert_greater(
          tf.size(x) // x.shape[-1], 1,
          f'Batch norm {self.name!r} needs at least two values per channel in '
          'training. Use a batch of two rows or more.')

  def _statistic(self, name: str, channels: int,
                 initializer: str) -> tf.Variable:
    return self.add_weight(
        name, [channels], initializer=initializer, trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        # All replicas have the same. A mean of several processes' would make
        # each read, a save's too, an exchange that all must take part in.
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
