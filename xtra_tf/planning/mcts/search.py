"""EfficientZero's tree search, batched: all trees advance in lock step.

Axes: B trees, A actions, M = num_simulations + 1 nodes. Everything has a
static shape and compiles with XLA.
"""

from typing import Any, NamedTuple, Tuple

import tensorflow as tf

from xtra_tf.planning.mcts import (
  action_selection,
  min_max_stats,
  root_noise,
  stale_rewards,
)
from xtra_tf.planning.mcts import tree as trees
from xtra_tf.planning.mcts.action_selection import Edges
from xtra_tf.planning.mcts.settings import SearchSettings
from xtra_tf.planning.mcts.tree import Tree
from xtra_tf.types import ModelOutput, SearchOutput, SearchStatistics, Simulator


class _Descent(NamedTuple):
  """Where the trees are on their way from the root to a new leaf."""
  node: tf.Tensor  # <int32>[B]
  action: tf.Tensor  # <int32>[B] chosen at `node`, once `done`
  mean_q: tf.Tensor  # <float32>[B] of the node above
  done: tf.Tensor  # <bool>[B] there is no node behind `action`
  depth: tf.Tensor  # <int32>[] of the nodes of trees that are not done


def search(root: ModelOutput, legal_actions: tf.Tensor, noise: tf.Tensor,
           noise_fraction: tf.Tensor, seed: tf.Tensor, simulator: Simulator,
           settings: SearchSettings) -> SearchOutput:
  """Searches from B roots.

  Args:
    root: the model's output, leading axis B.
    legal_actions: <bool>[B, A], at least one legal action in each row.
    noise: <float32>[B, A] exploration noise, 0 for illegal actions.
    noise_fraction: <float32>[] share of the noise in the root's prior.
    seed: <int32>[2], decides between equal scores.
    simulator: the model.
    settings: the numbers.

  Returns:
    Visit counts, root values and statistics.
  """
  prior = trees.masked_prior(root.policy_logits, legal_actions)
  tree = grow(root, root_noise.mix(prior, noise, noise_fraction), legal_actions,
              seed, simulator, settings)
  visits = trees.at_children(tree.visits, tree.children[trees.ROOT])
  return SearchOutput(
      target=visits,
      root_value=tree.value_sum[trees.ROOT] / settings.root_visits,
      statistics=_statistics(tree, visits, prior))


def grow(root: ModelOutput, root_prior: tf.Tensor, legal_actions: tf.Tensor,
         seed: tf.Tensor, simulator: Simulator,
         settings: SearchSettings) -> Tree:
  """Makes all simulations: descend, expand, back up.

  Args:
    root: the model's output, leading axis B.
    root_prior: <float32>[B, A] of the root's children, with its noise.
    legal_actions: <bool>[B, A], at least one legal action in each row.
    seed: <int32>[2], decides between equal scores.
    simulator: the model.
    settings: the numbers.

  Returns:
    The grown trees.
  """
  def simulate(simulation: tf.Tensor, tree: Tree) -> Tuple[Any, ...]:
    descent = _descend(tree, legal_actions, simulation, seed, settings)
    tree = _expand(tree, simulation, descent, legal_actions, simulator,
                   settings.discount)
    return simulation + 1, tree

  tree = trees.from_root(root, root_prior, settings.num_simulations + 1)
  _, tree = tf.while_loop(
      lambda simulation, _: simulation <= settings.num_simulations, simulate,
      (tf.constant(1), tree), maximum_iterations=settings.num_simulations)
  return tree


def _descend(tree: Tree, legal_actions: tf.Tensor, simulation: tf.Tensor,
             seed: tf.Tensor, settings: SearchSettings) -> _Descent:
  """Follows the best actions until each tree has met one without a node."""
  q_value = trees.edge_q_values(tree, settings.discount)
  ranged = q_value
  if settings.min_max_reward == 'previous_node':
    ranged = stale_rewards.edge_q_values(tree, settings.discount)
  exists = tree.visits > 0.
  # There is no edge above the root.
  stats = min_max_stats.over_edges(ranged[1:], exists[1:])
  exploration = tf.constant(action_selection.exploration_table(
      settings.num_simulations, settings.pb_c_base, settings.pb_c_init))

  def descend(at: _Descent) -> Tuple[_Descent]:
    children = trees.at_nodes(tree.children, at.node)
    edges = Edges(prior=trees.at_nodes(tree.prior, at.node),
                  visits=trees.at_children(tree.visits, children),
                  q_value=trees.at_children(q_value, children))
    mean_q = action_selection.mean_q(edges, at.mean_q, at.node == trees.ROOT)
    score = action_selection.scores(edges, mean_q, stats, exploration,
                                    settings.value_delta_max)
    if settings.tie_break == 'random':
      best = action_selection.random_best(
          score, legal_actions, seed + tf.stack([simulation, at.depth]))
    else:
      best = action_selection.lowest_best(score, legal_actions)
    child = tf.gather(children, best, axis=1, batch_dims=1)
    is_leaf = child == trees.NO_NODE
    return (_Descent(
        node=tf.where(at.done | is_leaf, at.node, child),
        action=tf.where(at.done, at.action, best),
        mean_q=mean_q, done=at.done | is_leaf, depth=at.depth + 1),)

  num_trees = legal_actions.shape[0]
  start = _Descent(
      node=tf.fill([num_trees], trees.ROOT),
      action=tf.zeros([num_trees], tf.int32), mean_q=tf.zeros([num_trees]),
      done=tf.zeros([num_trees], tf.bool), depth=tf.constant(0))
  found, = tf.while_loop(
      lambda at: tf.logical_not(tf.reduce_all(at.done)), descend, (start,),
      maximum_iterations=settings.num_simulations)
  return found


def _expand(tree: Tree, node: tf.Tensor, descent: _Descent,
            legal_actions: tf.Tensor, simulator: Simulator,
            discount: float) -> Tree:
  """Adds the leaf that the descent found, and backs its value up."""
  state = tf.nest.map_structure(
      lambda x: trees.at_nodes(x, descent.node), tree.state)
  output = simulator.recurrent(state, descent.action)
  depth = trees.at_nodes(tree.depth, descent.node) + 1
  # The leaf's own prefix still reaches back; its children's starts anew.
  restarts = depth % simulator.prefix_horizon == 0
  output = output._replace(state=simulator.reset_prefix(output.state, restarts))
  prior = trees.masked_prior(output.policy_logits, legal_actions)
  tree = trees.add_node(tree, node, descent.node, descent.action, output, prior,
                        restarts)
  return trees.back_up(tree, node, output.value, discount)


def _statistics(tree: Tree, visits: tf.Tensor,
                prior: tf.Tensor) -> SearchStatistics:
  """What the search was like; `prior` is the network's, without noise."""
  # Simulation i ended at node i.
  depth = tf.cast(tree.depth[1:], tf.float32)
  share = visits / tf.reduce_sum(visits, axis=1, keepdims=True)
  entropy = -tf.reduce_sum(tf.math.xlogy(share, share), axis=1)
  # A softmax can round a legal action's share to 0; the logarithm stays finite.
  least = tf.constant(1e-30)
  cross_entropy = -tf.reduce_sum(
      tf.math.xlogy(share, tf.maximum(prior, least)), axis=1)
  return SearchStatistics(
      max_depth=tf.reduce_max(depth, axis=0),
      mean_depth=tf.reduce_mean(depth, axis=0),
      visit_entropy=entropy,
      prior_to_visit_kl=cross_entropy - entropy)
