"""Every number of the gradient step arrives where it is used."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.learners import LearnerSettings, WorldModelAgent, unroll_loss
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel

_ROWS = 4
_SHAPE = (8, 8, 2)
# Nothing is at its default; the warm-up ends between the second and the third
# step, and the stairs of the rate come right behind it.
_SETTINGS = {
    'stack': 2, 'support': 5, 'shift': 0, 'intensity': 0.,
    'value_prefix_coefficient': 0.7, 'value_coefficient': 0.4,
    'policy_coefficient': 1.3, 'consistency_coefficient': 1.6,
    'gradient_scale': 0.3, 'weight_decay': 0.02, 'momentum': 0.6,
    'learning_rate': 0.1, 'warmup_steps': 2, 'decay_rate': 0.5,
    'decay_steps': 1, 'importance_initial': 0.3, 'importance_final': 0.9,
    'importance_steps': 2, 'importance_decay': 0., 'target_update_period': 2}
_RATES = (0., 0.05, 0.1, 0.05)
_EXPONENTS = (0.3, 0.6, 0.9, 0.9)


def make_agent(settings, targets):
  specs = ts.time_step_spec(tensor_spec.TensorSpec((8, 8, 1), tf.uint8))
  actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, 2)
  policy = random_tf_policy.RandomTFPolicy(specs, actions)
  online, target = (LinearWorldModel(_SHAPE, seed=seed) for seed in (0, 1))
  return WorldModelAgent(
      specs, actions, policy, policy, online, lambda _: targets(target),
      settings=settings, quotas=(_ROWS,),
      train_step=tf.Variable(0, dtype=tf.int64), target_world_model=target)


class AgentSettingsTest(parameterized.TestCase, tf.test.TestCase):

  def gradient(self, agent, unroll, targets, settings, exponent):
    """Of the weighted loss, before scale and clipping; changes nothing."""
    model = agent.world_model
    before = [v.numpy() for v in model.variables]
    with tf.GradientTape() as tape:
      views = unroll_loss.training_views(unroll, settings, tf.constant([0, 0]))
      predicted = unroll_loss.unroll_model(
          model, views, unroll.action[:, 1:6], settings)
      parts = unroll_loss.loss_parts(predicted, targets, settings.support)
      loss = (settings.value_prefix_coefficient * parts.value_prefix
              + settings.value_coefficient * parts.value
              + settings.policy_coefficient * parts.policy
              + settings.consistency_coefficient * parts.consistency)
      weight = unroll.importance_weight**exponent
      loss = tf.reduce_mean(weight / tf.reduce_max(weight) * loss)
    found = [g.numpy() for g in
             tape.gradient(loss, model.trainable_variables)]
    for variable, value in zip(model.variables, before):
      variable.assign(value)
    return found

  @parameterized.named_parameters(('clipped', 0.05), ('unclipped', 1e3))
  def test_four_steps_equal_torchs_by_hand(self, clip_norm):
    # EfficientZero core/train.py:30-42 and `update_weights`: scale, clip, L2,
    # momentum, step, in this order.
    settings = LearnerSettings(**_SETTINGS, clip_norm=clip_norm)
    unroll = training_batches.random_unroll((_ROWS,))
    targets = training_batches.random_targets(_ROWS)
    agent = make_agent(settings, lambda _: targets)
    variables = agent.world_model.trainable_variables
    velocity = [np.zeros(v.shape, np.float32) for v in variables]
    for rate, exponent in zip(_RATES, _EXPONENTS):
      scaled = [settings.gradient_scale * g for g in self.gradient(
          agent, unroll, targets, settings, exponent)]
      norm = np.sqrt(sum((g**2).sum() for g in scaled))
      self.assertEqual(norm > clip_norm, clip_norm == 0.05)
      shrink = min(1., clip_norm / norm)
      weights = [v.numpy() for v in variables]
      velocity = [settings.momentum * v + shrink * g
                  + settings.weight_decay * w
                  for v, g, w in zip(velocity, scaled, weights)]
      info = agent.train(unroll)
      self.assertAllClose(info.extra.gradient_norm, norm, rtol=1e-4)
      for variable, w, v in zip(variables, weights, velocity):
        self.assertAllClose(variable, w - rate * v, rtol=1e-4, atol=1e-6)

  def test_targets_are_made_by_the_network_that_is_due(self):
    seen = []

    def targets(target):
      seen.append(target.encoder.numpy())
      return training_batches.random_targets(_ROWS)

    agent = make_agent(
        LearnerSettings(**{**_SETTINGS, 'warmup_steps': 0}), targets)
    online = []
    for _ in range(5):
      online.append(agent.world_model.encoder.numpy())
      agent.train(training_batches.random_unroll((_ROWS,)))
    # Period 2: the snapshot of step 0, published again, then that of step 2.
    for found, step in zip(seen, (0, 0, 0, 0, 2)):
      self.assertAllEqual(found, online[step])
    self.assertNotAllEqual(online[0], online[2])


  def test_every_step_draws_its_augmentation_anew(self):
    agent = make_agent(LearnerSettings(**_SETTINGS),
                       lambda _: training_batches.random_targets(_ROWS))
    with mock.patch.object(unroll_loss, 'training_views',
                           wraps=unroll_loss.training_views) as views:
      for _ in range(3):
        agent.train(training_batches.random_unroll((_ROWS,)))
    seeds = [tuple(call.args[2].numpy()) for call in views.call_args_list]
    self.assertLen(set(seeds), 3)


if __name__ == '__main__':
  tf.test.main()
