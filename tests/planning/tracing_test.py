"""Searches and acting are traced once for a batch size, and compiled."""

import numpy as np
import tensorflow as tf
from tf_agents.policies import py_tf_eager_policy
from tf_agents.trajectories import time_step as ts

from xtra_tf import tasks
from xtra_tf.experiments.roles import acting_specs
from xtra_tf.planning import MctsPlanner
from xtra_tf.policies import PlanningPolicy
from xtra_tf.testing.linear_world_model import LinearWorldModel


class _CountingModel(LinearWorldModel):
  """Counts how often its functions are traced."""

  def __init__(self, *args, **kwargs):
    self.encodings = self.steps = 0
    super().__init__(*args, **kwargs)

  def initial_inference(self, observation, training=False):
    self.encodings += 1
    return super().initial_inference(observation, training)

  def recurrent_inference(self, state, action, training=False):
    self.steps += 1
    return super().recurrent_inference(state, action, training)


class TracingTest(tf.test.TestCase):

  def test_a_search_is_traced_once_a_batch_size_and_compiles(self):
    model = _CountingModel((6,), 4)
    search = MctsPlanner(num_simulations=5).bind(model.simulator())

    def run(batch, number, fraction):
      root = model.initial_inference(tf.ones([batch, 6]) * number)
      return search(root, tf.ones([batch, 4], tf.bool), tf.constant(fraction),
                    tf.constant([0, number]))

    self.assertAllEqual(tf.reduce_sum(run(3, 0, 0.25).target, axis=1), [5.] * 3)
    first = model.steps
    for number in range(1, 4):
      run(3, number, 0.25 * number)
    self.assertEqual(model.steps, first)
    self.assertEqual(search.experimental_get_tracing_count(), 1)
    run(2, 1, 0.25)
    self.assertEqual(search.experimental_get_tracing_count(), 2)

  def test_acting_is_not_traced_again_after_the_first_steps(self):
    task = tasks.get_task('tiny:catch')
    frame = task.observation_shape
    model = _CountingModel((*frame[:-1], frame[-1] * task.stack),
                           task.num_actions)
    policy = py_tf_eager_policy.PyTFEagerPolicy(
        PlanningPolicy(*acting_specs(task), model,
                       MctsPlanner(num_simulations=4), task.stack),
        use_tf_function=True, batch_time_steps=False)
    state, random = policy.get_initial_state(2), np.random.default_rng(0)
    counts = []
    for kind in (ts.StepType.FIRST, *[ts.StepType.MID] * 4, ts.StepType.LAST,
                 ts.StepType.FIRST):
      step = policy.action(ts.TimeStep(
          np.full([2], kind, np.int32), np.zeros([2], np.float32),
          np.ones([2], np.float32),
          {'frame': random.integers(0, 256, [2, *frame]).astype(
              task.observation_dtype),
           'legal_actions': np.tile(task.legal_mask(), [2, 1])}), state)
      state = step.state
      counts.append(model.encodings)
    # The state that a policy begins with may be another type than its own.
    self.assertEqual(counts[2:], [counts[1]] * 5)
    self.assertLessEqual(counts[1], 3)


if __name__ == '__main__':
  tf.test.main()
