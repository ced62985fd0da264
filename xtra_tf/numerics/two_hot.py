"""Scalars as distributions over integer bins, and back.

A support `minimum..maximum` has maximum - minimum + 1 bins, one an integer.
Source: MuZero, appendix F; EfficientZero `core/config.py` (`phi`).
"""

from typing import Callable

import tensorflow as tf

from xtra_tf.numerics import scaling


def two_hot(values: tf.Tensor, minimum: int, maximum: int) -> tf.Tensor:
  """Spreads each value over the two integers next to it.

    p[j] = max(0, 1 - |clip(value, minimum, maximum) - j|)

  Args:
    values: <float32>[...], already scaled.
    minimum: the lowest bin.
    maximum: the highest bin.

  Returns:
    <float32>[..., maximum - minimum + 1], each row sums to 1. An integer has
    all its mass on one bin; a NaN gives NaN.
  """
  bins = tf.range(minimum, maximum + 1, dtype=tf.float32)
  inside = tf.clip_by_value(values, float(minimum), float(maximum))
  return tf.maximum(0., 1. - tf.abs(inside[..., tf.newaxis] - bins))


def expectation(logits: tf.Tensor, minimum: int, maximum: int) -> tf.Tensor:
  """Mean of the distribution that logits describe.

    y = sum_j softmax(logits)[j] * j

  Args:
    logits: <float32>[..., maximum - minimum + 1].
    minimum: the lowest bin.
    maximum: the highest bin.

  Returns:
    <float32>[...], still scaled.

  Raises:
    ValueError: if the last axis has another number of bins.
  """
  _check_bins(logits, minimum, maximum)
  bins = tf.range(minimum, maximum + 1, dtype=tf.float32)
  return tf.reduce_sum(tf.nn.softmax(logits) * bins, axis=-1)


def scalar_to_two_hot(
    x: tf.Tensor, minimum: int, maximum: int,
    scale: Callable[[tf.Tensor], tf.Tensor] = scaling.scale) -> tf.Tensor:
  """Target distribution of a scalar: `two_hot(scale(x))`.

  Args:
    x: <float32>[...] in the units of the (clipped) reward.
    minimum: the lowest bin.
    maximum: the highest bin.
    scale: of `scaling`, how large values are compressed.

  Returns:
    <float32>[..., maximum - minimum + 1].
  """
  return two_hot(scale(x), minimum, maximum)


def logits_to_scalar(logits: tf.Tensor, minimum: int,
                     maximum: int) -> tf.Tensor:
  """Scalar that logits predict: `unscale(expectation(logits))`.

  Args:
    logits: <float32>[..., maximum - minimum + 1].
    minimum: the lowest bin.
    maximum: the highest bin.

  Returns:
    <float32>[...] in the units of the (clipped) reward.
  """
  return scaling.unscale(expectation(logits, minimum, maximum))


def _check_bins(logits: tf.Tensor, minimum: int, maximum: int) -> None:
  expected = maximum - minimum + 1
  if logits.shape[-1] != expected:
    raise ValueError(
        f'A support of {minimum}..{maximum} has {expected} bins, got logits '
        f'of shape {logits.shape}.')
