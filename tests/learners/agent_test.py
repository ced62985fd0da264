"""Tests of the agent: whole gradient steps on a small world model."""

import os

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.train import learner as tf_agents_learner
from tf_agents.trajectories import time_step as ts

from xtra_tf.errors import UsageError
from xtra_tf.learners import (
  LearnerSettings,
  TaskWeights,
  TaskWeightSettings,
  WorldModelAgent,
)
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.types import Targets

QUOTAS = (4, 2, 2)
BATCH = sum(QUOTAS)
SETTINGS = LearnerSettings(
    stack=2, support=5, shift=0, intensity=0., warmup_steps=0,
    learning_rate=0.1, target_update_period=2)
WINDOWS = TaskWeightSettings(start=1, period=6, window=2, threshold=1.)
SHAPE = (8, 8, 2)


def make_agent(targets, *, weighted=False, seed=0, quotas=QUOTAS,
               settings=SETTINGS, with_target=True):
  time_step_spec = ts.time_step_spec(
      tensor_spec.TensorSpec((8, 8, 1), tf.uint8))
  action_spec = tensor_spec.BoundedTensorSpec((), tf.int32, 0, 2)
  policy = random_tf_policy.RandomTFPolicy(time_step_spec, action_spec)
  return WorldModelAgent(
      time_step_spec, action_spec, policy, policy,
      LinearWorldModel(SHAPE, seed=seed), lambda unroll: targets,
      settings=settings, quotas=quotas,
      train_step=tf.Variable(0, dtype=tf.int64),
      target_world_model=(
          LinearWorldModel(SHAPE, seed=seed + 1) if with_target else None),
      task_weights=TaskWeights(WINDOWS, len(quotas)) if weighted else None)


def compiled(agent, **options):
  return tf.function(agent.train, autograph=False, **options)


def state_of(agent):
  """Every number that a step may change, but for the step counter."""
  return [v.numpy() for v in agent.variables
          if v is not agent.train_step_counter]


class AgentTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self._unroll = training_batches.random_unroll(QUOTAS)
    self._targets = training_batches.random_targets(BATCH)

  def assert_same_state(self, first, second, **tolerance):
    for one, other in zip(state_of(first), state_of(second), strict=True):
      self.assertAllClose(one, other, **tolerance)

  def test_loss_is_the_mean_over_all_rows(self):
    agent = make_agent(self._targets)
    factors = tf.constant([1.] * 4 + [0.5] * 2 + [0.25] * 2)
    info = agent.train(self._unroll._replace(offline_factor=factors))
    parts = info.extra.parts
    loss = (parts.value_prefix + 0.25 * parts.value + parts.policy
            + 2. * parts.consistency).numpy()
    raw = self._unroll.importance_weight.numpy()**0.4
    weight = np.concatenate(
        [rows / rows.max() for rows in np.split(raw, [4, 6])])
    self.assertAllClose(info.loss, np.mean(factors * weight * loss), rtol=1e-5)
    self.assertAllClose(
        info.extra.task_loss,
        [rows.mean() for rows in np.split(weight * loss, [4, 6])], rtol=1e-5)
    self.assertEqual(agent.train_step_counter, 1)

  def test_uneven_quotas_weigh_offline_tasks_alike(self):
    quotas = (4, 3, 1)
    unroll = training_batches.random_unroll(quotas)
    info = make_agent(self._targets, quotas=quotas).train(unroll)
    first, second, third = info.extra.task_loss.numpy()
    self.assertAllClose(
        info.loss, 0.5 * first + 0.5 * (second + third) / 2., rtol=1e-5)

  def test_tasks_drawn_at_random_weigh_by_their_rows(self):
    # Task 1 came twice and task 2 not at all; the factor says how often.
    unroll = self._unroll._replace(
        task=tf.constant([0] * 4 + [1] * 4),
        offline_factor=tf.constant([1.] * 4 + [2. * 0.25] * 4))
    info = make_agent(self._targets, weighted=True).train(unroll)
    first, second, third = info.extra.task_loss.numpy()
    self.assertAllClose(info.loss, 0.5 * first + 0.5 * 0.25 * second,
                        rtol=1e-5)
    self.assertEqual(third, 0.)

  def test_a_task_without_rows_is_not_measured(self):
    agent = make_agent(self._targets, weighted=True)
    agent.task_weights.measuring.assign(True)
    agent.train(self._unroll._replace(
        task=tf.constant([0] * 4 + [1] * 4), measuring=tf.ones([8], tf.bool)))
    self.assertAllEqual(agent.task_weights.absent, [0., 0., 1.])

  def test_agreement_is_of_the_policy_before_the_step(self):
    # The model's own first policies as targets: of one row reversed, so that
    # its best action is the target's worst, and one row without a target.
    agent = make_agent(self._targets)
    rows = agent._rows(self._unroll, self._targets, tf.constant(0, tf.int64))
    logits = agent.world_model.initial_inference(
        rows.views.root, training=True).policy_logits
    visits = tf.nn.softmax(logits).numpy()
    visits[1] = 1. / visits[1] / np.sum(1. / visits[1])
    policy = self._targets.policy.numpy()
    policy[:, 0] = visits
    mask = self._targets.policy_mask.numpy()
    mask[:, 0] = 1.
    mask[2, 0] = 0.
    targets = self._targets._replace(policy=tf.constant(policy),
                                     policy_mask=tf.constant(mask))
    legal = self._unroll.legal_actions.numpy()
    worst = np.argmax(visits[3])
    legal[3, worst] = False
    visits[3, worst] = 0.
    policy[3, 0] = visits[3] / visits[3].sum()
    targets = targets._replace(policy=tf.constant(policy))
    info = compiled(make_agent(targets))(
        self._unroll._replace(legal_actions=tf.constant(legal)))
    expected = np.ones(BATCH)
    expected[1], expected[2] = 0., np.nan
    self.assertAllClose(info.extra.agreement, expected)
    divergence = info.extra.divergence.numpy()
    self.assertGreater(divergence[1], 1e-3)
    self.assertTrue(np.isnan(divergence[2]))
    self.assertAllClose(np.delete(divergence, [1, 2]), np.zeros(BATCH - 2),
                        atol=1e-5)

  def test_one_task_alone(self):
    agent = make_agent(self._targets, quotas=(BATCH,), with_target=False)
    info = agent.train(training_batches.random_unroll((BATCH,)))
    self.assertAllClose(info.loss, info.extra.task_loss[0])
    self.assertTrue(info.extra.finite)

  def test_no_branch_is_traced_without_task_weights(self):
    for weighted, branches in ((False, 0), (True, 1)):
      agent = make_agent(self._targets, weighted=weighted)
      graph = compiled(agent).get_concrete_function(self._unroll).graph
      kinds = [op.type for op in graph.get_operations()]
      self.assertEqual(kinds.count('If') + kinds.count('StatelessIf'), branches)

  def test_priority_is_the_value_error_at_the_anchor(self):
    agent = make_agent(self._targets)
    batch = self._unroll.observation[:, :2]
    stacked = tf.concat([batch[:, 0], batch[:, 1]], axis=-1)
    value = agent.world_model.initial_inference(
        tf.cast(stacked, tf.float32) / 255., training=True).value
    info = agent.train(self._unroll)
    self.assertAllClose(info.extra.priority,
                        tf.abs(value - self._targets.value[:, 0]), rtol=1e-4)

  def test_measured_step_makes_the_plain_steps_update(self):
    factors = (1., 0.5, 0.)
    plain = make_agent(self._targets)
    measured = make_agent(self._targets, weighted=True)
    first = compiled(plain)(
        training_batches.random_unroll(QUOTAS, factors=factors))
    second = compiled(measured)(training_batches.random_unroll(
        QUOTAS, measuring=True, factors=factors))
    self.assertAllClose(first.loss, second.loss)
    self.assertAllClose(first.extra.gradient_norm, second.extra.gradient_norm)
    for one, other in zip(plain.world_model.variables,
                          measured.world_model.variables):
      self.assertAllClose(one, other, atol=1e-6)
    self.assertAllClose(second.extra.cosine[0], 1.)
    self.assertAllInRange(second.extra.cosine, -1.00001, 1.00001)
    self.assertTrue(np.isnan(first.extra.cosine).all())

  def test_weight_zero_removes_a_tasks_gradient(self):
    unroll = training_batches.random_unroll(QUOTAS, factors=(1., 1., 0.))
    other = training_batches.random_targets(BATCH, seed=5)
    changed = Targets(*[
        tf.concat([mine[:6], theirs[6:]], axis=0)
        for mine, theirs in zip(self._targets, other)])
    agents = [make_agent(self._targets), make_agent(changed)]
    infos = [agent.train(unroll) for agent in agents]
    self.assert_same_state(*agents, atol=1e-7)
    self.assertNotAllClose(infos[0].extra.task_loss[2],
                           infos[1].extra.task_loss[2])

  def test_actions_from_the_anchor_on_are_taken(self):
    # Row 0 of a stack of 2 is past, rows 1 to 5 lead to the unrolled states.
    losses = []
    for row in (None, 0, 1, 5, 6):
      action = self._unroll.action.numpy()
      if row is not None:
        action[:, row] = (action[:, row] + 1) % 3
      info = make_agent(self._targets).train(
          self._unroll._replace(action=tf.constant(action)))
      losses.append(float(info.loss))
    self.assertEqual([loss == losses[0] for loss in losses],
                     [True, True, False, False, True])

  def test_order_of_rows_does_not_matter(self):
    order = tf.constant([7, 0, 3, 6, 1, 5, 2, 4])

    def shuffle(nest):
      return tf.nest.map_structure(lambda x: tf.gather(x, order), nest)

    straight = make_agent(self._targets)
    shuffled = make_agent(shuffle(self._targets))
    straight.train(self._unroll)
    shuffled.train(shuffle(self._unroll))
    self.assert_same_state(straight, shuffled, atol=1e-5)

  def test_eager_and_xla_agree(self):
    settings = LearnerSettings(
        stack=2, support=5, shift=2, intensity=0.05, warmup_steps=0)
    unroll = training_batches.random_unroll(QUOTAS, measuring=True)
    agents = [make_agent(self._targets, weighted=True, settings=settings)
              for _ in range(2)]
    eager = agents[0].train(unroll)
    xla = compiled(agents[1], jit_compile=True)(unroll)
    self.assertAllClose(eager, xla, rtol=1e-4, atol=1e-4)
    self.assert_same_state(*agents, atol=1e-4)

  @parameterized.parameters(False, True)
  def test_non_finite_step_is_not_applied(self, measuring):
    spoiled = self._targets._replace(value=tf.tensor_scatter_nd_update(
        self._targets.value, [[5, 2]], [np.nan]))
    agent = make_agent(spoiled, weighted=True, with_target=False)
    agent.task_weights.measuring.assign(True)
    train = compiled(agent)
    model = [v.numpy() for v in agent.world_model.variables]
    info = train(training_batches.random_unroll(QUOTAS, measuring=measuring))
    self.assertFalse(info.extra.finite)
    self.assertTrue(np.isnan(info.loss))
    for before, after in zip(model, agent.world_model.variables):
      self.assertAllEqual(before, after)
    for velocity in agent.optimizer.velocity:
      self.assertAllEqual(velocity, tf.zeros_like(velocity))
    self.assertEqual(agent.task_weights.measured, 0.)

  def test_fixed_batch_is_learned(self):
    settings = LearnerSettings(
        stack=2, support=5, shift=1, intensity=0.01, warmup_steps=0,
        learning_rate=0.1)
    agent = make_agent(self._targets, settings=settings)
    train = compiled(agent)
    losses = [float(train(self._unroll).loss) for _ in range(150)]
    # The targets' own entropy stays, so that the loss does not reach 0.
    self.assertLess(np.mean(losses[-10:]), 0.5 * losses[0])

  def test_target_network_feeds_nothing_back(self):
    agent = make_agent(self._targets)
    initial = [v.numpy() for v in agent.world_model.variables]
    agent.train(self._unroll)
    target = agent.target_network._target  # pylint: disable=protected-access
    for before, copied in zip(initial, target.variables):
      self.assertAllEqual(before, copied)
    self.assertNotAllClose(agent.world_model.encoder, target.encoder)

  def test_mistakes_are_named(self):
    agent = make_agent(self._targets)
    with self.assertRaisesRegex(ValueError, 'batches of 8 rows, got a batch'):
      agent.train(training_batches.random_unroll((4, 2, 1)))
    short = self._unroll._replace(
        observation=self._unroll.observation[:, :6])
    with self.assertRaisesRegex(ValueError, 'at least 7 rows, got 6'):
      agent.train(short)
    with self.assertRaisesRegex(ValueError, '`weights` must be None'):
      agent.train(self._unroll, weights=tf.ones([8]))
    with self.assertRaisesRegex(ValueError, r'at least one row.*\(4, 0\)'):
      make_agent(self._targets, quotas=(4, 0))
    with self.assertRaisesRegex(UsageError, 'momentum is 1.0'):
      LearnerSettings(momentum=1.0)
    with self.assertRaisesRegex(UsageError, 'unroll_steps is -1'):
      LearnerSettings(unroll_steps=-1)
    with self.assertRaisesRegex(UsageError, 'clip_norm is nan'):
      LearnerSettings(clip_norm=float('nan'))
    with self.assertRaisesRegex(UsageError, 'shift is -4'):
      LearnerSettings(shift=-4)


