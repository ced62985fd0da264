"""Targets against loops over hand-written episodes, at every offset."""

import dataclasses
from typing import Sequence

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.targets import StoredTargets, unroll_targets
from xtra_tf.types import SCALARS, Targets, Unroll

_ACTIONS = 3
_FINAL = ('terminal', 'life_loss')  # ends after which nothing follows


@dataclasses.dataclass(frozen=True)
class Segment:
  """T actions up to an end; state T is the last that is seen."""
  end: str  # 'terminal', 'life_loss', 'truncated' or 'cut'
  reward: np.ndarray  # [T]
  value: np.ndarray  # [T + 1] of the states
  visits: np.ndarray  # [T, A]
  searched: np.ndarray  # bool[T]

  @property
  def length(self):
    return len(self.reward)


def make_segment(end, length, seed=0):
  random = np.random.default_rng(seed)
  return Segment(end, random.normal(size=length),
                 random.normal(size=length + 1),
                 random.integers(1, 9, [length, _ACTIONS]),
                 random.random(length) < 0.8)


def window_of(segment, t, geometry):
  """Scalars [W, 8] and search [W, A] of the window at anchor t.

  Rows that belong to no state of the segment hold numbers that must not be
  read: NaN as values, and rewards as a no-op after a lost life would have.
  """
  rows = geometry.anchor + geometry.num_states
  scalars = np.zeros([rows, len(SCALARS)], np.float32)
  search = np.zeros([rows, _ACTIONS], np.float32)

  def put(row, name, x):
    scalars[row, SCALARS.index(name)] = x

  for row in range(rows):
    j = t + row - geometry.anchor  # index in the segment
    put(row, 'bootstrap_value', np.nan)
    if 0 <= j < segment.length:
      put(row, 'reward', segment.reward[j])
      put(row, 'real', 1.)
      put(row, 'has_search', segment.searched[j])
      put(row, 'bootstrap_value', segment.value[j])
      search[row] = segment.visits[j]  # `has_search` decides, not these
      if j == segment.length - 1 and segment.end != 'cut':
        put(row, segment.end, 1.)
    elif j == segment.length:
      put(row, 'reward', 7.)
      put(row, 'bootstrap_value', segment.value[j])
      put(row, 'has_search', 1.)
      search[row] = 5.
    elif j > segment.length:
      put(row, 'reward', 9.)
      put(row, 'terminal', 1.)
  return scalars, search


def batch_of(windows, geometry):
  """An Unroll of (segment, anchor) pairs."""
  scalars, search = zip(*[window_of(s, t, geometry) for s, t in windows])
  batch, rows = len(windows), geometry.anchor + geometry.num_states
  return Unroll(
      observation=tf.zeros([batch, rows, 2]),
      action=tf.zeros([batch, rows], tf.int32),
      search=tf.constant(np.stack(search)),
      scalars=tf.constant(np.stack(scalars)),
      position=tf.zeros([batch, rows, 3], tf.int64),
      task=tf.zeros([batch], tf.int32),
      legal_actions=tf.ones([batch, _ACTIONS], tf.bool),
      age=tf.zeros([batch]), importance_weight=tf.ones([batch]),
      offline_factor=tf.ones([batch]), measuring=tf.zeros([batch], tf.bool))


def naive_value(segment, s, n, discount):
  """Value target and mask of state s, step after step."""
  if s >= segment.length and segment.end in _FINAL:
    return 0., 1.
  if s > segment.length:
    return 0., 0.
  value, factor = 0., 1.
  for j in range(s, s + n):
    if j == segment.length:  # nothing is known beyond; nothing follows a final
      break
    value += factor * segment.reward[j]
    factor *= discount
  reached = min(s + n, segment.length)
  if reached < segment.length or segment.end not in _FINAL:
    value += factor * segment.value[reached]
  return value, 1.


def naive_targets(segment, t, n, geometry):
  """Targets of one window as lists, from the segment itself."""
  steps = range(geometry.unroll_steps + 1)
  values = [naive_value(segment, t + k, n, geometry.discount) for k in steps]
  acted = [t + k < segment.length for k in steps]
  searched = [a and bool(segment.searched[t + k])
              for k, a in zip(steps, acted)]
  return Targets(
      value=[v for v, _ in values],
      value_prefix=[sum(segment.reward[t:t + k]) for k in steps[1:]],
      policy=[segment.visits[t + k] / sum(segment.visits[t + k]) if s
              else np.zeros(_ACTIONS) for k, s in zip(steps, searched)],
      value_mask=[m for _, m in values],
      value_prefix_mask=[m for _, m in values[1:]],
      policy_mask=[float(s) for s in searched],
      consistency_mask=[float(a) for a in acted[:-1]])


