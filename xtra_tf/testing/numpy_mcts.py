"""EfficientZero's search, one tree at a time and one node at a time.

The slow, obvious twin of the batched search, for tabular worlds. It follows the
official tree (EfficientZero `core/ctree/cnode.cpp`, `core/mcts.py`) node by
node in float32. Three of its faults are put right unless the constants say
otherwise: the range of Q uses each node's true parent, the root has no visit of
its own, and ties can be reproduced.
"""

import dataclasses
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from xtra_tf.testing.tabular_world import TabularWorld

_F = np.float32


@dataclasses.dataclass(frozen=True)
class SearchConstants:
  """The numbers of a search."""
  num_simulations: int = 50
  discount: float = 0.997**4
  pb_c_base: float = 19652.
  pb_c_init: float = 1.25
  value_delta_max: float = 0.01
  min_max_reward: str = 'parent'  # or 'previous_node'
  root_value_divisor: str = 'simulations'  # or 'simulations_plus_one'


class SearchResult(NamedTuple):
  """What the twin returns of one tree."""
  visit_counts: np.ndarray  # <int>[A]
  root_value: float  # sum of the values backed up / divisor
  max_depth: int
  mean_depth: float


class Node:
  """One node: what its parent's edge and its own inference say."""

  def __init__(self, state: int, depth: int, value_prefix: np.float32,
               accumulated: np.float32, is_reset: bool, prior: np.ndarray):
    self.state = state
    self.depth = depth
    self.value_prefix = value_prefix  # predicted on arriving here
    self.accumulated = accumulated  # what the stored model state has gathered
    self.is_reset = is_reset  # children read their prefix as a reward
    self.prior = prior
    self.visit_count = 0
    self.value_sum = _F(0)
    self.children: Dict[int, 'Node'] = {}

  @property
  def value(self) -> np.float32:
    """Mean of the values backed up."""
    return self.value_sum / _F(self.visit_count)


