"""Exploration noise at the root."""

import tensorflow as tf
import tensorflow_probability as tfp


def dirichlet(legal_actions: tf.Tensor, alpha: float,
              seed: tf.Tensor) -> tf.Tensor:
  """Dirichlet(alpha, ..., alpha) over the legal actions of each row.

  Independent gamma variables, divided by their sum, are Dirichlet distributed;
  leaving out the illegal ones leaves a Dirichlet over the legal ones. It is
  done with logarithms: at a small alpha a gamma variable can be too small for
  a float32, and a row of such would give 0 / 0.

  Args:
    legal_actions: <bool>[B, A], at least one legal action in each row.
    alpha: concentration of each legal action.
    seed: <int32>[2].

  Returns:
    <float32>[B, A], sums to 1, exactly 0 for illegal actions.
  """
  log_gamma = tfp.distributions.ExpGamma(
      tf.fill(legal_actions.shape, alpha), rate=1.).sample(seed=seed)
  return tf.nn.softmax(tf.where(legal_actions, log_gamma, float('-inf')))


def mix(prior: tf.Tensor, noise: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
  """(1 - fraction) * prior + fraction * noise.

  Args:
    prior: <float32>[B, A].
    noise: <float32>[B, A].
    fraction: <float32>[].

  Returns:
    <float32>[B, A].
  """
  return (1. - fraction) * prior + fraction * noise
