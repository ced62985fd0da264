"""What every planner must do; inherit it and say how to make one.

A test class takes this suite and a TestCase:

  class MyPlannerTest(planner_suite.PlannerSuite, tf.test.TestCase):

    def make_planner(self):
      return MyPlanner(...)

    def best_action(self, target):
      return ...
"""

import abc

import numpy as np
import tensorflow as tf

from xtra_tf.planning.planner import Planner
from xtra_tf.testing.tabular_world import TabularWorld
from xtra_tf.types import SearchOutput, SearchStatistics

_STATES, _ACTIONS = 30, 4


class PlannerSuite(abc.ABC):
  """Mixed into a `tf.test.TestCase`. B trees, A actions."""

  @abc.abstractmethod
  def make_planner(self) -> Planner:
    """A small planner, with its default exploration."""

  @abc.abstractmethod
  def best_action(self, target: np.ndarray) -> np.ndarray:
    """<int>[B], what targets [B, *target_shape] say is best."""

  def setUp(self):
    super().setUp()
    self.planner = self.make_planner()
    self.world = TabularWorld.random(_STATES, _ACTIONS, seed=4)
    self.search = self.planner.bind(self.world.simulator())

  def run_search(self, rows=5, fraction=0.25, seed=(1, 2), legal=None,
                 search=None, world=None):
    world = world or self.world
    legal = np.ones([rows, _ACTIONS], bool) if legal is None else legal
    return (search or self.search)(
        world.root(np.arange(rows) % len(world.value)), tf.constant(legal),
        tf.constant(fraction), tf.constant(seed))

  def test_output_has_the_stated_form(self):
    for rows in (1, 5):
      found = self.run_search(rows)
      self.assertIsInstance(found, SearchOutput)
      self.assertIsInstance(found.statistics, SearchStatistics)
      self.assertEqual(tuple(found.target.shape),
                       (rows, *self.planner.target_shape(_ACTIONS)))
      for x in tf.nest.flatten(found):
        self.assertEqual(x.dtype, tf.float32)
        self.assertAllInRange(x, -1e6, 1e6)
      for x in (found.root_value, *found.statistics):
        self.assertEqual(tuple(x.shape), (rows,))

  def test_equal_arguments_give_equal_results(self):
    for one, other in zip(tf.nest.flatten(self.run_search()),
                          tf.nest.flatten(self.run_search())):
      self.assertAllEqual(one, other)

  def test_seed_decides_the_exploration(self):
    first, other = (self.run_search(fraction=1., seed=seed)
                    for seed in ((1, 2), (3, 4)))
    self.assertNotAllEqual(first.root_value, other.root_value)

  def test_two_binds_are_one_search(self):
    again = self.planner.bind(self.world.simulator())
    self.assertAllEqual(self.run_search().target,
                        self.run_search(search=again).target)

  def test_traces_inside_a_function(self):
    traced = tf.function(self.run_search, autograph=False)
    self.assertAllClose(self.run_search().target, traced().target)

  def test_follows_the_variables_of_the_model(self):
    bonus = tf.Variable(0.)
    simulator = self.world.simulator()

    def recurrent(state, action):
      output = simulator.recurrent(state, action)
      return output._replace(value=output.value + bonus)

    search = self.planner.bind(simulator._replace(recurrent=recurrent))
    before = self.run_search(search=search, fraction=0.).root_value
    bonus.assign(100.)
    after = self.run_search(search=search, fraction=0.).root_value
    self.assertAllGreater(after - before, 50.)

  def test_illegal_actions_are_never_best(self):
    legal = np.zeros([6, _ACTIONS], bool)
    legal[np.arange(6), np.arange(6) % _ACTIONS] = True
    found = self.run_search(6, fraction=1., legal=legal)
    self.assertAllEqual(self.best_action(found.target.numpy()),
                        np.arange(6) % _ACTIONS)

  def test_prefers_what_is_rewarded(self):
    # In state s, action s alone is rewarded; what follows is worth nothing.
    world = TabularWorld(
        next_state=np.full([_ACTIONS + 1, _ACTIONS], _ACTIONS, np.int32),
        reward=np.eye(_ACTIONS + 1, _ACTIONS, dtype=np.float32),
        value=np.zeros([_ACTIONS + 1], np.float32),
        policy_logits=np.zeros([_ACTIONS + 1, _ACTIONS], np.float32))
    found = self.run_search(_ACTIONS, fraction=0., world=world,
                            search=self.planner.bind(world.simulator()))
    self.assertAllEqual(self.best_action(found.target.numpy()),
                        np.arange(_ACTIONS))
    self.assertAllInRange(found.root_value, .1, 1.)