class NumpyTree:
  """A search tree over a TabularWorld."""

  def __init__(self, world: TabularWorld, root_state: int,
               legal_actions: np.ndarray, constants: SearchConstants,
               noise: Optional[np.ndarray] = None, noise_fraction: float = 0.,
               random: Optional[np.random.Generator] = None):
    """Makes the root.

    Args:
      world: the tables.
      root_state: row of the tables.
      legal_actions: <bool>[A].
      constants: the numbers.
      noise: <float>[A] mixed into the root's prior, or None.
      noise_fraction: share of the noise.
      random: draws between equal scores; None takes the lowest action.
    """
    self._world = world
    self._legal = [int(a) for a in np.flatnonzero(legal_actions)]
    self._constants = constants
    self._random = random
    prior = self._softmax(world.policy_logits[root_state])
    if noise is not None:
      share = _F(noise_fraction)
      prior = (_F(1) - share) * prior + share * noise.astype(_F)
    self.root = Node(root_state, 0, _F(0), _F(0), False, prior)
    self.minimum, self.maximum = _F(np.inf), _F(-np.inf)
    self._leaf_depths: List[int] = []

  def run(self) -> SearchResult:
    """All simulations."""
    for _ in range(self._constants.num_simulations):
      self._simulate()
    visits = np.zeros(len(self.root.prior), np.int64)
    for action, child in self.root.children.items():
      visits[action] = child.visit_count
    divisor = self._constants.num_simulations + (
        self._constants.root_value_divisor == 'simulations_plus_one')
    return SearchResult(
        visits, float(self.root.value_sum / _F(divisor)),
        max(self._leaf_depths), float(np.mean(self._leaf_depths)))

  def reward(self, parent: Node, child: Node) -> np.float32:
    """Of the edge between two nodes: the difference of their prefixes."""
    if parent.is_reset:
      return child.value_prefix
    return child.value_prefix - parent.value_prefix

  def q_value(self, parent: Node, child: Node) -> np.float32:
    """Reward of the edge plus the discounted value behind it."""
    return (self.reward(parent, child)
            + _F(self._constants.discount) * child.value)

  def mean_q(self, node: Node, parent_mean_q: np.float32) -> np.float32:
    """Stands for the Q of children without a visit."""
    visited = [self.q_value(node, child) for child in node.children.values()]
    if node is self.root and visited:
      return sum(visited, _F(0)) / _F(len(visited))
    return (parent_mean_q + sum(visited, _F(0))) / _F(len(visited) + 1)

  def normalize(self, q_value: np.float32) -> np.float32:
    """Soft min-max over the whole tree, then clipped."""
    delta = self.maximum - self.minimum
    if delta > 0:
      divisor = max(delta, _F(self._constants.value_delta_max))
      q_value = (q_value - self.minimum) / divisor
    return min(max(q_value, _F(0)), _F(1))

  def score(self, node: Node, action: int, mean_q: np.float32) -> np.float32:
    """Upper confidence bound of one child."""
    total = sum(child.visit_count for child in node.children.values())
    base = self._constants.pb_c_base
    c = np.log((total + base + 1) / base) + self._constants.pb_c_init
    child = node.children.get(action)
    count = child.visit_count if child else 0
    exploration = _F(c * np.sqrt(total)) / _F(count + 1) * node.prior[action]
    q_value = self.q_value(node, child) if child else mean_q
    return exploration + self.normalize(q_value)

  def select(self, node: Node, mean_q: np.float32) -> int:
    """The best action; the list of ties begins anew with a greater score."""
    greatest, ties = _F(-np.inf), []
    for action in self._legal:
      score = self.score(node, action, mean_q)
      if score > greatest:
        greatest, ties = score, [action]
      elif score >= greatest - _F(1e-6):
        ties.append(action)
    return ties[0] if self._random is None else int(self._random.choice(ties))

  def _simulate(self) -> None:
    path, action = self._descend()
    leaf = self._expand(path[-1], action)
    path[-1].children[action] = leaf
    backed_up = self._world.value[leaf.state]
    path.append(leaf)
    for depth in reversed(range(len(path))):
      path[depth].value_sum += backed_up
      path[depth].visit_count += 1
      if depth:
        backed_up = (self.reward(path[depth - 1], path[depth])
                     + _F(self._constants.discount) * backed_up)
    self._update_min_max()

  def _descend(self) -> Tuple[List[Node], int]:
    path, mean_q = [self.root], _F(0)
    while True:
      mean_q = self.mean_q(path[-1], mean_q)
      action = self.select(path[-1], mean_q)
      if action not in path[-1].children:
        return path, action
      path.append(path[-1].children[action])

  def _expand(self, parent: Node, action: int) -> Node:
    state = int(self._world.next_state[parent.state, action])
    prefix = parent.accumulated + self._world.reward[parent.state, action]
    depth = parent.depth + 1
    self._leaf_depths.append(depth)
    is_reset = depth % self._world.prefix_horizon == 0
    return Node(state, depth, prefix, _F(0) if is_reset else prefix, is_reset,
                self._softmax(self._world.policy_logits[state]))

  def _update_min_max(self) -> None:
    if self._constants.min_max_reward == 'parent':
      values = self._true_values()
    else:
      values = self._stale_values()
    self.minimum, self.maximum = min(values), max(values)

  def _true_values(self) -> List[np.float32]:
    values, open_nodes = [], [self.root]
    while open_nodes:
      node = open_nodes.pop()
      for child in node.children.values():
        values.append(self.q_value(node, child))
        open_nodes.append(child)
    return values

  def _stale_values(self) -> List[np.float32]:
    """The official walk: whatever was met before stands for the parent."""
    values, stack, before = [], [self.root], self.root
    while stack:
      node = stack.pop()
      if node is not self.root:
        values.append(self.q_value(before, node))
      stack.extend(node.children[action] for action in sorted(node.children))
      before = node
    return values

  def _softmax(self, logits: np.ndarray) -> np.ndarray:
    prior = np.zeros(len(logits), _F)
    legal = logits[self._legal]
    powers = np.exp(legal - legal.max())
    prior[self._legal] = powers / powers.sum()
    return prior
