"""The two forms of a measured step against each other."""

from absl import logging
from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.errors import UsageError
from xtra_tf.learners import (
  LearnerSettings,
  TaskWeights,
  TaskWeightSettings,
  WorldModelAgent,
)
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.testing import training_batches

QUOTAS = (8, 4, 3)
WINDOW = 3
CONFIG = EfficientZeroConfig(
    (6,), num_actions=3, channels=8, head_channels=4, head_hidden=(8,),
    lstm_size=8, support=5, projection_hidden=8, projection_size=8,
    projection_head_hidden=8, zero_initial_heads=False)
STEPS = 2
SETTINGS = LearnerSettings(stack=2, support=5, warmup_steps=0,
                           learning_rate=0.05, unroll_steps=STEPS)


class FixedStatistics(EfficientZero):
  """Normalises by the running statistics in training too, and keeps them."""

  def initial_inference(self, observation, training=False):
    return super().initial_inference(observation)

  def recurrent_inference(self, state, action, training=False):
    return super().recurrent_inference(state, action)

  def project(self, state, with_head, training=False):
    return super().project(state, with_head)


def make_agent(measurement, model_class, parts=None):
  time_step_spec = ts.time_step_spec(tensor_spec.TensorSpec((3,), tf.float32))
  action_spec = tensor_spec.BoundedTensorSpec((), tf.int32, 0, 2)
  policy = random_tf_policy.RandomTFPolicy(time_step_spec, action_spec)
  targets = training_batches.random_targets(sum(QUOTAS), unroll_steps=STEPS)
  return WorldModelAgent(
      time_step_spec, action_spec, policy, policy, model_class(CONFIG, seed=0),
      lambda unroll: targets, settings=SETTINGS, quotas=QUOTAS,
      train_step=tf.Variable(0, dtype=tf.int64), task_weights=TaskWeights(
          TaskWeightSettings(start=0, period=20, window=WINDOW,
                             passes=measurement, parts=parts), len(QUOTAS)))


def batch(seed, measuring=True):
  return training_batches.random_unroll(
      QUOTAS, frame=(3,), unroll_steps=STEPS, td_steps=1, measuring=measuring,
      factors=(1., 0.5, 0.25), seed=seed)


def trained(measurement, model_class):
  """An agent after one window, and the steps' LossInfos."""
  agent = make_agent(measurement, model_class)
  train = tf.function(agent.train, autograph=False)
  return agent, [train(batch(seed)) for seed in range(WINDOW)]


