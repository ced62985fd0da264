"""Playing at random, through the driver and the environment it is for."""

import numpy as np
import tensorflow as tf
from tf_agents.drivers import py_driver
from tf_agents.policies import py_tf_eager_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf import environments, tasks
from xtra_tf.planning import MctsPlanner
from xtra_tf.policies import PlanningPolicy, RandomPolicy
from xtra_tf.testing.linear_world_model import LinearWorldModel

_LEGAL = np.array([[1, 1, 0, 1], [0, 0, 1, 0]], bool)


def _eager(policy):
  return py_tf_eager_policy.PyTFEagerPolicy(policy, use_tf_function=True,
                                            batch_time_steps=False)


class RandomPolicyTest(tf.test.TestCase):

  def play(self, seed, steps=600):
    observation = {'frame': tensor_spec.TensorSpec([3], tf.float32),
                   'legal_actions': tensor_spec.TensorSpec([4], tf.bool)}
    policy = _eager(RandomPolicy(
        ts.time_step_spec(observation),
        tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3), seed=seed))
    time_step = ts.TimeStep(
        np.ones([2], np.int32), np.zeros([2], 'f'), np.ones([2], 'f'),
        {'frame': np.zeros([2, 3], 'f'), 'legal_actions': _LEGAL})
    found = [policy.action(time_step) for _ in range(steps)]
    return np.stack([step.action for step in found]), found[-1]

  def test_legal_actions_with_equal_shares(self):
    actions, _ = self.play(seed=3)
    share = np.bincount(actions[:, 0], minlength=4) / len(actions)
    self.assertAllClose(share, [1 / 3, 1 / 3, 0., 1 / 3], atol=.1)
    self.assertEqual(share[2], 0.)
    self.assertAllEqual(actions[:, 1], np.full([len(actions)], 2))

  def test_info_has_the_form_of_a_search(self):
    _, step = self.play(seed=3, steps=1)
    self.assertAllEqual(step.info['search'], _LEGAL.astype('f'))
    self.assertAllEqual(step.info['root_value'], [0., 0.])
    self.assertAllClose(step.info['statistics'].visit_entropy, np.log([3., 1.]))

  def test_seed_decides(self):
    first, again, other = (self.play(seed, 40)[0] for seed in (1, 1, 2))
    self.assertAllEqual(first, again)
    self.assertNotAllEqual(first, other)


class DriverTest(tf.test.TestCase):
  """Both policies play a tiny task in a TF-Agents driver."""

  def test_policies_take_turns(self):
    task = tasks.get_task('tiny:catch')
    environment = environments.load(task, num_envs=2, seed=1, training=True)
    self.addCleanup(environment.close)
    specs = (tensor_spec.from_spec(environment.time_step_spec()),
             tensor_spec.from_spec(environment.action_spec()))
    *space, channels = task.observation_shape
    model = LinearWorldModel((*space, channels * task.stack), task.num_actions)
    seen = []
    time_step = environment.reset()
    for policy in (RandomPolicy(*specs), PlanningPolicy(
        *specs, model, MctsPlanner(num_simulations=4, compile_search=False),
        task.stack)):
      driver = py_driver.PyDriver(environment, _eager(policy), [seen.append],
                                  max_steps=30)
      time_step, _ = driver.run(time_step, policy.get_initial_state(2))
    self.assertGreaterEqual(len(seen), 30)
    tf.nest.assert_same_structure(seen[0].policy_info, seen[-1].policy_info)
    for trajectory in seen:
      self.assertAllInSet(np.asarray(trajectory.action), task.legal_actions)


if __name__ == '__main__':
  tf.test.main()
