"""Reanalyzed targets with the real parts: EfficientZero and tree search."""

import numpy as np
import tensorflow as tf

from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.planning.mcts_planner import MctsPlanner
from xtra_tf.targets import ReanalyzedTargets
from xtra_tf.testing.training_batches import random_unroll


class ReanalyzeBySearchTest(tf.test.TestCase):

  def test_policies_are_visits_of_legal_actions(self):
    batch = random_unroll([2, 1], frame=(4, 4, 1), stack=2, unroll_steps=2,
                          td_steps=1)
    batch = batch._replace(legal_actions=tf.constant(
        [[True, True, False], [True, True, True], [False, True, False]]))
    model = EfficientZero(EfficientZeroConfig(
        (4, 4, 2), num_actions=3, channels=4, downsample=False,
        head_channels=2, head_hidden=(4,), lstm_size=4, support=5,
        projection_hidden=4, projection_size=4, projection_head_hidden=2,
        zero_initial_heads=False), seed=0)
    targets = ReanalyzedTargets(
        model, MctsPlanner(num_simulations=6), stack=2, unroll_steps=2,
        td_steps=1, discount=0.9)
    found = tf.function(targets, autograph=False)(batch)
    self.assertAllClose(tf.reduce_sum(found.policy, axis=-1), np.ones([3, 3]))
    visits = 6. * found.policy
    self.assertAllClose(visits, tf.round(visits), atol=1e-5)
    self.assertAllEqual(found.policy[0, :, 2], np.zeros([3]))
    self.assertAllEqual(found.policy[2, :, 1], np.ones([3]))


if __name__ == '__main__':
  tf.test.main()
