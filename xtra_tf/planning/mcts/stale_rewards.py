"""The Q behind the official range of Q, whose rewards are of unrelated nodes.

EfficientZero's `update_tree_q` (`core/ctree/cnode.cpp:256-284`; in XTRA's
`core/ctree/cnode.cpp:282-310`) walks over the tree with a stack. It remembers
prefix and reset flag of one node, the one that it took from the stack before,
and subtracts them as if that were the parent. For the child that it takes right
after its parent this is right; for every other it is some node of the tree. The
Q by which actions are chosen, and what is backed up, are not concerned.

Axes: B trees, A actions, M nodes.
"""

import tensorflow as tf

from xtra_tf.planning.mcts.tree import NO_NODE, ROOT, Tree


def edge_q_values(tree: Tree, discount: float) -> tf.Tensor:
  """Q of the edge to each node, with the reward of the official walk.

    Q = prefix - base(previous node) + discount * value_sum / visits

  with base the previous node's prefix, or 0 where its prefix starts anew.

  Args:
    tree: the trees.
    discount: per step.

  Returns:
    <float32>[M, B], without meaning at the root and at nodes without a visit.
  """
  reward = tree.value_prefix - _at(tree.prefix_base, previous_nodes(tree))
  return reward + discount * (tree.value_sum / tf.maximum(tree.visits, 1.))


def previous_nodes(tree: Tree) -> tf.Tensor:
  """The node that the official walk takes right before each node.

  The walk puts a node's children on its stack by rising action, so that it
  takes the highest first and is through with its subtree before it takes the
  next lower. Before a node comes therefore its parent, if no sibling has a
  higher action; else the last node of the subtree of the next higher sibling,
  which is found by following lowest children down to a leaf.

  Args:
    tree: the trees.

  Returns:
    <int32>[M, B], without meaning at the root and at nodes without a visit.
  """
  num_nodes, num_trees, num_actions = tree.children.shape
  itself = tf.tile(tf.range(num_nodes)[:, tf.newaxis], [1, num_trees])

  def lowest(children: tf.Tensor, among: tf.Tensor) -> tf.Tensor:
    action = tf.argmax(tf.cast(among, tf.int32), axis=2, output_type=tf.int32)
    return tf.gather(children, action, batch_dims=2)

  has_child = tree.children != NO_NODE
  last = tf.where(tf.reduce_any(has_child, axis=2),
                  lowest(tree.children, has_child), itself)
  # Twice as far with every turn; the longest way has M - 1 edges.
  for _ in range((num_nodes - 2).bit_length()):
    last = _at(last, last)

  parent = tf.maximum(tree.parent, ROOT)
  siblings = _at(tree.children, parent)
  own = tf.argmax(tf.cast(siblings == itself[..., tf.newaxis], tf.int32),
                  axis=2, output_type=tf.int32)
  higher = ((siblings != NO_NODE)
            & (tf.range(num_actions) > own[..., tf.newaxis]))
  return tf.where(tf.reduce_any(higher, axis=2),
                  _at(last, lowest(siblings, higher)), parent)


def _at(x: tf.Tensor, node: tf.Tensor) -> tf.Tensor:
  """Picks M nodes of each tree: <any>[M, B, ...] by <int32>[M, B]."""
  trees = tf.broadcast_to(tf.range(node.shape[1]), node.shape)
  return tf.gather_nd(x, tf.stack([node, trees], axis=-1))
