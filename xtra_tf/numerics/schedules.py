"""Schedules: pure functions of a step. Steps may be integers or tensors."""

from typing import Sequence

import tensorflow as tf


def learning_rate(step: tf.Tensor,
                  peak: float = 0.2,
                  warmup_steps: int = 1000,
                  decay_rate: float = 0.1,
                  decay_steps: int = 100_000) -> tf.Tensor:
  """Linear warm-up, then a staircase.

    peak * step / warmup_steps                                step < warmup
    peak * decay_rate^floor((step - warmup_steps) / decay_steps)  otherwise

  Source: EfficientZero `core/train.py` (`adjust_lr`).

  Args:
    step: <int>[] gradient steps done.
    peak: the rate after the warm-up.
    warmup_steps: gradient steps until `peak`; 0 starts there.
    decay_rate: factor of one stair.
    decay_steps: gradient steps of one stair.

  Returns:
    <float32>[].
  """
  step = tf.cast(step, tf.float32)
  stairs = tf.floor((step - warmup_steps) / decay_steps)
  decayed = peak * tf.pow(decay_rate, stairs)
  if warmup_steps == 0:
    return decayed
  return tf.where(step < warmup_steps, peak * step / warmup_steps, decayed)


def importance_exponent(step: tf.Tensor,
                        initial: float = 0.4,
                        final: float = 1.0,
                        steps: int = 120_000) -> tf.Tensor:
  """Exponent of the importance weights, linear in the step, then constant.

    initial + (final - initial) * min(step / steps, 1)

  Source: prioritized experience replay, section 3.4; EfficientZero
  `core/train.py` (`beta_schedule`).

  Args:
    step: <int>[] gradient steps done.
    initial: at step 0.
    final: from step `steps` on.
    steps: gradient steps of the rise.

  Returns:
    <float32>[].
  """
  progress = tf.minimum(tf.cast(step, tf.float32) / steps, 1.)
  return initial + (final - initial) * progress


def visit_temperature(step: tf.Tensor,
                      total_steps: int,
                      boundaries: Sequence[float] = (0.5, 0.75),
                      values: Sequence[float] = (1.0, 0.5, 0.25)
                     ) -> tf.Tensor:
  """Temperature of the visit counts from which actions are drawn.

    values[number of boundaries with step >= boundary * total_steps]

  Source: EfficientZero `config/atari/__init__.py`
  (`visit_softmax_temperature_fn`).

  Args:
    step: <int>[] gradient steps done.
    total_steps: gradient steps of the run.
    boundaries: where the temperature changes, fractions of the run, rising.
    values: temperatures, one more than boundaries.

  Returns:
    <float32>[].

  Raises:
    ValueError: if the numbers of boundaries and values do not fit.
  """
  if len(values) != len(boundaries) + 1:
    raise ValueError('There must be one temperature more than boundaries, got '
                     f'{len(values)} and {len(boundaries)}.')
  step = tf.cast(step, tf.float32)
  starts = tf.constant([b * total_steps for b in boundaries], tf.float32)
  passed = tf.reduce_sum(tf.cast(step >= starts, tf.int32))
  return tf.gather(tf.constant(values, tf.float32), passed)


def td_steps(age: tf.Tensor,
             maximum: int = 5,
             interval: float = 30_000) -> tf.Tensor:
  """Bootstrap steps of a sample: the older the data, the fewer.

    clip(maximum - floor(age / interval), 1, maximum)

  Source: EfficientZero, section 4.3; `core/reanalyze_worker.py`.

  Args:
    age: <float32>[B] environment steps since the sample was taken.
    maximum: steps of fresh data.
    interval: environment steps after which one step is taken off.

  Returns:
    <int32>[B].
  """
  fewer = tf.cast(tf.floor(tf.cast(age, tf.float32) / interval), tf.int32)
  return tf.clip_by_value(maximum - fewer, 1, maximum)
