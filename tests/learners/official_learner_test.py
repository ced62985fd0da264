"""Switches of the learner: value scaling, loss reduction, gradient clamp."""

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
from xtra_tf.learners.momentum_sgd import MomentumSgd
from xtra_tf.learners.train_step import GradientStep, TaskLosses
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel

_PLAIN = {'stack': 2, 'support': 5, 'shift': 0, 'intensity': 0.,
          'warmup_steps': 0, 'learning_rate': 0.1}


def _agent(targets, quotas, settings, task_weights=None):
  specs = ts.time_step_spec(tensor_spec.TensorSpec((8, 8, 1), tf.uint8))
  actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, 2)
  policy = random_tf_policy.RandomTFPolicy(specs, actions)
  return WorldModelAgent(
      specs, actions, policy, policy, LinearWorldModel((8, 8, 2)),
      lambda _: targets, settings=LearnerSettings(**{**_PLAIN, **settings}),
      quotas=quotas, train_step=tf.Variable(0, dtype=tf.int64),
      task_weights=task_weights)


class ValueScalingTest(parameterized.TestCase, tf.test.TestCase):

  def _parts(self, targets, **settings):
    unroll = training_batches.random_unroll((4,))
    return _agent(targets, (4,), settings).train(unroll).extra.parts

  @parameterized.parameters((1., False), (-1., True))
  def test_negative_targets_alone_differ(self, sign, differs):
    targets = training_batches.random_targets(4)
    targets = targets._replace(
        value=sign * (1. + tf.abs(targets.value)),
        value_prefix=sign * (1. + tf.abs(targets.value_prefix)))
    odd = self._parts(targets)
    xtra = self._parts(targets, value_scaling='xtra')
    for name in ('value', 'value_prefix'):
      one, other = getattr(odd, name), getattr(xtra, name)
      self.assertEqual(bool(tf.reduce_any(one != other)), differs, name)
    self.assertAllEqual(odd.policy, xtra.policy)
    self.assertAllEqual(odd.consistency, xtra.consistency)

  @parameterized.parameters(
      ('value_scaling', 'even', "value_scaling is 'even'. "),
      ('loss_reduction', 'batch_sum', "loss_reduction is 'batch_sum'. Did you"))
  def test_refused(self, name, value, message):
    with self.assertRaisesRegex(UsageError, f'LearnerSettings.{message}'):
      LearnerSettings(**{name: value})


class LossReductionTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters((4, 2, 2), (4, 3, 1))
  def test_sum_of_the_tasks_means(self, *quotas):
    targets = training_batches.random_targets(sum(quotas))
    factors = (1., 0.5, 0.25)
    unroll = training_batches.random_unroll(quotas, factors=factors)
    mean = _agent(targets, quotas, {}).train(unroll)
    total = _agent(targets, quotas,
                   {'loss_reduction': 'per_task_sum'}).train(unroll)
    each = total.extra.task_loss.numpy()
    self.assertAllClose(total.loss, np.dot(factors, each), rtol=1e-5)
    # The mean over the rows gives the target half and each other a quarter.
    self.assertAllClose(
        mean.loss, np.dot([.5, .25 * .5, .25 * .25], each), rtol=1e-5)
    self.assertAllClose(mean.extra.task_loss, each, rtol=1e-5)

  def test_one_task_has_one_loss(self):
    targets = training_batches.random_targets(4)
    unroll = training_batches.random_unroll((4,))
    losses = [_agent(targets, (4,), {'loss_reduction': form}).train(unroll).loss
              for form in ('batch_mean', 'per_task_sum')]
    self.assertAllEqual(*losses)


class GradientClampTest(parameterized.TestCase, tf.test.TestCase):

  def _step(self, slopes, clamp, measured=True):
    weights = tf.Variable([1., 2.])
    step = GradientStep(
        [weights], [], MomentumSgd([weights], momentum=0., weight_decay=0.),
        loss_scale=1., clip_norm=1000., measurement_clamp=clamp)
    def losses():
      return TaskLosses(tf.linalg.matvec(tf.constant(slopes), weights), ())
    result = tf.function(
        lambda: step(losses, tf.constant([1., 1.]), tf.constant(1.),
                     tf.constant(measured)), autograph=False)()
    return result, weights.numpy()

  @parameterized.parameters([[[20., 5.], [1., 1.]]], [[[1., 1.], [20., 5.]]])
  def test_clamps_what_is_compared_and_not_what_is_applied(self, slopes):
    plain, moved = self._step(slopes, None)
    clamped, moved_too = self._step(slopes, 5.)
    self.assertAllClose(plain.cosine[1], 25. / (np.hypot(20., 5.) * 2**.5))
    # (5, 5) points where (1, 1) does.
    self.assertAllClose(clamped.cosine[1], 1.)
    self.assertAllEqual(moved, moved_too)
    for name in ('gradient_norm', 'task_gradient_norm', 'loss'):
      self.assertAllEqual(getattr(plain, name), getattr(clamped, name))

  def test_small_gradients_are_as_they_were(self):
    slopes = [[3., 4.], [4., -1.]]
    self.assertAllEqual(self._step(slopes, None)[0].cosine,
                        self._step(slopes, 5.)[0].cosine)

  def test_the_setting_reaches_the_measurement(self):
    targets = training_batches.random_targets(4)
    targets = targets._replace(value=1000. * targets.value)
    unroll = training_batches.random_unroll((2, 2), measuring=True)
    cosines = []
    for clamp in (None, 1e-6):
      weights = TaskWeights(TaskWeightSettings(gradient_clamp=clamp), 2)
      cosines.append(_agent(targets, (2, 2), {}, weights).train(
          unroll).extra.cosine[1].numpy())
    self.assertNotAllClose(*cosines)

  @parameterized.parameters(0., -5., float('nan'))
  def test_refused(self, clamp):
    with self.assertRaisesRegex(
        UsageError, rf'gradient_clamp is {clamp}\. Expected more than 0, or'):
      TaskWeightSettings(gradient_clamp=clamp)


if __name__ == '__main__':
  tf.test.main()
