"""Targets as the official codes have them, against loops over one segment."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.planning import PriorPlanner
from xtra_tf.targets import (
  ReanalyzedTargets,
  StoredTargets,
  TargetSettings,
)
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.types import SCALARS, Targets, Unroll

_K, _N, _DISCOUNT, _ACTIONS = 3, 2, 0.5, 2


def _batch(end, length, rng_seed=0):
  """All windows of a segment of `length` actions, one row an anchor.

  Rows behind the end hold numbers that no target may read.
  """
  random = np.random.default_rng(rng_seed)
  reward = random.normal(size=length).astype('f')
  root, boot = random.normal(size=[2, length + 1]).astype('f')
  rows = _K + 1 + _N
  scalars = np.zeros([length, rows, len(SCALARS)], 'f')
  for t in range(length):
    for j in range(rows):
      row, s = dict.fromkeys(SCALARS, 0.), t + j
      if s < length:
        row.update(reward=reward[s], real=1., has_search=1.,
                   **({end: 1.} if s == length - 1 and end != 'cut' else {}))
      row.update(root_value=root[s] if s <= length else np.nan,
                 bootstrap_value=boot[s] if s <= length else np.nan)
      scalars[t, j] = [row[name] for name in SCALARS]
  unroll = Unroll(
      observation=tf.zeros([length, rows, 4]),
      action=tf.zeros([length, rows], tf.int32),
      search=tf.ones([length, rows, _ACTIONS]), scalars=tf.constant(scalars),
      position=tf.zeros([length, rows, 3], tf.int64),
      task=tf.zeros([length], tf.int32),
      legal_actions=tf.ones([length, _ACTIONS], tf.bool),
      age=tf.zeros([length]), importance_weight=tf.ones([length]),
      offline_factor=tf.ones([length]), measuring=tf.zeros([length], tf.bool))
  return unroll, reward, root, boot


def _stored(unroll, **settings) -> Targets:
  targets = StoredTargets(stack=1, unroll_steps=_K, td_steps=_N,
                          discount=_DISCOUNT,
                          settings=TargetSettings(**settings))(unroll)
  return tf.nest.map_structure(lambda x: x.numpy(), targets)


def _return(reward, s):
  return sum(_DISCOUNT**i * r for i, r in enumerate(reward[s:s + _N]))


class RootValueFormTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.product(end=('terminal', 'life_loss'), length=(1, 2, 6))
  def test_official_loop(self, end, length):
    unroll, reward, root, _ = _batch(end, length)
    found = _stored(unroll, stored_value='root_value')
    for t in range(length):
      for k in range(_K + 1):
        s = t + k
        wanted = root[s] + _return(reward, s) if s < length else 0.
        self.assertAllClose(found.value[t, k], wanted, atol=1e-6)

  def test_the_next_rewards_are_counted_twice(self):
    """With true root values the error is what the rewards are worth."""
    unroll, reward, _, _ = _batch('terminal', 8)
    true = np.array([sum(_DISCOUNT**i * r for i, r in enumerate(reward[s:]))
                     for s in range(9)], 'f')
    scalars = unroll.scalars.numpy()
    for t in range(8):
      for j in range(min(scalars.shape[1], 9 - t)):
        for name in ('root_value', 'bootstrap_value'):
          scalars[t, j, SCALARS.index(name)] = true[t + j]
    unroll = unroll._replace(scalars=tf.constant(scalars))
    right = _stored(unroll)
    double = _stored(unroll, stored_value='root_value')
    self.assertAllClose(right.value[0], true[:_K + 1], atol=1e-6)
    self.assertAllClose(
        double.value[0] - right.value[0],
        [_return(reward, k) for k in range(_K + 1)], atol=1e-6)

  def test_before_a_truncation_the_last_state_has_its_value(self):
    unroll, reward, root, _ = _batch('truncated', 2)
    found = _stored(unroll, stored_value='root_value')
    self.assertAllClose(
        found.value[0],
        [root[0] + _return(reward, 0), root[1] + reward[1], root[2], 0.])
    self.assertAllEqual(found.value_mask[0], [1., 1., 1., 0.])

  def test_only_values_change(self):
    unroll, _, _, _ = _batch('life_loss', 5)
    one, other = _stored(unroll), _stored(unroll, stored_value='root_value')
    self.assertNotAllClose(one.value, other.value)
    for name in set(Targets._fields) - {'value'}:
      self.assertAllEqual(getattr(one, name), getattr(other, name))


class PastTheEndTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.parameters('terminal', 'life_loss')
  def test_masks(self, end):
    unroll, _, _, _ = _batch(end, 4)
    absorbing = _stored(unroll)
    masked = _stored(unroll, past_the_end='masked')
    self.assertAllEqual(absorbing.value_mask, np.ones([4, _K + 1]))
    for t in range(4):
      for k in range(_K + 1):
        # EfficientZero multiplies step k by [t + k - 1 < T], and k = 0 never.
        inside = float(k == 0 or t + k - 1 < 4)
        self.assertEqual(masked.value_mask[t, k], inside)
        if k:
          self.assertEqual(masked.value_prefix_mask[t, k - 1], inside)
          self.assertEqual(masked.consistency_mask[t, k - 1], inside)
        self.assertEqual(masked.policy_mask[t, k], float(t + k < 4))
    for name in ('value', 'value_prefix', 'policy', 'policy_mask',
                 'consistency_mask'):
      self.assertAllEqual(getattr(masked, name), getattr(absorbing, name))

  @parameterized.parameters('truncated', 'cut')
  def test_ends_that_are_not_final_were_masked_already(self, end):
    unroll, _, _, _ = _batch(end, 4)
    one, other = _stored(unroll), _stored(unroll, past_the_end='masked')
    for name in Targets._fields:
      self.assertAllEqual(getattr(one, name), getattr(other, name))


class TruncationTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.parameters({}, {'past_the_end': 'masked'},
                            {'stored_value': 'root_value'})
  def test_like_a_game_over(self, **settings):
    truncated, _, _, _ = _batch('truncated', 5)
    terminal, _, _, _ = _batch('terminal', 5)
    found = _stored(truncated, truncation='terminal', **settings)
    wanted = _stored(terminal, **settings)
    for name in Targets._fields:
      self.assertAllEqual(getattr(found, name), getattr(wanted, name))
    self.assertNotAllClose(found.value, _stored(truncated, **settings).value)

  def test_true_ends_do_not_change(self):
    for end in ('terminal', 'life_loss'):
      unroll, _, _, _ = _batch(end, 5)
      one, other = _stored(unroll), _stored(unroll, truncation='terminal')
      for name in Targets._fields:
        self.assertAllEqual(getattr(one, name), getattr(other, name))

  def test_inside_of_a_segment_nothing_changes(self):
    unroll, _, _, _ = _batch('truncated', 20)
    inside = tf.nest.map_structure(lambda x: x[:10], unroll)
    for settings in ({'truncation': 'terminal'}, {'past_the_end': 'masked'}):
      one, other = _stored(inside), _stored(inside, **settings)
      for name in Targets._fields:
        self.assertAllEqual(getattr(one, name), getattr(other, name))

  def test_reanalyzed_targets_have_the_settings_too(self):
    unroll, _, _, _ = _batch('truncated', 5)
    model = LinearWorldModel((4,), num_actions=_ACTIONS)
    def found(**settings):
      return ReanalyzedTargets(
          model, PriorPlanner(visits=10.), stack=1, unroll_steps=_K,
          td_steps=_N, discount=_DISCOUNT,
          settings=TargetSettings(**settings))(unroll)
    self.assertAllEqual(found().value_mask[-1], [1., 1., 0., 0.])
    self.assertAllEqual(found(truncation='terminal').value_mask[-1],
                        [1., 1., 1., 1.])
    self.assertAllEqual(
        found(truncation='terminal', past_the_end='masked').value_mask[-1],
        [1., 1., 0., 0.])


class TargetSettingsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ('past_the_end', 'mask', "past_the_end is 'mask'. Did you mean masked"),
      ('truncation', True, 'truncation is True. Known are: bootstrap, term'),
      ('stored_value', 'root', "stored_value is 'root'. Known are: boot"))
  def test_refused(self, name, value, message):
    with self.assertRaisesRegex(UsageError, f'TargetSettings.{message}'):
      TargetSettings(**{name: value})

  def test_block_ends_keep_their_rewards_as_terminals(self):
    """A truncated row with a real one behind it is a block's end."""
    unroll, reward, root, _ = _batch('terminal', 8)
    scalars = unroll.scalars.numpy()
    scalars[0, 1, SCALARS.index('truncated')] = 1.
    unroll = unroll._replace(scalars=tf.constant(scalars))
    for truncation in ('bootstrap', 'terminal'):
      found = _stored(unroll, truncation=truncation, stored_value='root_value')
      self.assertAllClose(
          found.value[0], [root[0] + _return(reward, 0),
                           root[1] + _return(reward, 1), 0., 0.], atol=1e-6)
      found = _stored(unroll, truncation=truncation)
      self.assertAllClose(found.value[0], [
          _return(reward, 0), _return(reward, 1), 0., 0.], atol=1e-6)


if __name__ == '__main__':
  tf.test.main()
