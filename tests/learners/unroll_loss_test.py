"""Tests of the unroll and its losses."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.learners import unroll_loss
from xtra_tf.learners.settings import LearnerSettings
from xtra_tf.numerics import observations
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.types import SCALARS

SEED = (1, 2)
PLAIN = LearnerSettings(stack=2, support=5, shift=0, intensity=0.)


class RecordingModel(LinearWorldModel):
  """Remembers the order of its calls."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self.calls = []

  def initial_inference(self, observation, training=False):
    self.calls.append(f'initial {training}')
    return super().initial_inference(observation, training)

  def recurrent_inference(self, state, action, training=False):
    self.calls.append(f'recurrent {training}')
    return super().recurrent_inference(state, action, training)

  def project(self, state, with_head, training=False):
    self.calls.append(f'project {with_head} {training}')
    return super().project(state, with_head, training)


def _two_hot(x, support):
  y = np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 0.001 * x
  row = np.zeros(2 * support + 1)
  low = int(np.floor(y))
  row[low + support] = 1 - (y - low)
  if y > low:
    row[low + 1 + support] = y - low
  return row


def _cross_entropy(target, logits):
  return -(target * (logits - np.log(np.exp(logits).sum()))).sum()


class UnrollLossTest(parameterized.TestCase, tf.test.TestCase):

  def _unroll(self, model, settings, batch, seed=SEED):
    views = unroll_loss.training_views(batch, settings, tf.constant(seed))
    action = batch.action[:, settings.stack - 1:]
    return unroll_loss.unroll_model(model, views, action, settings)

  def test_without_steps_the_root_alone_is_learned(self):
    settings = LearnerSettings(
        stack=2, support=5, unroll_steps=0, consistency_coefficient=0.)
    batch = training_batches.random_unroll((3,), unroll_steps=1)
    model = RecordingModel((8, 8, 2))
    targets = training_batches.random_targets(3, unroll_steps=0)
    views = unroll_loss.training_views(batch, settings, tf.constant(SEED))
    action = unroll_loss.training_actions(batch, settings, 3, tf.constant(SEED))
    self.assertEqual(action.shape, [3, 0])
    predicted = unroll_loss.unroll_model(model, views, action, settings)
    self.assertEqual(model.calls, ['initial True'])
    parts = unroll_loss.loss_parts(predicted, targets, 5)
    logits = predicted.outputs[0].policy_logits.numpy()
    self.assertAllClose(parts.policy, [
        _cross_entropy(target, row) for target, row in
        zip(targets.policy[:, 0].numpy(), logits)], rtol=1e-5)
    self.assertAllGreater(parts.value, 0.)
    self.assertAllEqual([parts.value_prefix, parts.consistency],
                        np.zeros([2, 3]))
    self.assertEqual(settings.loss_scale, 1.)

  def test_views_are_the_states_of_the_window(self):
    batch = training_batches.random_unroll((3,), frame=(8, 8, 3))
    views = unroll_loss.training_views(batch, PLAIN, tf.constant(SEED))
    expected = observations.window_stacks(batch.observation, 2, range(6))
    for found, wanted in zip([views.root, *views.future], expected):
      self.assertAllEqual(found, wanted)

  def test_future_views_share_one_draw(self):
    batch = training_batches.random_unroll((3,))
    still = tf.repeat(batch.observation[:, :1], batch.observation.shape[1], 1)
    settings = LearnerSettings(stack=2, shift=2, intensity=0.05)
    views = unroll_loss.training_views(
        batch._replace(observation=still), settings, tf.constant(SEED))
    for view in views.future[1:]:
      self.assertAllEqual(view, views.future[0])
    self.assertNotAllClose(views.root, views.future[0])

  def test_vectors_are_not_augmented(self):
    batch = training_batches.random_unroll((3,), frame=(4,))
    settings = LearnerSettings(stack=2, shift=2, intensity=0.5)
    views = unroll_loss.training_views(batch, settings, tf.constant(SEED))
    self.assertAllEqual(views.root,
                        tf.reshape(batch.observation[:, :2], [3, 8]))

  def test_actions_past_an_end_are_any_action(self):
    unroll = training_batches.random_unroll((64,))
    real = SCALARS.index('real')
    scalars = unroll.scalars.numpy()
    scalars[:, PLAIN.stack + 1:, real] = 0.  # two actions were played
    unroll = unroll._replace(scalars=tf.constant(scalars))
    actions = unroll_loss.training_actions(
        unroll, PLAIN, num_actions=7, seed=tf.constant(SEED)).numpy()
    first = PLAIN.stack - 1
    self.assertAllEqual(actions[:, :2], unroll.action[:, first:first + 2])
    self.assertEqual(set(actions[:, 2:].flatten()), set(range(7)))
    again = unroll_loss.training_actions(
        unroll, PLAIN, num_actions=7, seed=tf.constant(SEED)).numpy()
    self.assertAllEqual(actions, again)

  def test_actions_behind_a_truncation_are_random_although_real(self):
    unroll = training_batches.random_unroll((300,))
    first = PLAIN.stack - 1
    scalars = unroll.scalars.numpy()
    scalars[:, first + 1, SCALARS.index('truncated')] = 1.
    found = unroll_loss.training_actions(
        unroll._replace(scalars=tf.constant(scalars)), PLAIN, num_actions=7,
        seed=tf.constant(SEED)).numpy()
    self.assertAllEqual(found[:, :2], unroll.action[:, first:first + 2])
    self.assertEqual(set(found[:, 2:].flatten()), set(range(7)))

  def test_random_actions_are_those_that_the_model_knows(self):
    unroll = training_batches.random_unroll((300,))
    over = unroll._replace(scalars=tf.zeros_like(unroll.scalars))
    found = unroll_loss.training_actions(
        over, PLAIN, num_actions=7, seed=tf.constant(SEED),
        action_ids=(6, 0, 3)).numpy()
    # As a model of three actions has them, under their ids.
    native = unroll_loss.training_actions(
        over, PLAIN, num_actions=3, seed=tf.constant(SEED)).numpy()
    self.assertAllEqual(found, np.array([6, 0, 3])[native])

  def test_order_of_calls(self):
    model = RecordingModel((8, 8, 2))
    self._unroll(model, PLAIN, training_batches.random_unroll((4,)))
    step = ['recurrent True', 'initial True', 'project True True',
            'project False True']
    self.assertEqual(model.calls, ['initial True'] + 5 * step)

  def test_without_consistency_nothing_future_is_encoded(self):
    model = RecordingModel((8, 8, 2))
    settings = LearnerSettings(stack=2, support=5, consistency_coefficient=0.)
    output = self._unroll(model, settings, training_batches.random_unroll((4,)))
    self.assertEqual(model.calls, ['initial True'] + 5 * ['recurrent True'])
    parts = unroll_loss.loss_parts(
        output, training_batches.random_targets(4), 5)
    self.assertAllEqual(parts.consistency, np.zeros(4))

  def test_parts_equal_twin_with_masks(self):
    model = LinearWorldModel((8, 8, 2))
    output = self._unroll(model, PLAIN, training_batches.random_unroll((4,)))
    targets = training_batches.random_targets(4)
    random = np.random.default_rng(3)
    masks = {name: tf.constant(
        random.integers(0, 2, getattr(targets, name).shape), tf.float32)
             for name in ('value_mask', 'value_prefix_mask', 'policy_mask',
                          'consistency_mask')}
    targets = targets._replace(**masks)
    parts = unroll_loss.loss_parts(output, targets, 5)
    expected = np.zeros([4, 4])
    logits = [[np.asarray(x) for x in (o.value_logits, o.reward_logits,
                                       o.policy_logits)]
              for o in output.outputs]
    t = tf.nest.map_structure(np.asarray, targets)
    for b in range(4):
      for k in range(6):
        value, prefix, policy = [x[b] for x in logits[k]]
        expected[0, b] += t.value_mask[b, k] * _cross_entropy(
            _two_hot(t.value[b, k], 5), value)
        expected[2, b] += t.policy_mask[b, k] * _cross_entropy(
            t.policy[b, k], policy)
        if k:
          expected[1, b] += t.value_prefix_mask[b, k - 1] * _cross_entropy(
              _two_hot(t.value_prefix[b, k - 1], 5), prefix)
          expected[3, b] += (t.consistency_mask[b, k - 1]
                             * output.consistency[b, k - 1])
    self.assertAllClose(tf.stack(parts), expected, rtol=1e-5, atol=1e-5)

  def test_coefficients_are_the_papers(self):
    parts = unroll_loss.LossParts(*[tf.constant([10.**i]) for i in range(4)])
    self.assertAllClose(
        unroll_loss.weighted_sum(parts, PLAIN),
        [0.25 * 1. + 1. * 10. + 1. * 100. + 2. * 1000.])

  def test_no_gradient_through_the_encoded_future(self):
    # With the predicted states cut off, the encoder could only be reached
    # through the observations that they are compared with.
    model = LinearWorldModel((8, 8, 2), state_gradient_scale=0.)
    with tf.GradientTape() as tape:
      output = self._unroll(model, PLAIN, training_batches.random_unroll((4,)))
      loss = tf.reduce_sum(output.consistency)
    encoder, head = tape.gradient(loss, [model.encoder, model.projection_head])
    self.assertAllEqual(encoder, np.zeros(encoder.shape))
    self.assertGreater(tf.norm(head), 0.)


if __name__ == '__main__':
  tf.test.main()
