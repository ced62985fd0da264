"""Which child a search goes on to. Axes: B trees, A actions."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from xtra_tf.planning.mcts import min_max_stats
from xtra_tf.planning.mcts.min_max_stats import MinMaxStats

# Scores that are nearer to each other than this are equal; `cnode.cpp`.
_TIE = 1e-6


class Edges(NamedTuple):
  """The edges from one node of each tree to its children."""
  prior: tf.Tensor  # <float32>[B, A], 0 for illegal actions
  visits: tf.Tensor  # <float32>[B, A]
  q_value: tf.Tensor  # <float32>[B, A], 0 where there is no visit


def mean_q(edges: Edges, parent_mean_q: tf.Tensor,
           is_root: tf.Tensor) -> tf.Tensor:
  """What stands for the Q of children that were never visited.

    root:       m = S / n                            if n > 0
    elsewhere:  m = (m(parent) + S) / (n + 1)

  with S the sum of Q over the n visited children, each child counted once.
  Source: EfficientZero, appendix A; `core/ctree/cnode.cpp` get_mean_q.

  Args:
    edges: from the node.
    parent_mean_q: <float32>[B] m of the node above on the present path.
    is_root: <bool>[B].

  Returns:
    <float32>[B].
  """
  visited = tf.cast(edges.visits > 0., tf.float32)
  count = tf.reduce_sum(visited, axis=1)
  total = tf.reduce_sum(edges.q_value * visited, axis=1)
  from_parent = (parent_mean_q + total) / (count + 1.)
  return tf.where(tf.logical_and(is_root, count > 0.),
                  total / tf.maximum(count, 1.), from_parent)


def exploration_table(num_simulations: int, pb_c_base: float,
                      pb_c_init: float) -> np.ndarray:
  """The factor of exploration, for every number of visits that can occur.

    c(n) sqrt(n),  c(n) = ln((n + base + 1) / base) + init

  Args:
    num_simulations: the most visits there can be.
    pb_c_base: base.
    pb_c_init: init.

  Returns:
    <float32>[num_simulations + 1], by n = visits of all children together.
  """
  return np.array(
      [(math.log((n + pb_c_base + 1.) / pb_c_base) + pb_c_init) * math.sqrt(n)
       for n in range(num_simulations + 1)], np.float32)


def scores(edges: Edges, unvisited_q: tf.Tensor, stats: MinMaxStats,
           exploration: tf.Tensor, value_delta_max: float) -> tf.Tensor:
  """Upper confidence score of every child.

    score = c(n) sqrt(n) / (visits + 1) * prior + norm(Q)

  with n the visits of all children together. At n = 0 the prior has no say and
  all children are equal, so that the first child of any node is drawn
  uniformly: this is the official behaviour, not a slip.
  Source: EfficientZero, appendix A; `core/ctree/cnode.cpp` cucb_score.

  Args:
    edges: from the node.
    unvisited_q: <float32>[B] stands for Q where there is no visit.
    stats: the trees' ranges of Q.
    exploration: <float32>[num_simulations + 1], see `exploration_table`.
    value_delta_max: least range by which Q is normalised.

  Returns:
    <float32>[B, A].
  """
  total_visits = tf.cast(tf.reduce_sum(edges.visits, axis=1), tf.int32)
  factor = tf.gather(exploration, total_visits)[:, tf.newaxis]
  q_value = tf.where(edges.visits > 0., edges.q_value,
                     unvisited_q[:, tf.newaxis])
  return (factor / (edges.visits + 1.) * edges.prior
          + min_max_stats.normalize(q_value, stats, value_delta_max))


def lowest_best(score: tf.Tensor, legal_actions: tf.Tensor) -> tf.Tensor:
  """The legal action of the greatest score, the lowest of equal ones.

  Args:
    score: <float32>[B, A].
    legal_actions: <bool>[B, A].

  Returns:
    <int32>[B].
  """
  return tf.argmax(tf.where(legal_actions, score, float('-inf')), axis=1,
                   output_type=tf.int32)


def random_best(score: tf.Tensor, legal_actions: tf.Tensor,
                seed: tf.Tensor) -> tf.Tensor:
  """The legal action of the greatest score, a random one of equal ones.

  Candidates are the first action of the greatest score, and those behind it
  whose score is less than 1e-6 smaller: the list that `core/ctree/cnode.cpp`
  begins anew with every greater score it meets.

  Args:
    score: <float32>[B, A].
    legal_actions: <bool>[B, A].
    seed: <int32>[2].

  Returns:
    <int32>[B].
  """
  num_trees, num_actions = score.shape
  first = lowest_best(score, legal_actions)[:, tf.newaxis]
  greatest = tf.gather(score, first, axis=1, batch_dims=1)
  candidates = tf.cast(
      legal_actions & (score >= greatest - _TIE)
      & (tf.range(num_actions) >= first), tf.float32)
  # Counts the candidates up to each action. A product with a triangle, because
  # XLA compiles tf.cumsum into something several times slower on CPU.
  triangle = tf.linalg.band_part(tf.ones([num_actions, num_actions]), 0, -1)
  rank = tf.matmul(candidates, triangle)
  drawn = _uniform(num_trees, seed)[:, tf.newaxis] * rank[:, -1:]
  return tf.argmax(tf.cast(rank > drawn, tf.float32), axis=1,
                   output_type=tf.int32)


def _uniform(num_trees: int, seed: tf.Tensor) -> tf.Tensor:
  """<float32>[B] in [0, 1), the same with and without XLA.

  Both give the same bits for a seed that is not negative, but make other floats
  of them, and other bits of a negative seed.
  """
  bits = tf.random.stateless_uniform(
      [num_trees], tf.bitwise.bitwise_and(seed, tf.int32.max), minval=None,
      maxval=None, dtype=tf.uint32)
  return tf.cast(tf.bitwise.right_shift(bits, 8), tf.float32) * 2.**-24
