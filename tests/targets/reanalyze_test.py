"""Reanalyzed targets against one state at a time, in NumPy and by the model."""

import os

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.numerics import observations
from xtra_tf.planning import PriorPlanner
from xtra_tf.targets import ReanalyzedTargets, StoredTargets, TargetsByRows
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.testing.training_batches import random_unroll
from xtra_tf.types import SCALARS

_STACK, _UNROLL, _TD = 2, 3, 4
_DISCOUNT = 0.9
_GEOMETRY = {'stack': _STACK, 'unroll_steps': _UNROLL, 'td_steps': _TD,
             'discount': _DISCOUNT}
_FRAME = (3,)


class CountingWorldModel(LinearWorldModel):
  """Remembers how many rows each initial inference had."""

  def initial_inference(self, observation, training=False):
    self.encoded = [*getattr(self, 'encoded', []), observation.shape[0]]
    return super().initial_inference(observation, training=training)


def make_batch(ages=(0., 0.), *, ends=()):
  """Random windows; `ends` has (row, actions until a terminal)."""
  batch = random_unroll(
      [len(ages)], frame=_FRAME, stack=_STACK, unroll_steps=_UNROLL,
      td_steps=_TD, seed=3)
  scalars = batch.scalars.numpy()
  for row, steps in ends:
    scalars[row, _STACK - 1 + steps:, SCALARS.index('real')] = 0.
    scalars[row, _STACK - 2 + steps, SCALARS.index('terminal')] = 1.
  return batch._replace(scalars=tf.constant(scalars),
                        age=tf.constant(ages, tf.float32))


def legal(*rows):
  return tf.constant(rows, tf.bool)


def naive_values(batch, model, td_steps):
  """<float32>[B, K + 1], one state after the other."""
  reward = batch.scalars.numpy()[..., SCALARS.index('reward')]
  values = np.zeros([len(td_steps), _UNROLL + 1])
  for b, n in enumerate(td_steps):
    for k in range(_UNROLL + 1):
      row = _STACK - 1 + k
      for j in range(n):
        values[b, k] += _DISCOUNT**j * reward[b, row + j]
      frames = batch.observation[b:b + 1, row + n - _STACK + 1:row + n + 1]
      output = model.initial_inference(observations.stack_frames(frames))
      values[b, k] += _DISCOUNT**n * float(output.value[0])
  return values


