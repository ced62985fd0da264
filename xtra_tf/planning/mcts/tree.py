"""Search trees that grow in lock step, as arrays over nodes and trees.

Axes: B trees, A actions, M = num_simulations + 1 nodes of a tree. Every
simulation adds one node to every tree, so that node i means `made by
simulation i` in all of them; node 0 is the root. Nodes are the leading axis,
because a new node is then one contiguous row, written in place by XLA.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from xtra_tf.types import ModelOutput

ROOT = 0
NO_NODE = 0  # in `children`: nobody's child is the root
NO_PARENT = -1


class Tree(NamedTuple):
  """B trees. Statistics of an edge are kept at the node it leads to."""
  state: Any  # nest of tensors [M, B, ...], what the model goes on from
  # <float32>[M, B] what a child's value prefix starts from: the node's own
  # prefix, or 0 where the prefix starts anew.
  prefix_base: tf.Tensor
  value_prefix: tf.Tensor  # <float32>[M, B] the model's, at the node
  reward: tf.Tensor  # <float32>[M, B] of the edge from the parent
  depth: tf.Tensor  # <int32>[M, B]
  parent: tf.Tensor  # <int32>[M, B], NO_PARENT at the root
  visits: tf.Tensor  # <float32>[M, B], 0 for a node that is not there yet
  value_sum: tf.Tensor  # <float32>[M, B] of the values backed up
  prior: tf.Tensor  # <float32>[M, B, A] of the edges to the children
  children: tf.Tensor  # <int32>[M, B, A], NO_NODE where there is none yet


def masked_prior(logits: tf.Tensor, legal_actions: tf.Tensor) -> tf.Tensor:
  """Softmax over the legal actions only.

  Args:
    logits: <float32>[B, A].
    legal_actions: <bool>[B, A], at least one legal action in each row.

  Returns:
    <float32>[B, A], exactly 0 for illegal actions.
  """
  return tf.nn.softmax(tf.where(legal_actions, logits, float('-inf')))


def from_root(root: ModelOutput, prior: tf.Tensor, num_nodes: int) -> Tree:
  """Trees that consist of their roots.

  The root starts without a visit: the network's own value of it takes no part
  in the search, and neither does a visit of weight 1 and value 0 as in
  `core/ctree/cnode.cpp` of EfficientZero, which draws root values towards 0.

  Args:
    root: the model's output, leading axis B.
    prior: <float32>[B, A] of the root's children.
    num_nodes: M.

  Returns:
    The trees.
  """
  num_trees, num_actions = prior.shape

  def with_room(row: tf.Tensor) -> tf.Tensor:
    empty = tf.zeros([num_nodes - 1, *row.shape], row.dtype)
    return tf.concat([row[tf.newaxis], empty], axis=0)

  zeros = tf.zeros([num_nodes, num_trees])
  no_integers = tf.zeros([num_nodes, num_trees], tf.int32)
  return Tree(
      state=tf.nest.map_structure(with_room, root.state),
      prefix_base=with_room(root.reward),
      value_prefix=with_room(root.reward),
      reward=zeros,
      depth=no_integers,
      parent=with_room(tf.fill([num_trees], NO_PARENT)),
      visits=zeros,
      value_sum=zeros,
      prior=with_room(prior),
      children=tf.fill([num_nodes, num_trees, num_actions], NO_NODE))


def at_nodes(x: tf.Tensor, node: tf.Tensor) -> tf.Tensor:
  """Picks one node of each tree.

  Args:
    x: <any>[M, B, ...].
    node: <int32>[B].

  Returns:
    <any>[B, ...].
  """
  return tf.gather_nd(x, _index(node))


def at_children(x: tf.Tensor, children: tf.Tensor) -> tf.Tensor:
  """Picks several nodes of each tree.

  Args:
    x: <any>[M, B].
    children: <int32>[B, A] nodes.

  Returns:
    <any>[B, A], 0 where there is no child.
  """
  trees = tf.broadcast_to(tf.range(children.shape[0])[:, tf.newaxis],
                          children.shape)
  found = tf.gather_nd(x, tf.stack([children, trees], axis=-1))
  return tf.where(children == NO_NODE, tf.zeros([], x.dtype), found)


def add_node(tree: Tree, node: tf.Tensor, parent: tf.Tensor, action: tf.Tensor,
             output: ModelOutput, prior: tf.Tensor,
             prefix_restarts: tf.Tensor) -> Tree:
  """Adds the same node to every tree, each below a parent of its own.

    reward = prefix - (0 if the parent's prefix restarts else parent's prefix)

  Args:
    tree: the trees.
    node: <int32>[] index of the new node, above all that exist.
    parent: <int32>[B].
    action: <int32>[B], by which the new node is reached.
    output: the model's output there; its state already reset where asked.
    prior: <float32>[B, A] of the new node's children.
    prefix_restarts: <bool>[B] the value prefix starts anew behind the node.

  Returns:
    The grown trees; the new node has no visit yet.
  """
  def put(x: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    return tf.tensor_scatter_nd_update(x, [[node]], row[tf.newaxis])

  reward = output.reward - at_nodes(tree.prefix_base, parent)
  edge = tf.concat([_index(parent), action[:, tf.newaxis]], axis=1)
  return tree._replace(
      state=tf.nest.map_structure(put, tree.state, output.state),
      prefix_base=put(tree.prefix_base,
                      tf.where(prefix_restarts, 0., output.reward)),
      value_prefix=put(tree.value_prefix, output.reward),
      reward=put(tree.reward, reward),
      depth=put(tree.depth, at_nodes(tree.depth, parent) + 1),
      parent=put(tree.parent, parent),
      prior=put(tree.prior, prior),
      children=tf.tensor_scatter_nd_update(
          tree.children, edge, tf.fill(parent.shape, node)))


def back_up(tree: Tree, leaf: tf.Tensor, value: tf.Tensor,
            discount: float) -> Tree:
  """Adds a leaf's value to all nodes from the leaf up to the root.

    G <- value at the leaf, then reward(node) + discount * G at its parent

  Args:
    tree: the trees.
    leaf: <int32>[], one node in every tree.
    value: <float32>[B] of the leaf.
    discount: per step.

  Returns:
    The trees with updated `visits` and `value_sum`.
  """
  def climbing(node: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return tf.reduce_any(node != NO_PARENT)

  def climb(node: tf.Tensor, backed_up: tf.Tensor, visits: tf.Tensor,
            value_sum: tf.Tensor) -> Any:
    # A tree that is done goes on adding 0 to its root.
    counts = tf.cast(node != NO_PARENT, tf.float32)
    here = tf.maximum(node, ROOT)
    index = _index(here)
    visits = tf.tensor_scatter_nd_add(visits, index, counts)
    value_sum = tf.tensor_scatter_nd_add(value_sum, index, counts * backed_up)
    parent = at_nodes(tree.parent, here)
    return (parent, at_nodes(tree.reward, here) + discount * backed_up, visits,
            value_sum)

  start = (tf.fill(value.shape, leaf), value, tree.visits, tree.value_sum)
  _, _, visits, value_sum = tf.while_loop(
      climbing, climb, start, maximum_iterations=tree.visits.shape[0])
  return tree._replace(visits=visits, value_sum=value_sum)


def edge_q_values(tree: Tree, discount: float) -> tf.Tensor:
  """Q of the edge to each node.

    Q = reward + discount * value_sum / visits

  Args:
    tree: the trees.
    discount: per step.

  Returns:
    <float32>[M, B], without meaning at the root and at nodes without a visit.
  """
  return tree.reward + discount * (tree.value_sum
                                   / tf.maximum(tree.visits, 1.))


def _index(node: tf.Tensor) -> tf.Tensor:
  """<int32>[B, 2], where one node of each tree lies in [M, B, ...]."""
  return tf.stack([node, tf.range(node.shape[0])], axis=1)
