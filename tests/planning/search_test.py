"""The batched search, held to its twin and to laws."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.planning.mcts import search as mcts
from xtra_tf.planning.mcts import tree as trees
from xtra_tf.planning.mcts.settings import SearchSettings
from xtra_tf.testing import numpy_mcts
from xtra_tf.testing.tabular_world import TabularWorld

_SEED = [11, 12]


def _search(world, roots, legal, noise=None, fraction=0., **settings):
  """One search, traced but not compiled."""
  settings = SearchSettings(**{'tie_break': 'lowest', **settings})
  legal = np.asarray(legal, bool)
  noise = np.zeros(legal.shape) if noise is None else noise
  traced = tf.function(
      lambda: mcts.search(world.root(roots), tf.constant(legal),
                          tf.constant(noise, tf.float32),
                          tf.constant(fraction), tf.constant(_SEED),
                          world.simulator(), settings), autograph=False)
  return tf.nest.map_structure(lambda x: x.numpy(), traced())


def _random_legal(random, rows, actions):
  legal = random.uniform(size=[rows, actions]) < .5
  legal[np.arange(rows), random.integers(actions, size=rows)] = True
  return legal


class TwinTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(
      ('all_legal', 18, 5, False, 0., {}),
      ('legal_subsets', 18, 5, True, 0., {}),
      ('noise', 6, 5, True, .25, {}),
      ('prefix_is_reward', 6, 1, False, 0., {}),
      ('short_horizon', 3, 2, True, 0., {}),
      ('never_reset', 2, 99, False, 0., {}),
      ('other_numbers', 6, 3, True, .5,
       {'discount': .9, 'pb_c_base': 30., 'pb_c_init': .5,
        'value_delta_max': .4, 'num_simulations': 30}))
  def test_same_trees(self, actions, horizon, subsets, fraction, settings):
    rows = 20
    random = np.random.default_rng(actions + horizon)
    world = TabularWorld.random(80, actions, seed=horizon,
                                prefix_horizon=horizon)
    roots = random.integers(80, size=rows)
    legal = (_random_legal(random, rows, actions) if subsets
             else np.ones([rows, actions], bool))
    noise = random.dirichlet([.3] * actions, size=rows) * legal
    found = _search(world, roots, legal, noise, fraction, **settings)
    constants = numpy_mcts.SearchConstants(**settings)
    same = 0
    for row in range(rows):
      wanted = numpy_mcts.NumpyTree(world, int(roots[row]), legal[row],
                                    constants, noise[row], fraction).run()
      if np.array_equal(found.target[row], wanted.visit_counts):
        same += 1
        self.assertAllClose(found.root_value[row], wanted.root_value,
                            atol=1e-5)
        self.assertEqual(found.statistics.max_depth[row], wanted.max_depth)
        self.assertAllClose(found.statistics.mean_depth[row],
                            wanted.mean_depth)
    # Where two scores differ in the last bit, one tree may go another way.
    self.assertGreaterEqual(same, rows - 1)


  def test_same_trees_where_the_root_is_worth_least(self):
    # The root has no edge above it; as one, it would widen the range of Q.
    random = np.random.default_rng(0)
    world = TabularWorld(
        next_state=random.integers(50, size=[50, 4]).astype(np.int32),
        reward=np.zeros([50, 4], 'f'),
        value=random.uniform(20., 22., size=50).astype('f'),
        policy_logits=random.normal(size=[50, 4]).astype('f'))
    found = _search(world, np.arange(10), np.ones([10, 4]), discount=.8)
    for row in range(10):
      wanted = numpy_mcts.NumpyTree(
          world, row, np.ones([4]),
          numpy_mcts.SearchConstants(discount=.8)).run()
      self.assertAllEqual(found.target[row], wanted.visit_counts)


class LawsTest(tf.test.TestCase, parameterized.TestCase):

  def test_visits_are_the_simulations_and_legal(self):
    random = np.random.default_rng(0)
    world = TabularWorld.random(40, 7, seed=3)
    legal = _random_legal(random, 30, 7)
    for tie_break in ('random', 'lowest'):
      found = _search(world, random.integers(40, size=30), legal,
                      num_simulations=23, tie_break=tie_break)
      self.assertAllEqual(found.target.sum(axis=1), np.full([30], 23.))
      self.assertAllEqual(found.target[~legal], np.zeros([(~legal).sum()]))

  def test_first_child_of_an_inner_node_is_uniform(self):
    rows = 4000
    # From state 0 only action 0 is worth anything: the second simulation that
    # takes it, at the latest the fourth, expands a first grandchild.
    world = TabularWorld(
        next_state=np.array([[1, 2, 2], [3, 4, 5]] + [[2, 2, 2]] * 4, 'i'),
        reward=np.zeros([6, 3], 'f'),
        value=np.array([0., 9., 0., 0., 0., 0.], 'f'),
        policy_logits=np.array([[9., 0., 0.]] * 6, 'f'))
    settings = SearchSettings(num_simulations=2)
    roots = world.root(np.zeros([rows], int))
    tree = mcts.grow(
        roots, trees.masked_prior(roots.policy_logits,
                                  tf.ones([rows, 3], tf.bool)),
        tf.ones([rows, 3], tf.bool), tf.constant(_SEED), world.simulator(),
        settings)
    deep = tree.depth[2].numpy() == 2
    below_first = (tree.children[0, :, 0].numpy() == 1) & deep
    states = tree.state.index[2].numpy()[below_first]
    self.assertGreater(len(states), 800)
    share = np.bincount(states, minlength=6)[3:] / len(states)
    self.assertAllClose(share, [1 / 3] * 3, atol=.08)

  @parameterized.parameters(1, 2, 12, 50)
  def test_rewards_survive_prefix_resets(self, horizon):
    # A corridor in which every step is worth 1; its prefix counts the steps
    # since the last reset.
    world = TabularWorld(np.zeros([1, 1], np.int32), np.ones([1, 1], 'f'),
                         np.zeros([1], 'f'), np.zeros([1, 1], 'f'), horizon)
    legal = tf.constant([[True]] * 2)
    tree = mcts.grow(world.root([0, 0]), tf.ones([2, 1]), legal,
                     tf.constant(_SEED), world.simulator(),
                     SearchSettings(num_simulations=12))
    self.assertAllEqual(tree.depth, np.tile(np.arange(13)[:, None], [1, 2]))
    self.assertAllEqual(tree.reward[1:], np.ones([12, 2]))
    # Counted from the root, as in training every unroll begins with a reset.
    self.assertAllEqual(tree.prefix_base, tree.depth % horizon)
    self.assertAllEqual(tree.state.prefix, tree.depth % horizon)

  def test_single_legal_action(self):
    world = TabularWorld.random(20, 4, seed=1)
    discount = .9
    found = _search(world, [3], [[False, False, True, False]],
                    num_simulations=6, discount=discount)
    self.assertAllEqual(found.target, [[0., 0., 6., 0.]])
    values, state, gathered = [], 3, 0.
    for depth in range(6):
      gathered += discount**depth * world.reward[state, 2]
      state = world.next_state[state, 2]
      values.append(gathered + discount**(depth + 1) * world.value[state])
    self.assertAllClose(found.root_value, [np.mean(values)], rtol=1e-5)
    self.assertAllEqual(found.statistics.max_depth, [6.])
    self.assertAllClose(found.statistics.mean_depth, [3.5])
    self.assertAllClose(found.statistics.visit_entropy, [0.])
    self.assertAllClose(found.statistics.prior_to_visit_kl, [0.])

  def test_statistics_of_the_visits(self):
    world = TabularWorld.random(30, 5, seed=8)
    legal = np.array([[True] * 5, [True, True, False, False, True]])
    found = _search(world, [1, 2], legal, num_simulations=20)
    for row in range(2):
      share = found.target[row][legal[row]] / 20.
      logits = world.policy_logits[row + 1][legal[row]]
      prior = np.exp(logits) / np.exp(logits).sum()
      seen = share > 0
      self.assertAllClose(found.statistics.visit_entropy[row],
                          -np.sum(share[seen] * np.log(share[seen])))
      self.assertAllClose(
          found.statistics.prior_to_visit_kl[row],
          np.sum(share[seen] * np.log(share[seen] / prior[seen])), atol=1e-5)

  def test_finds_a_distant_reward(self):
    # Three times action 2 opens a door; everything else leads back.
    world = TabularWorld(
        next_state=np.array([[0, 0, 1], [0, 0, 2], [0, 0, 0]], 'i'),
        reward=np.array([[0., 0., 0.], [0., 0., 0.], [0., 0., 5.]], 'f'),
        value=np.zeros([3], 'f'), policy_logits=np.zeros([3, 3], 'f'))
    found = _search(world, [0, 1, 2], np.ones([3, 3]), num_simulations=100)
    self.assertAllEqual(found.target.argmax(axis=1), [2, 2, 2])
    self.assertAllGreater(found.root_value, .1)


if __name__ == '__main__':
  tf.test.main()
