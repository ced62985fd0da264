"""Tests of returns."""

import numpy as np
import tensorflow as tf

from xtra_tf.numerics import returns


def _n_step_twin(rewards, bootstrap, steps, discount):
  values = np.zeros(bootstrap.shape)
  for b, p in np.ndindex(*bootstrap.shape):
    for j in range(steps[b, p]):
      values[b, p] += discount**j * rewards[b, p + j]
    values[b, p] += discount**steps[b, p] * bootstrap[b, p]
  return values


class ReturnsTest(tf.test.TestCase):

  def test_equals_twin_with_steps_of_their_own(self):
    random = np.random.default_rng(1)
    rewards = random.normal(size=[3, 10]).astype(np.float32)
    bootstrap = random.normal(size=[3, 6]).astype(np.float32)
    steps = random.integers(0, 6, [3, 6]).astype(np.int32)
    self.assertAllClose(
        returns.n_step_values(rewards, bootstrap, steps, 0.9),
        _n_step_twin(rewards, bootstrap, steps, 0.9), rtol=1e-5, atol=1e-6)

  def test_no_steps_is_the_bootstrap(self):
    self.assertAllEqual(
        returns.n_step_values(tf.ones([1, 3]), tf.constant([[2., 3.]]),
                              tf.zeros([1, 2], tf.int32), 0.5), [[2., 3.]])

  def test_prefixes(self):
    self.assertAllEqual(
        returns.value_prefixes(tf.constant([[1., -1., 0., 2.]])),
        [[1., 0., 0., 2.]])

  def test_too_few_rewards(self):
    with self.assertRaisesRegex(ValueError, 'need at least 5 rewards, got 3'):
      returns.n_step_values(tf.ones([1, 3]), tf.ones([1, 6]),
                            tf.ones([1, 6], tf.int32), 0.5)


if __name__ == '__main__':
  tf.test.main()
