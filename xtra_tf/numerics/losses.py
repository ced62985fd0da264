"""Losses per sample. Nothing is averaged over the batch here."""

import tensorflow as tf


def cross_entropy(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
  """Cross-entropy of predicted logits under a target distribution.

    loss = - sum_j target[j] * log_softmax(logits)[j]

  Args:
    target: <float32>[..., N]; a row of zeros means no target and gives 0.
    logits: <float32>[..., N].

  Returns:
    <float32>[...] in nats.
  """
  return -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1)


def negative_cosine(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
  """How little two vectors point in the same direction.

    loss = - <x, y> / (max(|x|, 1e-5) * max(|y|, 1e-5))

  Source: SimSiam; EfficientZero `core/train.py` (`consist_loss_func`).

  Args:
    x: <float32>[B, P].
    y: <float32>[B, P].

  Returns:
    <float32>[B] in [-1, 1]; 0 where a vector is 0.
  """
  # l2_normalize compares squares; its gradient at 0 is finite, that of a norm
  # is not.
  unit_x = tf.math.l2_normalize(x, axis=-1, epsilon=1e-10)
  unit_y = tf.math.l2_normalize(y, axis=-1, epsilon=1e-10)
  return -tf.reduce_sum(unit_x * unit_y, axis=-1)