class StoredTargetsTest(tf.test.TestCase, parameterized.TestCase):

  def assert_targets(self, found: Targets, expected: Sequence[Targets]):
    for name in Targets._fields:
      self.assertAllClose(
          getattr(found, name),
          np.array([getattr(e, name) for e in expected], np.float32),
          msg=name, atol=1e-5)

  @parameterized.product(
      end=('terminal', 'life_loss', 'truncated', 'cut'),
      lengths=((5, 5, 4), (5, 3, 1), (3, 5, 2), (2, 1, 1)))
  def test_agrees_with_loops_at_every_offset(self, end, lengths):
    unroll_steps, td_steps, stack = lengths
    geometry = unroll_targets.UnrollGeometry(stack, unroll_steps, td_steps, 0.9)
    # Long enough that the first windows lie inside of the segment.
    segment = make_segment(end, unroll_steps + td_steps + 4)
    anchors = range(segment.length)
    targets = StoredTargets(stack=stack, unroll_steps=unroll_steps,
                            td_steps=td_steps, discount=0.9)
    found = targets(batch_of([(segment, t) for t in anchors], geometry))
    self.assert_targets(
        found, [naive_targets(segment, t, td_steps, geometry)
                for t in anchors])

  @parameterized.named_parameters(
      # r = 1, 2, 4; v = 8, 16, 32, 64; g = 0.5; K = 2, n = 2, anchor at 1.
      ('terminal', 'terminal', [4., 4., 0.], [1., 1., 1.]),
      ('life_loss', 'life_loss', [4., 4., 0.], [1., 1., 1.]),
      ('truncated', 'truncated', [20., 36., 64.], [1., 1., 1.]),
      ('cut', 'cut', [20., 36., 64.], [1., 1., 1.]))
  def test_by_hand(self, end, value, mask):
    segment = Segment(end, np.array([1., 2., 4.]),
                      np.array([8., 16., 32., 64.]), np.ones([3, _ACTIONS]),
                      np.ones(3, bool))
    geometry = unroll_targets.UnrollGeometry(2, 2, 2, 0.5)
    targets = StoredTargets(stack=2, unroll_steps=2, td_steps=2, discount=0.5)
    found = targets(batch_of([(segment, 1)], geometry))
    self.assertAllClose(found.value, [value])
    self.assertAllClose(found.value_mask, [mask])
    self.assertAllClose(found.value_prefix, [[2., 6.]])
    self.assertAllClose(found.consistency_mask, [[1., 1.]])
    self.assertAllClose(found.policy_mask, [[1., 1., 0.]])

  def test_past_an_end_without_a_final_nothing_is_trained(self):
    geometry = unroll_targets.UnrollGeometry(2, 3, 2, 0.5)
    targets = StoredTargets(stack=2, unroll_steps=3, td_steps=2, discount=0.5)
    found = targets(batch_of([(make_segment('truncated', 3), 2)], geometry))
    self.assertAllEqual(found.value_mask, [[1., 1., 0., 0.]])
    self.assertAllEqual(found.value_prefix_mask, [[1., 0., 0.]])
    self.assertAllEqual(found.consistency_mask, [[1., 0., 0.]])

  def test_rows_after_an_end_are_another_life(self):
    """Even if they are real, no target reads them."""
    geometry = unroll_targets.UnrollGeometry(1, 3, 2, 0.5)
    targets = StoredTargets(stack=1, unroll_steps=3, td_steps=2, discount=0.5)
    batch = batch_of([(make_segment('life_loss', 3), 2)], geometry)
    scalars = batch.scalars.numpy()
    scalars[0, 1:, SCALARS.index('real')] = 1.
    scalars[0, 1:, SCALARS.index('bootstrap_value')] = 50.
    found = targets(batch._replace(scalars=tf.constant(scalars)))
    self.assert_targets(found, [tf.nest.map_structure(
        lambda x: x.numpy()[0], targets(batch))])

  def test_inside_of_a_long_segment_everything_is_trained(self):
    geometry = unroll_targets.UnrollGeometry(4, 5, 5, 0.9)
    segment = dataclasses.replace(make_segment('terminal', 30),
                                  searched=np.ones(30, bool))
    targets = StoredTargets(stack=4, unroll_steps=5, td_steps=5, discount=0.9)
    found = targets(batch_of([(segment, 10)], geometry))
    for name in ('value_mask', 'value_prefix_mask', 'policy_mask',
                 'consistency_mask'):
      self.assertAllEqual(getattr(found, name),
                          tf.ones_like(getattr(found, name)), msg=name)

  def test_traces_and_compiles(self):
    geometry = unroll_targets.UnrollGeometry(2, 3, 2, 0.5)
    targets = StoredTargets(stack=2, unroll_steps=3, td_steps=2, discount=0.5)
    batch = batch_of([(make_segment('cut', 4), 2)], geometry)
    compiled = tf.function(targets, autograph=False, jit_compile=True)
    for eager, other in zip(targets(batch), compiled(batch)):
      self.assertAllClose(eager, other)

  def test_other_windows_are_refused(self):
    geometry = unroll_targets.UnrollGeometry(2, 3, 2, 0.5)
    targets = StoredTargets(stack=4, unroll_steps=3, td_steps=2, discount=0.5)
    with self.assertRaisesRegex(
        ValueError, r'9 rows \(stack 4, 3 unroll steps, 2 bootstrap steps\), '
        'got 7'):
      targets(batch_of([(make_segment('cut', 4), 2)], geometry))

  @parameterized.named_parameters(
      ('stack', {'stack': 0}, '`stack` must be at least 1, got 0'),
      ('td', {'td_steps': 0}, '`td_steps` must be at least 1, got 0'),
      ('discount', {'discount': 1.5}, 'at most 1, got 1.5'))
  def test_impossible_numbers_are_refused(self, changes, message):
    settings = {'stack': 2, 'unroll_steps': 3, 'td_steps': 2, 'discount': 0.5}
    with self.assertRaisesRegex(UsageError, message):
      StoredTargets(**{**settings, **changes})


if __name__ == '__main__':
  tf.test.main()
