"""The range of Q in a tree, by which its values are brought to [0, 1]."""

from typing import NamedTuple

import tensorflow as tf


class MinMaxStats(NamedTuple):
  """Least and greatest Q of each of B trees."""
  minimum: tf.Tensor  # <float32>[B], +inf if the tree has no edge yet
  maximum: tf.Tensor  # <float32>[B], -inf if the tree has no edge yet


def over_edges(q_value: tf.Tensor, exists: tf.Tensor) -> MinMaxStats:
  """The range over all edges that exist.

  It is taken afresh from the present values: a Q that an edge once had and has
  no longer does not count, as in EfficientZero's `update_tree_q`
  (`core/ctree/cnode.cpp:256-284`), whose Q are those of `stale_rewards`.

  Args:
    q_value: <float32>[M, B], one edge above each node.
    exists: <bool>[M, B].

  Returns:
    The range of each tree.
  """
  return MinMaxStats(
      minimum=tf.reduce_min(tf.where(exists, q_value, float('inf')), axis=0),
      maximum=tf.reduce_max(tf.where(exists, q_value, float('-inf')), axis=0))


def normalize(q_value: tf.Tensor, stats: MinMaxStats,
              delta_max: float) -> tf.Tensor:
  """Brings values to [0, 1], softly where they lie close together.

    norm(q) = (q - minimum) / max(maximum - minimum, delta_max)

  where there are two distinct values, else q itself; then clipped to [0, 1].
  Source: EfficientZero, appendix A; `core/ctree/cminimax.cpp`.

  Args:
    q_value: <float32>[B, A].
    stats: ranges of the B trees.
    delta_max: least divisor.

  Returns:
    <float32>[B, A] in [0, 1].
  """
  minimum = stats.minimum[:, tf.newaxis]
  delta = stats.maximum[:, tf.newaxis] - minimum
  normalized = (q_value - minimum) / tf.maximum(delta, delta_max)
  return tf.clip_by_value(tf.where(delta > 0., normalized, q_value), 0., 1.)
