"""Tests of the gradient step on problems small enough to do by hand."""

import numpy as np
import tensorflow as tf

from xtra_tf.learners.momentum_sgd import MomentumSgd
from xtra_tf.learners.train_step import GradientStep, TaskLosses

RATE = 0.1


class GradientStepTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self._weights = tf.Variable([1., 2.])
    self._unused = tf.Variable([3.])
    self._statistic = tf.Variable(0., trainable=False)

  def _step(self, losses_fn, coefficients=(1., 1.), measured=None,
            clip_norm=100., loss_scale=1.):
    variables = [self._weights, self._unused]
    step = GradientStep(
        variables, [self._statistic],
        MomentumSgd(variables, momentum=0., weight_decay=0.),
        loss_scale, clip_norm)
    measured = None if measured is None else tf.constant(measured)
    return tf.function(
        lambda: step(losses_fn, tf.constant(coefficients), tf.constant(RATE),
                     measured), autograph=False)()

  def _linear(self, *slopes):
    """Task losses with known gradients."""
    def losses_fn():
      self._statistic.assign_add(1.)
      return TaskLosses(
          tf.linalg.matvec(tf.constant(slopes), self._weights), ())
    return losses_fn

  def test_weighted_sum_is_descended(self):
    result = self._step(self._linear([1., 0.], [0., 1.]), (1., 0.5))
    self.assertAllClose(self._weights, [1. - 0.1, 2. - 0.05])
    self.assertAllClose(result.loss, 1. + 0.5 * 2.)
    self.assertAllClose(result.losses, [1., 2.])
    self.assertAllEqual(self._unused, [3.])
    self.assertEqual(self._statistic, 1.)
    self.assertTrue(result.finite)
    self.assertTrue(np.isnan(result.cosine).all())

  def test_scale_comes_before_clipping(self):
    result = self._step(self._linear([30., 40.], [0., 0.]), clip_norm=5.,
                        loss_scale=0.2)
    self.assertAllClose(result.gradient_norm, 10.)
    self.assertAllClose(self._weights, [1. - 0.1 * 3., 2. - 0.1 * 4.])
    self.assertAllClose(result.loss, 110.)

  def test_measured_step_knows_the_angles(self):
    result = self._step(
        self._linear([3., 4.], [6., 8.], [4., -3.], [-3., -4.]),
        (1., 0., 1., 0.5), measured=True, loss_scale=0.5)
    self.assertAllClose(result.cosine, [1., 1., 0., -1.])
    self.assertAllClose(result.task_gradient_norm, [2.5, 5., 2.5, 2.5])
    self.assertAllClose(
        self._weights,
        [1. - 0.05 * (3. + 4. - 1.5), 2. - 0.05 * (4. - 3. - 2.)])

  def test_unmeasured_step_in_a_measuring_run(self):
    result = self._step(self._linear([1., 0.], [0., 1.]), measured=False)
    self.assertTrue(np.isnan(result.cosine).all())
    self.assertAllClose(self._weights, [0.9, 1.9])

  def test_non_finite_step_changes_nothing(self):
    for measured in (None, True, False):
      for slopes in ([np.nan, 0.], [np.inf, 1.]):
        result = self._step(self._linear([1., 0.], slopes), measured=measured)
        self.assertFalse(result.finite)
        self.assertAllEqual(self._weights, [1., 2.])
        self.assertEqual(self._statistic, 0.)

  def test_finite_loss_with_a_non_finite_gradient(self):
    def root():
      return TaskLosses(
          tf.stack([tf.sqrt(self._weights[0] - 1.), self._weights[1]]), ())
    result = self._step(root)
    self.assertAllClose(result.loss, 2.)
    self.assertFalse(result.finite)
    self.assertAllEqual(self._weights, [1., 2.])


if __name__ == '__main__':
  tf.test.main()
