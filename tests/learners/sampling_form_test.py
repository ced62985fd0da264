"""Sampling weights and loss weights have the same expected gradient."""

import collections
import itertools
import math

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tests.learners.measurement_test import CONFIG, STEPS, FixedStatistics
from xtra_tf.learners import LearnerSettings, WorldModelAgent
from xtra_tf.replay import Composition
from xtra_tf.testing import training_batches

QUOTAS = (2, 2, 1)
WEIGHTED = (1, 2)
POOL = (2, 2, 2)  # rows 0, 1 of the target, 2, 3 and 4, 5 of the tables
OFFLINE = (2, 3, 4, 5)
LEARNING_RATE = 0.5


class Steps:
  """Gradients of the agent's own step on rows of a pool."""

  def __init__(self, reduction):
    time_step_spec = ts.time_step_spec(tensor_spec.TensorSpec((3,), tf.float32))
    action_spec = tensor_spec.BoundedTensorSpec((), tf.int32, 0, 2)
    policy = random_tf_policy.RandomTFPolicy(time_step_spec, action_spec)
    self._rows = tf.Variable(np.zeros([sum(QUOTAS)], np.int64))
    self._pool = training_batches.random_unroll(
        POOL, frame=(3,), unroll_steps=STEPS, td_steps=1)
    targets = training_batches.random_targets(sum(POOL), unroll_steps=STEPS)
    self._model = FixedStatistics(CONFIG, seed=0)
    self._agent = WorldModelAgent(
        time_step_spec, action_spec, policy, policy, self._model,
        lambda unroll: tf.nest.map_structure(
            lambda x: tf.gather(x, self._rows), targets),
        settings=LearnerSettings(
            stack=2, support=5, warmup_steps=0, learning_rate=LEARNING_RATE,
            unroll_steps=STEPS, weight_decay=0., clip_norm=1e9,
            loss_reduction=reduction, importance_initial=0.,
            importance_final=0.),
        quotas=QUOTAS, train_step=tf.Variable(0, dtype=tf.int64))
    self._train = tf.function(self._agent.train, autograph=False)
    self._begin = [v.numpy() for v in self._model.variables]

  def __call__(self, rows, factor):
    """The gradient of one step from the first weights, all in one vector."""
    for variable, value in zip(self._model.variables, self._begin):
      variable.assign(value)
    for velocity in self._agent.optimizer.velocity:
      velocity.assign(tf.zeros_like(velocity))
    self._rows.assign(rows)
    batch = tf.nest.map_structure(lambda x: tf.gather(x, rows), self._pool)
    factor = tf.gather(tf.constant(factor, tf.float32), batch.task)
    # The shape is static in the data set too.
    self._train(tf.nest.map_structure(
        lambda x: tf.ensure_shape(x, [len(rows), *x.shape[1:]]),
        batch._replace(offline_factor=factor)))
    return np.concatenate([v.numpy().ravel().astype(np.float64)
                           for v in self._agent.optimizer.velocity])


def factors_by_rows(weights):
  """{rows of the weighted tables: factor}, as the composition gives them."""
  composition = Composition(QUOTAS, weighted=WEIGHTED)
  found = {}
  for batch in range(500):
    rows, factor = composition.divide(
        batch, np.array(weights, np.float32), False)
    found[tuple(rows[1:])] = factor
  return found


class SamplingFormTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.product(reduction=('batch_mean', 'per_task_sum'),
                         weights=((1., 0.8, 0.3), (1., 0., 0.6)))
  def test_expected_gradients_are_equal(self, reduction, weights):
    """Over all batches that there can be, each as likely as it is."""
    gradient = Steps(reduction)
    target = (0, 1)
    # The loss form: each task's rows, uniformly out of its table.
    loss_form = np.mean([
        gradient([*target, *first, second], weights)
        for first in itertools.product((2, 3), repeat=2)
        for second in (4, 5)], axis=0)

    chance = {row: weights[task] / sum(weights[1:]) / 2
              for task, rows in ((1, (2, 3)), (2, (4, 5))) for row in rows}
    factors = factors_by_rows(weights)
    sampling, total = 0., 0.
    for rows in itertools.combinations_with_replacement(OFFLINE, 3):
      counts = collections.Counter(rows)
      probability = math.factorial(3) * math.prod(
          chance[row]**n / math.factorial(n) for row, n in counts.items())
      if not probability:
        continue
      total += probability
      first = counts[2] + counts[3]
      sampling += probability * gradient(
          [*target, *rows], factors[first, 3 - first])
    self.assertAlmostEqual(total, 1.)
    self.assertGreater(np.linalg.norm(loss_form), 0.1)
    self.assertAllClose(sampling, loss_form, rtol=1e-4, atol=1e-6)
    # The weights matter, so that this could fail.
    self.assertNotAllClose(
        gradient([*target, 2, 3, 4], (1., 1., 1.)),
        gradient([*target, 2, 3, 4], weights), rtol=1e-3, atol=1e-4)


if __name__ == '__main__':
  tf.test.main()