class MeasurementTest(parameterized.TestCase, tf.test.TestCase):

  def test_forms_agree_if_batch_statistics_are_fixed(self):
    (joint, expected), (by_task, found) = (
        trained(form, FixedStatistics) for form in ('joint', 'by_task'))
    for one, other in zip(expected, found):
      self.assertAllClose(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(joint.world_model.variables,
                          by_task.world_model.variables):
      self.assertAllClose(one, other, rtol=1e-4, atol=1e-5)
    self.assertFalse(by_task.task_weights.measuring)
    self.assertAllEqual(joint.task_weights.weights,
                        by_task.task_weights.weights)
    self.assertAllEqual(found[0].extra.parts.value.shape, [sum(QUOTAS)])

  def test_forms_differ_with_batch_statistics(self):
    (joint, expected), (by_task, found) = (
        trained(form, EfficientZero) for form in ('joint', 'by_task'))
    difference = np.abs(expected[0].extra.cosine - found[0].extra.cosine)
    logging.info('The forms differ: cosines by %s, weights %s and %s.',
                 difference, joint.task_weights.weights.numpy(),
                 by_task.task_weights.weights.numpy())
    logging.info('Cosines differ by %s; weights %s and %s.', difference,
                 joint.task_weights.weights.numpy(),
                 by_task.task_weights.weights.numpy())
    self.assertGreater(difference.max(), 1e-3)
    self.assertLess(difference.max(), 1.)
    self.assertNotAllClose(joint.world_model.trainable_variables[0],
                           by_task.world_model.trainable_variables[0])

  def test_running_statistics_are_the_mean_over_the_tasks(self):
    agents = [make_agent('by_task', EfficientZero) for _ in range(4)]
    before = [v.numpy() for v in agents[0].world_model.non_trainable_variables]
    agents[0].train(batch(0))
    # A pass over the rows of one task alone, in the other agents.
    moved, stops = [], np.cumsum(QUOTAS)
    for agent, stop, count in zip(agents[1:], stops, QUOTAS):
      rows = agent._rows(batch(0), agent._targets(batch(0)),
                         agent.train_step_counter)
      agent._losses(tf.nest.map_structure(
          lambda x, a=stop - count, b=stop: x[a:b], rows))
      moved.append([
          count / sum(QUOTAS) * (v.numpy() - old) for v, old in zip(
              agent.world_model.non_trainable_variables, before)])
    self.assertNotEmpty(before)
    for variable, old, *changes in zip(
        agents[0].world_model.non_trainable_variables, before, *moved):
      self.assertAllClose(variable, old + sum(changes), rtol=1e-5, atol=1e-6)

  def test_plain_steps_are_the_same_in_both_forms(self):
    agents = [make_agent(form, EfficientZero) for form in ('joint', 'by_task')]
    for agent in agents:
      tf.function(agent.train, autograph=False)(batch(0, measuring=False))
    for one, other in zip(*(a.world_model.variables for a in agents)):
      self.assertAllClose(one, other, atol=1e-6)

  def test_non_finite_step_by_task_changes_nothing(self):
    agent = make_agent('by_task', EfficientZero)
    spoiled = batch(0)._replace(importance_weight=tf.constant(
        [1.] * (sum(QUOTAS) - 1) + [np.nan]))
    before = [v.numpy() for v in agent.world_model.variables]
    info = tf.function(agent.train, autograph=False)(spoiled)
    self.assertFalse(info.extra.finite)
    for old, variable in zip(before, agent.world_model.variables):
      self.assertAllEqual(old, variable)

  @parameterized.parameters('joint', 'by_task')
  def test_gradients_of_some_parts_are_compared(self, passes):
    """A slow twin: the cosine over these variables, by a tape a task."""
    parts = ('representation', 'dynamics')
    agent = make_agent(passes, FixedStatistics, parts)
    model = agent.world_model
    rows = agent._rows(batch(0), agent._targets(batch(0)),
                       agent.train_step_counter)
    agent.importance_weights.maximum.assign(tf.zeros([len(QUOTAS)]))
    variables = [v for part in parts
                 for v in getattr(model, part).trainable_variables]
    self.assertLess(len(variables), len(model.trainable_variables))
    vectors = []
    for stop, count in zip(np.cumsum(QUOTAS), QUOTAS):
      with tf.GradientTape() as tape:
        loss = tf.reduce_mean(agent._losses(rows)[0][stop - count:stop])
      found = tape.gradient(loss, variables)
      vectors.append(np.concatenate(
          [g.numpy().ravel() for g in found if g is not None]))
    expected = [v @ vectors[0] / np.linalg.norm(v) / np.linalg.norm(vectors[0])
                for v in vectors]
    found = agent.train(batch(0)).extra.cosine
    self.assertAllClose(found, expected, atol=1e-4)
    everything = make_agent(passes, FixedStatistics).train(batch(0))
    self.assertNotAllClose(found, everything.extra.cosine, atol=1e-3)

  def test_unknown_parts_are_named(self):
    with self.assertRaisesRegex(ValueError, "has no part 'reward'"):
      make_agent('joint', EfficientZero, ('reward',))

  def test_unknown_form_is_named(self):
    with self.assertRaisesRegex(UsageError, "passes is 'bytask'.*by_task"):
      TaskWeightSettings(passes='bytask')


if __name__ == '__main__':
  tf.test.main()
