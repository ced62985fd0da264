"""Returns. Axes: B batch, R rewards, P positions from which returns start."""

import tensorflow as tf


def n_step_values(rewards: tf.Tensor, bootstrap: tf.Tensor, steps: tf.Tensor,
                  discount: float) -> tf.Tensor:
  """Discounted reward sums that end in a bootstrap value.

    z[p] = sum_{j < steps[p]} discount^j * rewards[p + j]
           + discount^steps[p] * bootstrap[p]

  The caller decides about ends: rewards past an end are 0, `bootstrap` is 0
  after a true end, and `steps` is shorter before a truncation.
  Source: MuZero, section 3; EfficientZero `core/reanalyze_worker.py`.

  Args:
    rewards: <float32>[B, R].
    bootstrap: <float32>[B, P], P <= R + 1; the value `steps[p]` steps after p.
    steps: <int32>[B, P] in 0..n, n = R - P + 1.
    discount: factor per step.

  Returns:
    <float32>[B, P].

  Raises:
    ValueError: if there are more positions than rewards allow.
  """
  num_positions = bootstrap.shape[1]
  most_steps = rewards.shape[1] - num_positions + 1
  if most_steps < 0:
    raise ValueError(f'{num_positions} positions need at least '
                     f'{num_positions - 1} rewards, got {rewards.shape[1]}.')
  value = tf.pow(discount, tf.cast(steps, tf.float32)) * bootstrap
  for j in range(most_steps):
    taken = tf.cast(steps > j, tf.float32)
    value += taken * discount**j * rewards[:, j:j + num_positions]
  return value


def value_prefixes(rewards: tf.Tensor) -> tf.Tensor:
  """Undiscounted sums of the first rewards.

    p[k] = sum_{j < k} rewards[j], k = 1..K

  Source: EfficientZero, section 4.2.

  Args:
    rewards: <float32>[B, K]; rewards past an end are 0.

  Returns:
    <float32>[B, K].
  """
  return tf.cumsum(rewards, axis=1)