class LearnerCheckpointTest(tf.test.TestCase):
  """TF-Agents' Learner drives the agent and brings all of it back."""

  def _learner(self, directory, agent, measuring):
    unroll = training_batches.random_unroll(QUOTAS, measuring=measuring)

    def dataset():
      return tf.data.Dataset.from_tensors((unroll, ())).repeat()

    return tf_agents_learner.Learner(
        directory, agent.train_step_counter, agent, dataset,
        checkpoint_interval=3, summary_interval=0,
        run_optimizer_variable_init=False)

  def test_everything_is_in_the_checkpoint(self):
    directory = self.create_tempdir().full_path
    targets = training_batches.random_targets(BATCH)
    agent = make_agent(targets, weighted=True)
    loss = self._learner(directory, agent, True).run(iterations=3)
    self.assertTrue(loss.extra.finite)
    self.assertEqual(agent.train_step_counter, 3)
    # Steps 1 and 2 were the window, without a hit: 1 / 3.
    self.assertAllClose(agent.task_weights.weights, [1., 0.33, 0.33])
    self.assertFalse(agent.task_weights.measuring.numpy())

    other = make_agent(targets, weighted=True, seed=7)
    self._learner(directory, other, True)
    self.assertEqual(other.train_step_counter, 3)
    for one, restored in zip(state_of(agent), state_of(other), strict=True):
      self.assertAllEqual(one, restored)

    saved = dict(tf.train.list_variables(os.path.join(
        directory, 'train', 'checkpoints')))
    value = '/.ATTRIBUTES/VARIABLE_VALUE'
    for path in ('agent/world_model/encoder', 'train_step',
                 'agent/world_model/norm/running_mean',
                 'agent/optimizer/velocity/0',
                 'agent/target_network/_snapshot/0',
                 'agent/target_network/_target/encoder',
                 'agent/importance_weights/maximum',
                 'agent/task_weights/weights', 'agent/task_weights/evidence',
                 'agent/task_weights/measured',
                 'agent/task_weights/measuring'):
      self.assertIn(path + value, saved)


if __name__ == '__main__':
  tf.test.main()
