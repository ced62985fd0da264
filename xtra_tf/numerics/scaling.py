"""Value scaling: compresses large returns so that a small support holds them.

Source: Pohlen et al. 2018, appendix; EfficientZero `core/config.py`
(`scalar_transform`, `inverse_scalar_transform`).
"""

import tensorflow as tf


def scale(x: tf.Tensor, epsilon: float = 0.001) -> tf.Tensor:
  """Compresses a scalar.

    h(x) = sign(x) * (sqrt(|x| + 1) - 1) + epsilon * x

  Args:
    x: <float32>[...] in the units of the (clipped) reward.
    epsilon: slope that is left for large x; keeps h invertible.

  Returns:
    <float32>[...] of the same shape.
  """
  # sqrt(|x| + 1) - 1 = |x| / (sqrt(|x| + 1) + 1), without its cancellation.
  return x / (tf.sqrt(tf.abs(x) + 1.) + 1.) + epsilon * x


def scale_xtra(x: tf.Tensor, epsilon: float = 0.001) -> tf.Tensor:
  """Compresses a scalar as XTRA's code does, which is wrong where x < 0.

    h(x) = sign(x) * (sqrt(|x| + 1) - 1 + epsilon * x)

  The slope's sign turns round with x, so that `unscale` makes negative numbers
  smaller than they were: -20 becomes -19.64. For x >= 0 it is `scale`.
  Source: XTRA `core/config.py:205-214`; EfficientZero's HEAD has `scale`,
  `core/config.py:303-313`.

  Args:
    x: <float32>[...] in the units of the (clipped) reward.
    epsilon: slope.

  Returns:
    <float32>[...] of the same shape.
  """
  return x / (tf.sqrt(tf.abs(x) + 1.) + 1.) + epsilon * tf.abs(x)


def unscale(y: tf.Tensor, epsilon: float = 0.001) -> tf.Tensor:
  """Inverse of `scale`.

    h^-1(y) = sign(y) * (u^2 - 1),
    u = (sqrt(1 + 4 * epsilon * (|y| + 1 + epsilon)) - 1) / (2 * epsilon)

  Results below `epsilon` in magnitude become 0, as in the official code, so
  that a network with a uniform output says exactly 0.

  Args:
    y: <float32>[...] scaled values.
    epsilon: the same as in `scale`.

  Returns:
    <float32>[...] in the units of the (clipped) reward. NaN stays NaN (the
    official code says 0), so that a diverged network cannot hide.
  """
  size = tf.abs(y)
  root = tf.sqrt(1. + 4. * epsilon * (size + 1. + epsilon))
  # The textbook form loses four digits to cancellation in float32. With
  # root(0) = 1 + 2 epsilon both differences divide out; `excess` is u - 1.
  at_zero = 1. + 2. * epsilon
  excess = 2. * size * (1. - 2. * epsilon / (root + at_zero)) / (1. + root)
  x = excess * (excess + 2.)
  return tf.where(x < epsilon, tf.zeros_like(x), tf.sign(y) * x)
