"""Tests of value scaling."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.numerics import scaling


def _scale_twin(x):
  return np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 0.001 * x


def _unscale_twin(y):
  """The official formula, in float64 against its cancellation."""
  y = np.asarray(y, np.float64)
  root = np.sqrt(1 + 4 * 0.001 * (np.abs(y) + 1 + 0.001))
  x = np.sign(y) * (((root - 1) / (2 * 0.001))**2 - 1)
  return np.where(np.abs(x) < 0.001, 0., x)


class ScalingTest(parameterized.TestCase, tf.test.TestCase):

  def test_equals_twins(self):
    x = np.linspace(-300, 300, 1201).astype(np.float32)
    self.assertAllClose(scaling.scale(x), _scale_twin(x), rtol=1e-6)
    self.assertAllClose(scaling.unscale(x), _unscale_twin(x), rtol=1e-6)

  def test_odd_and_rising(self):
    x = tf.linspace(-50., 50., 401)
    y = scaling.scale(x)
    self.assertAllClose(y, -scaling.scale(-x))
    self.assertAllGreater(y[1:] - y[:-1], 0.)

  @parameterized.parameters(
      (0., 0.), (1., 0.4152135624), (-1., -0.4132135624), (5., 1.4544897428),
      (-5., -1.4444897428), (-20., -3.5625756950), (83.70927224, 8.2874732979))
  def test_the_form_of_xtra_by_hand(self, x, expected):
    self.assertAllClose(scaling.scale_xtra(tf.constant(x)), expected, rtol=1e-6)

  def test_the_form_of_xtra_shrinks_negative_numbers_only(self):
    x = tf.linspace(0., 80., 81)
    self.assertAllEqual(scaling.scale_xtra(x), scaling.scale(x))
    self.assertAllClose(scaling.scale_xtra(-x), -scaling.scale(x) + 0.002 * x,
                        atol=1e-5)
    self.assertAllClose(
        scaling.unscale(scaling.scale_xtra(tf.constant([-5., -20.]))),
        [-4.951, -19.638], atol=1e-3)

  def test_small_results_are_zero_and_nan_is_not_hidden(self):
    result = scaling.unscale(tf.constant([4e-4, -4e-4, np.nan]))
    self.assertAllEqual(result[:2], [0., 0.])
    self.assertTrue(np.isnan(result[2]))

  def test_gradient_at_zero_is_finite(self):
    x = tf.constant([0., 1.])
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = scaling.scale(x)
    self.assertAllClose(tape.gradient(y, x)[0], 0.5 + 0.001)


if __name__ == '__main__':
  tf.test.main()
