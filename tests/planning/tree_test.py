"""Trees as arrays: growing, rewards out of prefixes, backing up."""

import tensorflow as tf

from xtra_tf.planning.mcts import tree as trees
from xtra_tf.types import ModelOutput

_DISCOUNT = 0.5


def _output(prefix, value=(0., 0.)):
  prefix = tf.constant(prefix)
  return ModelOutput(
      state={'s': prefix[:, tf.newaxis] * 10.}, reward=prefix,
      value=tf.constant(value), policy_logits=tf.zeros([2, 3]),
      reward_logits=tf.zeros([2, 1]), value_logits=tf.zeros([2, 1]))


def _grow(tree, node, parents, actions, prefix, restarts=(False, False)):
  return trees.add_node(
      tree, tf.constant(node), tf.constant(parents), tf.constant(actions),
      _output(prefix), tf.fill([2, 3], 1. / 3.), tf.constant(restarts))


class TreeTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    # First tree: a chain 0 -> 1 -> 2 -> 3. Second: three children of the root.
    tree = trees.from_root(_output([0., 0.]), tf.fill([2, 3], 1. / 3.), 5)
    tree = _grow(tree, 1, [0, 0], [2, 0], [1., 1.], [True, False])
    tree = _grow(tree, 2, [1, 0], [0, 1], [3., 2.])
    self.tree = _grow(tree, 3, [2, 0], [1, 2], [7., 4.])

  def test_links(self):
    self.assertAllEqual(self.tree.parent[:4],
                        [[-1, -1], [0, 0], [1, 0], [2, 0]])
    self.assertAllEqual(self.tree.depth[:4], [[0, 0], [1, 1], [2, 1], [3, 1]])
    self.assertAllEqual(self.tree.children[:3, 0],
                        [[0, 0, 1], [2, 0, 0], [0, 3, 0]])
    self.assertAllEqual(self.tree.children[:3, 1],
                        [[1, 2, 3], [0, 0, 0], [0, 0, 0]])
    self.assertAllEqual(self.tree.state['s'][:4, :, 0],
                        [[0., 0.], [10., 10.], [30., 20.], [70., 40.]])

  def test_rewards_are_differences_to_the_true_parent(self):
    # Node 1 of the first tree restarts the prefix: its child's is the reward.
    self.assertAllEqual(self.tree.reward[:4],
                        [[0., 0.], [1., 1.], [3., 2.], [4., 4.]])

  def test_back_up(self):
    tree = trees.back_up(self.tree, tf.constant(3), tf.constant([8., 8.]),
                         _DISCOUNT)
    self.assertAllEqual(tree.visits[:4],
                        [[1., 1.], [1., 0.], [1., 0.], [1., 1.]])
    # Chain: 8, then 4 + 8/2, then 3 + 8/2, then 1 + 7/2. Bush: 4 + 8/2.
    self.assertAllClose(tree.value_sum[:4],
                        [[4.5, 8.], [7., 0.], [8., 0.], [8., 8.]])
    again = trees.back_up(tree, tf.constant(2), tf.constant([0., 2.]),
                          _DISCOUNT)
    self.assertAllEqual(again.visits[:4],
                        [[2., 2.], [2., 0.], [2., 1.], [1., 1.]])
    self.assertAllClose(again.value_sum[:4],
                        [[7., 11.], [10., 0.], [8., 2.], [8., 8.]])
    self.assertAllClose(trees.edge_q_values(again, _DISCOUNT)[1:4],
                        [[1. + .5 * 5., 1.], [3. + .5 * 4., 2. + .5 * 2.],
                         [4. + .5 * 8., 4. + .5 * 8.]])

  def test_at_children(self):
    values = tf.constant([[10., 20.], [1., 2.], [3., 4.], [5., 6.], [7., 8.]])
    self.assertAllEqual(
        trees.at_children(values, tf.constant([[0, 3, 1], [4, 0, 0]])),
        [[0., 5., 1.], [8., 0., 0.]])

  def test_masked_prior(self):
    prior = trees.masked_prior(
        tf.constant([[1., 2., 3.], [100., 0., -100.]]),
        tf.constant([[True, False, True], [False, True, False]]))
    self.assertAllClose(prior, [[.11920292, 0., .88079708], [0., 1., 0.]])


if __name__ == '__main__':
  tf.test.main()
