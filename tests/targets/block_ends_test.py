"""Block ends that act as terminals, against the official recipe in loops."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.targets import StoredTargets, unroll_targets
from xtra_tf.types import SCALARS, Targets, Unroll

_ACTIONS = 3
_LENGTH = 17  # actions of the life


def life(seed=0):
  """Rewards [T], values [T + 1] and visits [T, A] of a life."""
  random = np.random.default_rng(seed)
  return (random.normal(size=_LENGTH), random.normal(size=_LENGTH + 1),
          random.integers(1, 9, [_LENGTH, _ACTIONS]))


def windows(numbers, block_length, geometry):
  """An Unroll of the windows at every anchor, as ReplayWriter makes them."""
  rewards, values, visits = numbers
  rows = geometry.anchor + geometry.num_states
  scalars = np.zeros([_LENGTH, rows, len(SCALARS)], np.float32)
  search = np.zeros([_LENGTH, rows, _ACTIONS], np.float32)
  for t in range(_LENGTH):
    for row in range(rows):
      j = t + row - geometry.anchor
      if 0 <= j < _LENGTH:
        last = j == _LENGTH - 1
        block_ends = block_length and (j + 1) % block_length == 0 and not last
        said = {'reward': rewards[j], 'terminal': last, 'real': 1.,
                'truncated': block_ends, 'bootstrap_value': values[j],
                'has_search': 1.}
        scalars[t, row] = [said.get(name, 0.) for name in SCALARS]
        search[t, row] = visits[j]
  return Unroll(
      observation=tf.zeros([_LENGTH, rows, 2]),
      action=tf.zeros([_LENGTH, rows], tf.int32), search=tf.constant(search),
      scalars=tf.constant(scalars),
      position=tf.zeros([_LENGTH, rows, 3], tf.int64),
      task=tf.zeros([_LENGTH], tf.int32),
      legal_actions=tf.ones([_LENGTH, _ACTIONS], tf.bool),
      age=tf.zeros([_LENGTH]), importance_weight=tf.ones([_LENGTH]),
      offline_factor=tf.ones([_LENGTH]),
      measuring=tf.zeros([_LENGTH], tf.bool))


def official_targets(numbers, block_length, t, geometry):
  """Targets of anchor t from its block and the rewards padded to it.

  EfficientZero core/reanalyze_worker.py (`_prepare_reward_value`): a block
  knows its own T actions; rewards of its successor are padded to it.
  """
  rewards, values, visits = numbers
  start = t // block_length * block_length
  own = min(block_length, _LENGTH - start)  # T
  place, n = t - start, geometry.td_steps
  found = {name: [] for name in Targets._fields}
  for k in range(geometry.unroll_steps + 1):
    inside = place + k < own
    value = 0.
    if inside:
      following = rewards[t + k:t + k + n]
      value = sum(geometry.discount**j * r for j, r in enumerate(following))
      if place + k + n < own:
        value += geometry.discount**n * values[t + k + n]
    found['value'].append(value)
    found['value_mask'].append(1.)
    found['policy'].append(
        visits[t + k] / visits[t + k].sum() if inside else np.zeros(_ACTIONS))
    found['policy_mask'].append(float(inside))
    if k:
      found['value_prefix'].append(
          sum(rewards[t + j] for j in range(k) if place + j < own))
      found['value_prefix_mask'].append(1.)
      found['consistency_mask'].append(float(place + k - 1 < own))
  return Targets(**found)


class BlockEndsTest(parameterized.TestCase, tf.test.TestCase):

  def _targets(self, geometry):
    return StoredTargets(
        stack=geometry.stack, unroll_steps=geometry.unroll_steps,
        td_steps=geometry.td_steps, discount=geometry.discount)

  @parameterized.product(
      block_length=(1, 4, 8, 16, _LENGTH, 100),
      lengths=((5, 5, 4), (3, 5, 2), (5, 1, 1)))
  def test_ends_are_terminals_as_in_the_official_code(self, block_length,
                                                      lengths):
    unroll_steps, td_steps, stack = lengths
    geometry = unroll_targets.UnrollGeometry(stack, unroll_steps, td_steps, 0.9)
    found = self._targets(geometry)(windows(life(), block_length, geometry))
    expected = [official_targets(life(), block_length, t, geometry)
                for t in range(_LENGTH)]
    for name in Targets._fields:
      self.assertAllClose(
          getattr(found, name),
          np.array([getattr(e, name) for e in expected], np.float32),
          msg=name, atol=1e-5)

  def test_without_blocks_the_continuation_is_used(self):
    geometry = unroll_targets.UnrollGeometry(1, 2, 2, 0.5)
    rewards, values, _ = life()
    # Block ends after actions 3, 7, ...; anchor 2 is two actions from one.
    plain, cut = (self._targets(geometry)(windows(life(), length, geometry))
                  for length in (0, 4))
    real = rewards[2] + 0.5 * rewards[3] + 0.25 * values[4]
    self.assertAllClose(plain.value[2, 0], real)
    self.assertAllClose(cut.value[2, 0], real - 0.25 * values[4])
    self.assertAllClose(
        plain.value[2, 2], rewards[4] + 0.5 * rewards[5] + 0.25 * values[6])
    self.assertEqual(cut.value[2, 2], 0.)
    self.assertAllEqual(cut.value_mask[2], [1., 1., 1.])  # trained all the same
    self.assertAllEqual(cut.policy_mask[2], [1., 1., 0.])

  def test_compiles(self):
    geometry = unroll_targets.UnrollGeometry(2, 3, 2, 0.5)
    targets, batch = self._targets(geometry), windows(life(), 4, geometry)
    compiled = tf.function(targets, autograph=False, jit_compile=True)
    for eager, other in zip(targets(batch), compiled(batch)):
      self.assertAllClose(eager, other)


if __name__ == '__main__':
  tf.test.main()
