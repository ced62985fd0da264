"""Training batches and targets of random numbers, for tests."""

from typing import Sequence, Tuple

import numpy as np
import tensorflow as tf

from xtra_tf.types import SCALARS, Targets, Unroll


def random_unroll(quotas: Sequence[int], *, frame: Tuple[int, ...] = (8, 8, 1),
                  stack: int = 2, unroll_steps: int = 5, td_steps: int = 5,
                  num_actions: int = 3, measuring: bool = False,
                  factors: Sequence[float] = (), seed: int = 0) -> Unroll:
  """A batch as replay makes it, in the middle of long episodes.

  Args:
    quotas: rows of each task, in task order.
    frame: shape of one frame; rank 3 gives bytes, rank 1 floats.
    stack: S.
    unroll_steps: K.
    td_steps: n.
    num_actions: A.
    measuring: whether the batch was drawn as a measured one.
    factors: offline factor of each task; all 1 if left out.
    seed: of the numbers.

  Returns:
    An Unroll with B = sum(quotas) rows, all actions legal.
  """
  random = np.random.default_rng(seed)
  batch, rows = sum(quotas), stack - 1 + unroll_steps + 1 + td_steps
  task = np.repeat(np.arange(len(quotas)), quotas)
  factor = np.array(factors or [1.] * len(quotas), np.float32)
  if len(frame) == 3:
    frames = random.integers(0, 256, [batch, rows, *frame]).astype(np.uint8)
  else:
    frames = random.normal(size=[batch, rows, *frame]).astype(np.float32)
  scalars = np.zeros([batch, rows, len(SCALARS)], np.float32)
  scalars[..., SCALARS.index('reward')] = random.integers(-1, 2, [batch, rows])
  scalars[..., SCALARS.index('real')] = 1.
  scalars[..., SCALARS.index('has_search')] = 1.
  position = np.zeros([batch, rows, 3], np.int64)
  position[..., 1] = np.arange(rows)
  return Unroll(
      observation=tf.constant(frames),
      action=tf.constant(
          random.integers(0, num_actions, [batch, rows]), tf.int32),
      search=tf.constant(
          random.multinomial(8, [1. / num_actions] * num_actions,
                             [batch, rows]), tf.float32),
      scalars=tf.constant(scalars), position=tf.constant(position),
      task=tf.constant(task, tf.int32),
      legal_actions=tf.ones([batch, num_actions], tf.bool),
      age=tf.zeros([batch]),
      importance_weight=tf.constant(
          random.uniform(0.5, 2., [batch]), tf.float32),
      offline_factor=tf.constant(factor[task]),
      measuring=tf.fill([batch], measuring))


def random_targets(batch: int, *, unroll_steps: int = 5, num_actions: int = 3,
                   seed: int = 0) -> Targets:
  """Targets without ends: every mask is 1.

  Args:
    batch: B.
    unroll_steps: K.
    num_actions: A.
    seed: of the numbers.

  Returns:
    Targets of B rows.
  """
  random = np.random.default_rng(seed)
  states = [batch, unroll_steps + 1]
  steps = [batch, unroll_steps]
  policy = random.dirichlet([1.] * num_actions, states)
  return Targets(
      value=tf.constant(random.normal(size=states), tf.float32),
      value_prefix=tf.constant(random.normal(size=steps), tf.float32),
      policy=tf.constant(policy, tf.float32),
      value_mask=tf.ones(states), value_prefix_mask=tf.ones(steps),
      policy_mask=tf.ones(states), consistency_mask=tf.ones(steps))
