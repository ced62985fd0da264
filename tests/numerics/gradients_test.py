"""Tests of the functions on gradients."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.numerics import gradients


def _tensors(gradient):
  return [g if g is None else tf.constant(g) for g in gradient]


class GradientsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(
      ('parallel_any_length', [[1., 2.], [3.]], [[2., 4.], [6.]], 1.),
      ('opposite', [[1., 2.], [3.]], [[-1., -2.], [-3.]], -1.),
      ('orthogonal', [[1., 0.], [0.]], [[0., 1.], [5.]], 0.),
      ('unused_variable', [[3., 4.], None], [[3., 4.], [0.]], 1.),
      ('seen_by_one_only', [[3., 4.], None], [[3., 4.], [12.]], 5. / 13.),
      ('no_signal', [[0., 0.], [0.]], [[1., 1.], [1.]], 0.))
  def test_known_angles(self, first, second, expected):
    for fn in (gradients.cosine_similarity,
               tf.function(gradients.cosine_similarity)):
      self.assertAllClose(fn(_tensors(first), _tensors(second)), expected)

  def test_length_mismatch_says_both_lengths(self):
    with self.assertRaisesRegex(ValueError, 'got 2 and 1'):
      gradients.cosine_similarity([tf.ones([1]), tf.ones([1])], [tf.ones([1])])

  def test_global_norm(self):
    self.assertAllClose(
        gradients.global_norm(_tensors([[3.], None, [[4.], [12.]]])), 13.)
    self.assertEqual(gradients.global_norm([None]), 0.)

  def test_clip_shortens_and_keeps_direction(self):
    clipped, norm = gradients.clip_by_global_norm(
        _tensors([[3., 4.], None]), 2.5)
    self.assertAllClose(norm, 5.)
    self.assertAllClose(clipped[0], [1.5, 2.])
    self.assertIsNone(clipped[1])

  def test_clip_leaves_short_gradients_bit_for_bit(self):
    gradient = tf.constant([0.1, -0.7])
    clipped, _ = gradients.clip_by_global_norm([gradient], 5.)
    self.assertAllEqual(clipped[0], gradient)

  def test_scale_gradient(self):
    x = tf.constant([0.1, 3.3])
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = gradients.scale_gradient(x, 0.5)
      z = tf.reduce_sum(y**2)
    self.assertAllEqual(y, x)
    self.assertAllClose(tape.gradient(z, x), x)

  def test_scale_gradient_multiplies_along_a_chain(self):
    x = tf.constant(1.)
    for k in range(6):
      with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for _ in range(k):
          y = gradients.scale_gradient(3. * y, 0.5)
      self.assertAllClose(tape.gradient(y, x), np.float32(3.**k * 0.5**k))


if __name__ == '__main__':
  tf.test.main()
