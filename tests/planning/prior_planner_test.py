"""The planner that does not look ahead."""

import numpy as np
import tensorflow as tf

from xtra_tf.planning import PriorPlanner
from xtra_tf.types import ModelOutput, Simulator

_LOGITS = np.array([[3., 1., 2., -1e6], [0., 0., 0., 0.],
                    [-200., 5., 4., 300.]])
_LEGAL = np.array([[False, True, True, True], [True] * 4,
                   [True, True, True, False]])


def _refuse(*_):
  raise AssertionError('The simulator was asked.')


def _search(fraction=0., seed=(1, 2), visits=1.):
  simulator = Simulator(_refuse, _refuse, prefix_horizon=5)
  root = ModelOutput(
      state=None, reward=tf.zeros([3]), value=tf.constant([.5, -1., 0.]),
      policy_logits=tf.constant(_LOGITS, tf.float32), reward_logits=None,
      value_logits=None)
  return PriorPlanner(visits).bind(simulator)(
      root, tf.constant(_LEGAL), tf.constant(fraction), tf.constant(seed))


class PriorPlannerTest(tf.test.TestCase):

  def test_target_is_the_softmax_over_the_legal_actions(self):
    found = _search(visits=10.)
    for row in range(3):
      prior = np.exp(_LOGITS[row] - _LOGITS[row][_LEGAL[row]].max())
      prior = np.where(_LEGAL[row], prior, 0.)
      prior /= prior.sum()
      self.assertAllClose(found.target[row], 10. * prior)
      self.assertAllEqual(found.target[row][~_LEGAL[row]], [0.] * (~_LEGAL[row])
                          .sum())
      self.assertAllClose(found.statistics.visit_entropy[row],
                          -sum(p * np.log(p) for p in prior if p > 0))
    self.assertAllEqual(tf.argmax(found.target, axis=1), [2, 0, 1])
    self.assertAllEqual(found.root_value, [.5, -1., 0.])
    self.assertAllClose(found.statistics.prior_to_visit_kl, np.zeros(3))
    self.assertAllEqual(found.statistics.max_depth, np.zeros(3))

  def test_noise_is_of_legal_actions_and_of_the_seed(self):
    found, again, other = (_search(1., seed) for seed in
                           ((1, 2), (1, 2), (3, 4)))
    self.assertAllEqual(found.target, again.target)
    self.assertNotAllClose(found.target, other.target)
    self.assertAllEqual(found.target > 0., _LEGAL)
    self.assertAllClose(tf.reduce_sum(found.target, axis=1), np.ones(3))
    for row in range(3):
      p = found.target[row].numpy()[_LEGAL[row]]
      logits = _LOGITS[row][_LEGAL[row]]
      log_prior = logits - np.log(np.exp(logits - logits.max()).sum())
      log_prior -= logits.max()
      self.assertAllClose(found.statistics.prior_to_visit_kl[row],
                          (p * (np.log(p) - log_prior)).sum(), rtol=1e-5)


if __name__ == '__main__':
  tf.test.main()
