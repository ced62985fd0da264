"""Scores, the stand-in for unvisited children, and ties."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.planning.mcts import action_selection, min_max_stats
from xtra_tf.planning.mcts.action_selection import Edges

_DRAWS = 6000


def _edges(prior, visits, q_value):
  return Edges(*(tf.constant([x], tf.float32)
                 for x in (prior, visits, q_value)))


class ScoresTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(
      ('root_without_visits', True, [0., 0.], 5., (5. + 0.) / 1),
      ('root_ignores_its_parent', True, [3., 1.], 5., (2. + 4.) / 2),
      ('elsewhere_without_visits', False, [0., 0.], 5., 5.),
      ('elsewhere_children_count_once', False, [3., 1.], 5., (5. + 6.) / 3),
      ('elsewhere_visited_only', False, [0., 1.], 5., (5. + 4.) / 2))
  def test_mean_q(self, is_root, visits, parent, expected):
    edges = _edges([.5, .5], visits, [2., 4.])
    self.assertAllClose(
        action_selection.mean_q(edges, tf.constant([parent]),
                                tf.constant([is_root])), [expected])

  def test_without_visits_the_prior_has_no_say(self):
    edges = _edges([.9, .1], [0., 0.], [0., 0.])
    stats = min_max_stats.over_edges(tf.zeros([1, 1]),
                                     tf.constant([[False]]))
    table = tf.constant(action_selection.exploration_table(3, 19652., 1.25))
    scores = action_selection.scores(edges, tf.constant([.4]), stats, table,
                                     .01)
    self.assertAllEqual(scores, np.array([[.4, .4]], np.float32))


class TiesTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(
      ('one', [.3, .9, .1], [1, 1, 1], [1]),
      ('all', [.5, .5, .5, .5], [1, 1, 1, 1], [0, 1, 2, 3]),
      ('legal_only', [.5, .9, .5, .5], [1, 0, 0, 1], [0, 3]),
      ('nearly_equal', [1., 1. - 5e-7, .9], [1, 1, 1], [0, 1]),
      ('not_nearly_enough', [1., 1. - 5e-6, .9], [1, 1, 1], [0]),
      ('a_greater_one_begins_anew', [1. - 5e-7, 1., 1. - 5e-7, 1.],
       [1, 1, 1, 1], [1, 2, 3]))
  def test_random_is_uniform_over_the_ties(self, scores, legal, expected):
    score = tf.tile(tf.constant([scores], tf.float32), [_DRAWS, 1])
    mask = tf.constant(np.tile(np.array(legal, bool), [_DRAWS, 1]))
    drawn = action_selection.random_best(score, mask, tf.constant([3, 4]))
    counts = np.bincount(drawn.numpy(), minlength=len(scores))
    self.assertCountEqual(np.flatnonzero(counts), expected)
    wanted = _DRAWS / len(expected)
    # Five standard deviations of a binomial count.
    self.assertAllClose(counts[expected], [wanted] * len(expected),
                        rtol=0., atol=5. * np.sqrt(wanted))

  def test_random_draws_differ_by_seed_only(self):
    score, mask = tf.zeros([50, 6]), tf.ones([50, 6], tf.bool)
    first, again, other = (
        action_selection.random_best(score, mask, tf.constant(seed))
        for seed in ([1, 2], [1, 2], [1, 3]))
    self.assertAllEqual(first, again)
    self.assertNotAllEqual(first, other)

  def test_lowest(self):
    self.assertAllEqual(
        action_selection.lowest_best(
            tf.constant([[.5, .5, .2], [.9, .1, .1], [-3., -2., -1.]]),
    tf.constant(np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0]], bool))),
        [0, 1, 1])


if __name__ == '__main__':
  tf.test.main()
