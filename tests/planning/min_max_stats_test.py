"""The range of Q and the normalisation by it."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.planning.mcts import min_max_stats
from xtra_tf.planning.mcts.min_max_stats import MinMaxStats

_DELTA_MAX = 0.01


class MinMaxStatsTest(tf.test.TestCase, parameterized.TestCase):

  def test_range_of_the_edges_that_exist(self):
    stats = min_max_stats.over_edges(
        tf.constant([[1., 4.], [-2., 7.], [9., 5.]]),
        tf.constant([[True, True], [True, False], [False, True]]))
    self.assertAllEqual(stats.minimum, [-2., 4.])
    self.assertAllEqual(stats.maximum, [1., 5.])

  @parameterized.named_parameters(
      ('wide', 1., 3., [1., 2., 3.], [0., .5, 1.]),
      ('outside_is_clipped', 1., 3., [0., 5., 2.5], [0., 1., .75]),
      ('close_together', 1., 1.005, [1., 1.005, 1.002], [0., .5, .2]),
      ('single_value', 2., 2., [2., .3, -1.], [1., .3, 0.]),
      ('no_edge', np.inf, -np.inf, [2., .3, -1.], [1., .3, 0.]))
  def test_normalize(self, minimum, maximum, q_value, expected):
    stats = MinMaxStats(tf.constant([minimum], tf.float32),
                        tf.constant([maximum], tf.float32))
    for fn in (min_max_stats.normalize,
               tf.function(min_max_stats.normalize, jit_compile=True)):
      self.assertAllClose(fn(tf.constant([q_value]), stats, _DELTA_MAX),
                          [expected], atol=1e-4)

  def test_rows_have_their_own_range(self):
    stats = MinMaxStats(tf.constant([0., 10.]), tf.constant([2., 20.]))
    self.assertAllClose(
        min_max_stats.normalize(tf.constant([[1.], [12.]]), stats, _DELTA_MAX),
        [[.5], [.2]])


if __name__ == '__main__':
  tf.test.main()
