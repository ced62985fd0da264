"""Batch normalisation as PyTorch has it, for flat and for image tensors."""

import math

import tensorflow as tf

from xtra_tf.errors import UsageError


class BatchNorm(tf.keras.layers.Layer):
  """Normalises each channel; keeps running statistics for inference.

    y = (x - mean) / sqrt(variance + 1e-5) * gamma + beta

  With `training=True` mean and (biased) variance are the batch's, and

    running = 0.9 * running + 0.1 * batch

  where the running variance takes the batch's *unbiased* variance (divisor
  n - 1), as torch.nn.BatchNorm1d and BatchNorm2d do. Keras' own layer does so
  for images only, and divides by n for flat inputs. Statistics and arithmetic
  are float32 for an input of bfloat16 too.

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
    none = tf.zeros([0])
    y, mean, variance, *_ = self._fused(x, none, none, True)
    for running, batch in ((self.running_mean, mean),
                           (self.running_variance, variance)):
      running.assign(self.MOMENTUM * running + (1. - self.MOMENTUM) * batch)
    return y

  def _fused(self, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor,
             training: bool) -> tuple:
    # Not tf.compat.v1.nn.fused_batch_norm, which raises epsilon to 1.001e-5.
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=self.gamma, offset=self.beta, mean=mean, variance=variance,
        epsilon=self.EPSILON, exponential_avg_factor=1., is_training=training)

  def _check_count(self, x: tf.Tensor) -> None:
    """Static where the shape is; else when the op runs."""
    if x.shape[:-1].is_fully_defined():
      count = math.prod(x.shape[:-1])
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
        aggregation=tf.VariableAggregation.MEAN)
