"""Tests of the per-sample losses."""

import numpy as np
import tensorflow as tf

from xtra_tf.numerics import losses


class LossesTest(tf.test.TestCase):

  def test_cross_entropy_equals_twin(self):
    random = np.random.default_rng(0)
    target = random.dirichlet(np.ones(4), [2, 3])
    logits = random.normal(size=[2, 3, 4])
    expected = np.zeros([2, 3])
    for place in np.ndindex(2, 3):
      probability = np.exp(logits[place]) / np.exp(logits[place]).sum()
      expected[place] = -(target[place] * np.log(probability)).sum()
    self.assertAllClose(
        losses.cross_entropy(tf.constant(target, tf.float32),
                             tf.constant(logits, tf.float32)), expected)

  def test_cross_entropy_is_least_at_the_target(self):
    target = tf.constant([0.2, 0.5, 0.3])
    at_target = losses.cross_entropy(target, tf.math.log(target))
    self.assertAllClose(at_target, -np.sum(target * np.log(target)))
    self.assertLess(at_target,
                    losses.cross_entropy(target, tf.constant([0., 1., 0.3])))

  def test_no_target_no_loss(self):
    self.assertEqual(
        losses.cross_entropy(tf.zeros([3]), tf.constant([9., -9., 0.])), 0.)

  def test_negative_cosine(self):
    x = tf.constant([[1., 0.], [3., 4.], [1., 1.], [0., 0.]])
    y = tf.constant([[5., 0.], [-3., -4.], [1., -1.], [1., 2.]])
    self.assertAllClose(losses.negative_cosine(x, y), [-1., 1., 0., 0.])

  def test_short_vectors_are_not_blown_up(self):
    x = tf.constant([[1e-6, 0.]])
    self.assertAllClose(losses.negative_cosine(x, tf.constant([[1., 0.]])),
                        [-0.1])

  def test_gradient_of_a_zero_vector_is_finite(self):
    x = tf.zeros([1, 2])
    with tf.GradientTape() as tape:
      tape.watch(x)
      loss = losses.negative_cosine(x, tf.ones([1, 2]))
    self.assertAllInRange(tape.gradient(loss, x), -1e6, 1e6)


if __name__ == '__main__':
  tf.test.main()
