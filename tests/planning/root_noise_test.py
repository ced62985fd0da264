"""Exploration noise: a Dirichlet over the legal actions."""

import numpy as np
import tensorflow as tf

from xtra_tf.planning.mcts import root_noise

_ROWS = 20_000
_ALPHA = 0.3


class RootNoiseTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.legal = np.array([True, False, True, True, False])
    cls.noise = root_noise.dirichlet(
        tf.constant(np.tile(cls.legal, [_ROWS, 1])), _ALPHA,
        tf.constant([1, 2])).numpy()

  def test_rows_are_distributions_over_legal_actions(self):
    self.assertAllClose(self.noise.sum(axis=1), np.ones([_ROWS]), atol=1e-5)
    self.assertAllEqual(self.noise[:, ~self.legal], np.zeros([_ROWS, 2]))

  def test_moments_of_a_dirichlet_over_three_actions(self):
    noise = self.noise[:, self.legal]
    total = 3 * _ALPHA
    variance = (1 / 3) * (2 / 3) / (total + 1)
    covariance = -(1 / 9) / (total + 1)
    self.assertAllClose(noise.mean(axis=0), [1 / 3] * 3, atol=.015)
    expected = np.full([3, 3], covariance)
    np.fill_diagonal(expected, variance)
    self.assertAllClose(np.cov(noise.T), expected, atol=.006)

  def test_marginal_is_a_beta(self):
    # The fourth moment tells Beta(a, 2a) from others of the same variance.
    moment = np.prod([(_ALPHA + k) / (3 * _ALPHA + k) for k in range(4)])
    self.assertAllClose((self.noise[:, 0]**4).mean(), moment, atol=.01)

  def test_one_legal_action_gets_everything(self):
    legal = tf.constant([[False, True, False]] * 500)
    noise = root_noise.dirichlet(legal, 1e-3, tf.constant([5, 6]))
    self.assertAllEqual(noise, tf.cast(legal, tf.float32))

  def test_tiny_concentration_stays_finite(self):
    # Nearly all such gamma variables are too small for a float32.
    noise = root_noise.dirichlet(tf.ones([500, 4], tf.bool), 1e-4,
                                 tf.constant([5, 6]))
    self.assertAllClose(tf.reduce_sum(noise, axis=1), np.ones([500]), atol=1e-5)

  def test_mix(self):
    prior, noise = tf.constant([[.6, .4]]), tf.constant([[0., 1.]])
    for fraction, expected in ((0., [[.6, .4]]), (.25, [[.45, .55]]),
                               (1., [[0., 1.]])):
      self.assertAllClose(root_noise.mix(prior, noise, tf.constant(fraction)),
                          expected)


if __name__ == '__main__':
  tf.test.main()
