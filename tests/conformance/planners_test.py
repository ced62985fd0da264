"""The suite of the planner protocol over every implementation."""

import tensorflow as tf

from tests.conformance import planner_suite
from xtra_tf.planning import MctsPlanner


class MctsPlannerConformanceTest(planner_suite.PlannerSuite, tf.test.TestCase):

  def make_planner(self):
    return MctsPlanner(num_simulations=16)

  def best_action(self, target):
    return target.argmax(axis=1)


class UncompiledMctsPlannerConformanceTest(planner_suite.PlannerSuite,
                                           tf.test.TestCase):

  def make_planner(self):
    return MctsPlanner(num_simulations=16, compile_search=False)

  def best_action(self, target):
    return target.argmax(axis=1)


if __name__ == '__main__':
  tf.test.main()
