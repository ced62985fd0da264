"""Acceptance checks 7 and 8: the search is the official tree's.

EfficientZero is commit 468bb03 of the official repository.
"""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.planning import MctsPlanner
from xtra_tf.planning.mcts import action_selection, min_max_stats
from xtra_tf.planning.mcts import search as mcts
from xtra_tf.planning.mcts import tree as trees
from xtra_tf.planning.mcts.settings import SearchSettings
from xtra_tf.testing.tabular_world import TabularWorld
from xtra_tf.types import ModelOutput

_DISCOUNT = 0.997**4
_SEED = [11, 12]


def _output(prefix, value):
  return ModelOutput(
      state=tf.zeros([1, 1]), reward=tf.constant([prefix]),
      value=tf.constant([value]), policy_logits=tf.zeros([1, 3]),
      reward_logits=tf.zeros([1, 1]), value_logits=tf.zeros([1, 1]))


class WorkedExampleTest(tf.test.TestCase):
  """Check 7: one selection by hand, in a tree of two children.

  Numbers of the official tree, EfficientZero core/ctree/cnode.cpp:96-121
  (`get_mean_q`) and 333 (`cucb_score`), core/ctree/cminimax.cpp:31-43.
  """

  def setUp(self):
    super().setUp()
    # Child 0 has prefix 0.4 and two visits of sum 1.2; child 1 prefix 0.1 and
    # one visit of 0.9; child 2 none. The root's prefix is 0.
    tree = trees.from_root(_output(0., 0.), tf.constant([[.5, .3, .2]]), 4)
    for node, (prefix, values) in enumerate(
        ((.4, (.5, .7)), (.1, (.9,))), start=1):
      tree = trees.add_node(
          tree, tf.constant(node), tf.constant([0]), tf.constant([node - 1]),
          _output(prefix, values[0]), tf.fill([1, 3], 1 / 3),
          tf.constant([False]))
      for value in values:
        tree = trees.back_up(tree, tf.constant(node), tf.constant([value]),
                             _DISCOUNT)
    self.tree = tree

  def test_07_score_of_every_child(self):
    tree = self.tree
    q_value = trees.edge_q_values(tree, _DISCOUNT)
    self.assertAllClose(q_value[1:3, 0], [.992832, .989249], atol=1e-6)
    self.assertEqual(tree.visits[0, 0], 3.)
    children = tree.children[0]
    edges = action_selection.Edges(
        prior=tree.prior[0], visits=trees.at_children(tree.visits, children),
        q_value=trees.at_children(q_value, children))
    # What stands above the root must not matter.
    mean_q = action_selection.mean_q(edges, tf.constant([7.]),
                                     tf.constant([True]))
    self.assertAllClose(mean_q, [.991040], atol=1e-6)
    stats = min_max_stats.over_edges(q_value[1:], tree.visits[1:] > 0.)
    self.assertAllClose(stats.maximum - stats.minimum, [.003584], atol=1e-6)
    settings = SearchSettings()
    table = action_selection.exploration_table(
        3, settings.pb_c_base, settings.pb_c_init)
    self.assertAllClose(table[3] / np.sqrt(3.), 1.2502035, atol=1e-6)
    scores = action_selection.scores(
        edges, mean_q, stats, tf.constant(table), settings.value_delta_max)
    self.assertAllClose(scores, [[.719286, .324812, .612275]], atol=3e-5)
    self.assertAllEqual(
        action_selection.lowest_best(scores, tf.ones([1, 3], tf.bool)), [0])


class RootTest(parameterized.TestCase, tf.test.TestCase):
  """Check 7: what a search of 50 simulations says of its root."""

  def search(self, world, roots, **settings):
    search = MctsPlanner(**settings).bind(world.simulator())
    actions = world.policy_logits.shape[1]
    return search(world.root(roots), tf.ones([len(roots), actions], tf.bool),
                  tf.constant(0.), tf.constant(_SEED))

  def test_07_visits_of_the_root_add_up_to_the_simulations(self):
    # EfficientZero core/ctree/cnode.cpp:204-219: the root's own visit is no
    # child's.
    world = TabularWorld.random(60, 18, seed=4)
    found = self.search(world, np.arange(30))
    self.assertAllEqual(tf.reduce_sum(found.target, axis=1), np.full([30], 50.))

  def test_07_the_first_child_is_uniform_whatever_the_prior(self):
    # EfficientZero core/ctree/cnode.cpp:333: without visits the prior has the
    # factor sqrt(0), and a draw decides between equal scores.
    rows = 3000
    logits = np.log([[.9999, 1e-4 / 3, 1e-4 / 3, 1e-4 / 3]])
    world = TabularWorld(np.zeros([1, 4], np.int32), np.zeros([1, 4], 'f'),
                         np.ones([1], 'f'), logits.astype('f'))
    found = self.search(world, [0] * rows, num_simulations=1)
    counts = np.sum(found.target, axis=0)
    # Five standard deviations of a binomial count.
    self.assertAllClose(counts, [rows / 4] * 4, rtol=0.,
                        atol=5 * np.sqrt(rows * 3 / 16))

  @parameterized.parameters(('simulations', 1.),
                            ('simulations_plus_one', 50 / 51))
  def test_07_root_value_of_equal_leaves(self, divisor, expected):
    # The official root has a visit of value 0 beside its 50 (EfficientZero
    # core/ctree/cnode.cpp:204-219); by default ours is the mean of the 50.
    self.assertEqual(MctsPlanner().root_value_divisor, 'simulations')
    world = TabularWorld(np.zeros([1, 3], np.int32), np.zeros([1, 3], 'f'),
                         np.ones([1], 'f'), np.zeros([1, 3], 'f'))
    found = self.search(world, [0], discount=1., root_value_divisor=divisor)
    self.assertAllClose(found.root_value, [expected], rtol=1e-6)


class PrefixResetTest(tf.test.TestCase):
  """Check 8: a value prefix that starts anew every 5 steps costs no reward.

  EfficientZero core/mcts.py:86-97.
  """

  def test_08_all_rewards_are_1_along_12_steps(self):
    # A corridor in which every step is worth 1; its prefix counts the steps
    # since the last reset, 1 .. 5, 1 .. 5, 1, 2.
    world = TabularWorld(np.zeros([1, 1], np.int32), np.ones([1, 1], 'f'),
                         np.zeros([1], 'f'), np.zeros([1, 1], 'f'),
                         prefix_horizon=5)
    tree = mcts.grow(world.root([0, 0]), tf.ones([2, 1]),
                     tf.constant([[True]] * 2), tf.constant(_SEED),
                     world.simulator(), SearchSettings(num_simulations=12))
    depths = np.arange(13)
    self.assertAllEqual(tree.depth, np.tile(depths[:, None], [1, 2]))
    self.assertAllEqual(tree.reward[1:], np.ones([12, 2]))
    # What the children of each node count on from.
    self.assertAllEqual(tree.prefix_base, tree.depth % 5)
    self.assertAllEqual(tree.state.prefix, tree.depth % 5)


if __name__ == '__main__':
  tf.test.main()
