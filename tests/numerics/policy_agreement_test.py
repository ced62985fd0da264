"""Tests of the agreement of a policy with a search."""

import numpy as np
from scipy import special, stats
import tensorflow as tf

from xtra_tf.numerics.policy_agreement import policy_agreement


def _random(rows, actions, seed=0):
  random = np.random.default_rng(seed)
  visits = random.multinomial(25, [1. / actions] * actions, rows) / 25.
  return random.normal(size=[rows, actions]), visits


def _compare(logits, legal, visits):
  result = tf.function(policy_agreement, jit_compile=True)(
      tf.constant(logits, tf.float32), tf.constant(legal),
      tf.constant(visits, tf.float32))
  return result.agrees.numpy(), result.divergence.numpy()


class PolicyAgreementTest(tf.test.TestCase):

  def test_the_visits_themselves_agree(self):
    _, visits = _random(32, 6)
    with np.errstate(divide='ignore'):
      logits = np.maximum(np.log(visits) + 3., -1e4)  # a shift is no matter
    agrees, divergence = _compare(logits, np.ones([32, 6], bool), visits)
    self.assertAllEqual(agrees, np.ones(32))
    self.assertAllClose(divergence, np.zeros(32), atol=1e-5)

  def test_another_policy_is_compared_as_scipy_does(self):
    logits, visits = _random(64, 5)
    agrees, divergence = _compare(logits, np.ones([64, 5], bool), visits)
    best = visits[np.arange(64), logits.argmax(-1)]
    self.assertAllEqual(agrees, best == visits.max(-1))
    self.assertBetween(agrees.mean(), 0.1, 0.6)
    self.assertAllClose(
        divergence, stats.entropy(visits, special.softmax(logits, -1), axis=-1),
        rtol=1e-4)

  def test_illegal_actions_count_for_nothing(self):
    logits, visits = _random(16, 4)
    legal = np.ones([16, 6], bool)
    legal[:, 1::3] = False
    wide_logits, wide_visits = (np.zeros([16, 6]) for _ in range(2))
    wide_logits[legal], wide_visits[legal] = logits.ravel(), visits.ravel()
    wide_logits[~legal] = 50.  # the likeliest by far
    for one, other in zip(_compare(wide_logits, legal, wide_visits),
                          _compare(logits, np.ones([16, 4], bool), visits)):
      self.assertAllClose(one, other, rtol=1e-5)

  def test_any_of_several_most_visited_actions_agrees(self):
    visits = [[.4, .4, .2]] * 3
    agrees, _ = _compare(5. * np.eye(3), np.ones([3, 3], bool), visits)
    self.assertAllEqual(agrees, [1., 1., 0.])

  def test_without_a_search_there_is_no_number(self):
    result = _compare(np.zeros([2, 3]), np.ones([2, 3], bool),
                      [[0., 0., 0.], [0., 1., 0.]])
    for values in result:
      self.assertAllEqual(np.isnan(values), [True, False])


if __name__ == '__main__':
  tf.test.main()
