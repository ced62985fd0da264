"""The official range of Q: whose prefix it subtracts, held to the slow walk."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.planning import MctsPlanner
from xtra_tf.planning.mcts import search as mcts
from xtra_tf.planning.mcts import stale_rewards
from xtra_tf.planning.mcts import tree as trees
from xtra_tf.planning.mcts.settings import SearchSettings
from xtra_tf.testing import numpy_mcts
from xtra_tf.testing.tabular_world import TabularWorld
from xtra_tf.types import ModelOutput


def _output(prefix, actions):
  prefix = tf.constant(prefix, tf.float32)
  rows = prefix.shape[0]
  return ModelOutput(
      state={'s': prefix}, reward=prefix, value=tf.zeros([rows]),
      policy_logits=tf.zeros([rows, actions]),
      reward_logits=tf.zeros([rows, 1]), value_logits=tf.zeros([rows, 1]))


def _tree(edges, restarts=(), num_nodes=None, actions=3):
  """One tree; edges are (parent, action, prefix) of nodes 1, 2, ..."""
  prior = tf.fill([1, actions], 1. / actions)
  tree = trees.from_root(_output([0.], actions), prior,
                         num_nodes or len(edges) + 1)
  for node, (parent, action, prefix) in enumerate(edges, start=1):
    tree = trees.add_node(
        tree, tf.constant(node), tf.constant([parent]), tf.constant([action]),
        _output([prefix], actions), prior, tf.constant([node in restarts]))
  return tree


def _walk(children):
  """{node: the one taken before}, with a stack; children[node] by action."""
  before, stack, taken = None, [0], {}
  while stack:
    node = stack.pop()
    taken[node] = before
    before = node
    stack.extend(child for child in children[node] if child)
  return taken


class PreviousNodesTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(
      ('chain', [(0, 0), (1, 2), (2, 1)], [0, 1, 2]),
      # Taken 0, 3, 2, 1: the highest action comes first.
      ('bush', [(0, 0), (0, 1), (0, 2)], [2, 3, 0]),
      ('bush_from_above', [(0, 2), (0, 1), (0, 0)], [0, 1, 2]),
      # 0, 1 (action 2), below it 4 and 3, then 2: after the whole subtree.
      ('subtree_first', [(0, 2), (0, 0), (1, 0), (1, 1)], [0, 3, 4, 1]),
      ('one_node', [(0, 1)], [0]))
  def test_by_hand(self, edges, expected):
    tree = _tree([(*edge, 0.) for edge in edges])
    self.assertAllEqual(stale_rewards.previous_nodes(tree)[1:, 0], expected)

  @parameterized.parameters(2, 3, 4, 5, 6, 17, 33)
  def test_long_chains(self, num_nodes):
    # The node after the chain comes from the chain's very end.
    edges = [(i, 0, 0.) for i in range(num_nodes - 2)]
    edges[:1] = [(0, 1, 0.)] if edges else []
    edges.append((0, 0, 0.))
    tree = _tree(edges)
    self.assertAllEqual(stale_rewards.previous_nodes(tree)[-1, 0],
                        num_nodes - 2)

  def test_random_trees_as_the_stack_walks(self):
    random = np.random.default_rng(0)
    world = TabularWorld.random(50, 5, seed=1)
    roots = world.root(random.integers(50, size=30))
    legal = tf.ones([30, 5], tf.bool)
    tree = mcts.grow(
        roots, trees.masked_prior(roots.policy_logits, legal), legal,
        tf.constant([1, 2]), world.simulator(),
        SearchSettings(num_simulations=40))
    found = stale_rewards.previous_nodes(tree).numpy()
    for row in range(30):
      taken = _walk(tree.children.numpy()[:, row])
      self.assertLen(taken, 41)
      for node in range(1, 41):
        self.assertEqual(found[node, row], taken[node])

  def test_nodes_that_are_not_there_yet_disturb_nothing(self):
    edges = [(0, 2, 0.), (0, 0, 0.), (1, 0, 0.)]
    whole = stale_rewards.previous_nodes(_tree(edges))
    room = stale_rewards.previous_nodes(_tree(edges, num_nodes=9))
    self.assertAllEqual(whole[1:], room[1:4])


class EdgeQValuesTest(tf.test.TestCase):

  def test_rewards_by_hand(self):
    # Taken 0, 2, 3, 1. Node 3 restarts the prefix.
    tree = _tree([(0, 0, 5.), (0, 2, 1.), (2, 1, 4.)], restarts=[3])
    found = stale_rewards.edge_q_values(tree, 0.5)
    # Node 1 reads its prefix as a reward, because node 3 came before it.
    self.assertAllEqual(found[1:, 0], [5., 1., 3.])
    self.assertAllEqual(trees.edge_q_values(tree, 0.5)[1:, 0], [5., 1., 3.])
    # Without the restart it subtracts the prefix of a cousin.
    tree = _tree([(0, 0, 5.), (0, 2, 1.), (2, 1, 4.)])
    self.assertAllEqual(stale_rewards.edge_q_values(tree, 0.5)[1:, 0],
                        [1., 1., 3.])
    self.assertAllEqual(trees.edge_q_values(tree, 0.5)[1:, 0], [5., 1., 3.])

  def test_values_count_as_ever(self):
    tree = _tree([(0, 1, 2.)])
    tree = trees.back_up(tree, tf.constant(1), tf.constant([8.]), 0.5)
    self.assertAllEqual(stale_rewards.edge_q_values(tree, 0.5)[1], [6.])


class OfficialSearchTest(tf.test.TestCase, parameterized.TestCase):

  def _worlds(self, actions, horizon, rewards=True):
    random = np.random.default_rng(actions)
    world = TabularWorld.random(80, actions, seed=horizon,
                                prefix_horizon=horizon)
    if not rewards:
      world = TabularWorld(world.next_state, 0. * world.reward, world.value,
                           world.policy_logits, horizon)
    legal = random.uniform(size=[24, actions]) < .7
    legal[:, 0] |= ~legal.any(axis=1)
    return world, random.integers(80, size=24), legal

  def _found(self, world, roots, legal, compiled, **settings):
    planner = MctsPlanner(num_simulations=30, tie_break='lowest',
                          compile_search=compiled, **settings)
    found = planner.bind(world.simulator())(
        world.root(roots), tf.constant(legal), tf.constant(0.),
        tf.constant([1, 2]))
    return found.target.numpy(), found.root_value.numpy()

  @parameterized.product(compiled=(False, True),
                         sizes=((18, 5), (6, 2), (3, 99)))
  def test_same_trees_as_the_twin(self, compiled, sizes):
    world, roots, legal = self._worlds(*sizes)
    official = {'min_max_reward': 'previous_node',
                'root_value_divisor': 'simulations_plus_one'}
    visits, values = self._found(world, roots, legal, compiled, **official)
    constants = numpy_mcts.SearchConstants(num_simulations=30, **official)
    same = 0
    for row, root in enumerate(roots):
      wanted = numpy_mcts.NumpyTree(
          world, int(root), legal[row], constants).run()
      if np.array_equal(visits[row], wanted.visit_counts):
        same += 1
        self.assertAllClose(values[row], wanted.root_value, atol=1e-5)
    # Where two scores differ in the last bit, one tree may go another way.
    self.assertGreaterEqual(same, len(roots) - 1)
    fixed, _ = self._found(world, roots, legal, compiled)
    self.assertNotAllEqual(visits, fixed)

  def test_without_rewards_both_ranges_are_one(self):
    world, roots, legal = self._worlds(5, 5, rewards=False)
    fixed = self._found(world, roots, legal, True)
    official = self._found(world, roots, legal, True,
                           min_max_reward='previous_node')
    for one, other in zip(fixed, official):
      self.assertAllEqual(one, other)

  def test_root_values_differ_by_one_visit(self):
    world, roots, legal = self._worlds(5, 5)
    visits, values = self._found(world, roots, legal, True)
    official_visits, official = self._found(
        world, roots, legal, True, root_value_divisor='simulations_plus_one')
    self.assertAllEqual(visits, official_visits)
    self.assertAllClose(official, values * 30. / 31., rtol=1e-6)

  @parameterized.parameters(
      ('min_max_reward', 'parents', "min_max_reward 'parents'. Did you mean p"),
      ('root_value_divisor', 51, 'no root_value_divisor 51. '))
  def test_unknown_values_are_refused(self, name, value, message):
    with self.assertRaisesRegex(UsageError, message):
      MctsPlanner(**{name: value})


if __name__ == '__main__':
  tf.test.main()