class ReanalyzedTargetsTest(tf.test.TestCase, parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = LinearWorldModel((_STACK * _FRAME[0],), seed=0)

  def make(self, **changes):
    settings = {**_GEOMETRY, 'noise_fraction': 0., **changes}
    return ReanalyzedTargets(self.model, PriorPlanner(visits=10.), **settings)

  @parameterized.named_parameters(
      ('fixed_data', None, (4, 4, 4, 4)), ('by_age', 30_000., (4, 4, 3, 1)))
  def test_values_take_n_by_age(self, interval, td_steps):
    batch = make_batch((0., 29_999., 30_000., 1e6))
    found = self.make(off_policy_interval=interval)(batch)
    self.assertAllClose(found.value,
                        naive_values(batch, self.model, td_steps), atol=1e-5)
    self.assertAllEqual(found.value_mask, np.ones([4, _UNROLL + 1]))

  def test_policies_are_searches_of_each_state(self):
    batch = make_batch()
    found = self.make()(batch)
    for k in range(_UNROLL + 1):
      stacked = observations.stack_frames(batch.observation[:, k:k + _STACK])
      root = self.model.initial_inference(stacked)
      self.assertAllClose(found.policy[:, k],
                          tf.nn.softmax(root.policy_logits), atol=1e-6)

  def test_each_row_has_its_legal_actions(self):
    masks = legal([True, False, True], [False, True, True])
    batch = make_batch()._replace(legal_actions=masks)
    policy = self.make(noise_fraction=0.5)(batch).policy
    for b in range(2):
      for k in range(_UNROLL + 1):
        self.assertAllEqual(policy[b, k] > 0., masks[b])
    self.assertAllClose(tf.reduce_sum(policy, axis=-1), np.ones([2, 4]))

  def test_a_terminal_ends_all_targets(self):
    batch = make_batch(ends=((1, 2),))
    found = self.make()(batch)
    reward = batch.scalars.numpy()[1, 1:3, SCALARS.index('reward')]
    self.assertAllClose(found.value[1], [
        reward[0] + _DISCOUNT * reward[1], reward[1], 0., 0.])
    self.assertAllEqual(found.value_mask[1], [1., 1., 1., 1.])
    self.assertAllEqual(found.policy_mask, [[1.] * 4, [1., 1., 0., 0.]])
    self.assertAllEqual(found.policy[1, 2:], np.zeros([2, 3]))
    self.assertAllEqual(found.consistency_mask, [[1.] * 3, [1., 1., 0.]])

  def test_each_state_is_encoded_once(self):
    model = CountingWorldModel((_STACK * _FRAME[0],), seed=0)
    planner = PriorPlanner(visits=10.)
    ReanalyzedTargets(model, planner, **_GEOMETRY)(make_batch())
    self.assertEqual(list(model.encoded), [2 * (_UNROLL + _TD + 1)])

  def test_noise_differs_from_call_to_call_and_is_the_seeds(self):
    batch = make_batch()
    first, same = (self.make(noise_fraction=0.5, seed=4) for _ in range(2))
    other = self.make(noise_fraction=0.5, seed=5)
    calls = [first(batch).policy for _ in range(2)]
    self.assertNotAllClose(calls[0], calls[1])
    for policy in calls:
      self.assertAllEqual(policy, same(batch).policy)
    self.assertNotAllClose(calls[0], other(batch).policy)

  def test_noise_goes_on_after_a_checkpoint(self):
    batch = make_batch()
    path = os.path.join(self.create_tempdir().full_path, 'targets')
    def both():
      # As the agent holds them: together with functions that have no state.
      return TargetsByRows([(0, 1, StoredTargets(**_GEOMETRY)),
                            (1, 2, self.make(noise_fraction=0.5))])
    first, resumed = both(), both()
    first(batch)
    tf.train.Checkpoint(targets=first).write(path)
    tf.train.Checkpoint(targets=resumed).read(path).assert_consumed()
    self.assertAllEqual(first(batch).policy, resumed(batch).policy)

  def test_no_gradient_flows_and_nothing_is_learned(self):
    before = [v.numpy() for v in self.model.variables]
    with tf.GradientTape() as tape:
      found = self.make()(make_batch())
      loss = tf.reduce_sum(found.value) + tf.reduce_sum(found.policy**2)
    self.assertEqual(set(tape.gradient(loss, self.model.trainable_variables)),
                     {None})
    for variable, value in zip(self.model.variables, before):
      self.assertAllEqual(variable, value)

  def test_traced_equals_eager(self):
    batch = make_batch(ends=((1, 2),))
    traced = tf.function(self.make(), autograph=False)
    for eager, other in zip(self.make()(batch), traced(batch)):
      self.assertAllClose(eager, other, atol=1e-5)

  @parameterized.named_parameters(
      ('horizon', {'unroll_steps': 6},
       '`unroll_steps` is 6, but the value prefix of linear_world_model '
       'starts anew after 5'),
      ('noise', {'noise_fraction': 1.5}, r'in 0..1, got 1.5'),
      ('interval', {'off_policy_interval': 0.},
       '`off_policy_interval` must be above 0, or None, got 0.0'))
  def test_impossible_numbers_are_refused(self, changes, message):
    with self.assertRaisesRegex(UsageError, message):
      self.make(**changes)

  def test_other_windows_are_refused(self):
    with self.assertRaisesRegex(ValueError, '10 rows .*, got 9'):
      self.make(td_steps=5)(make_batch())


if __name__ == '__main__':
  tf.test.main()
