"""A share of the rows is reanalyzed, the rest keeps what was stored."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.planning import PriorPlanner
from xtra_tf.targets import ReanalyzedTargets, ReanalyzeRatios, StoredTargets
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.testing.training_batches import random_unroll
from xtra_tf.types import SCALARS

_STACK, _UNROLL, _TD, _ROWS = 2, 3, 2, 6
_ANCHOR = _STACK - 1
_GEOMETRY = {'stack': _STACK, 'unroll_steps': _UNROLL, 'td_steps': _TD,
             'discount': 0.9}


class CountingPlanner(PriorPlanner):
  """Remembers how many roots each search had."""

  def __init__(self):
    super().__init__(visits=10.)
    object.__setattr__(self, 'roots', [])  # It is frozen.

  def _search(self, root, legal_actions, noise_fraction, seed):
    self.roots.append(legal_actions.shape[0])
    return super()._search(root, legal_actions, noise_fraction, seed)


def make_batch(*, unsearched=(), ends=()):
  """Random windows of six rows.

  Args:
    unsearched: (row, state) pairs without a stored search.
    ends: (row, actions until the end, 'terminal', 'life_loss' or 'truncated').
  """
  batch = random_unroll([_ROWS], frame=(3,), stack=_STACK, unroll_steps=_UNROLL,
                        td_steps=_TD, seed=5)
  scalars, search = batch.scalars.numpy(), batch.search.numpy()
  random = np.random.default_rng(6)
  scalars[..., SCALARS.index('root_value')] = random.normal(
      size=scalars.shape[:2])

  def forget(row, states):
    scalars[row, states, SCALARS.index('has_search')] = 0.
    search[row, states] = 0.

  for row, steps, kind in ends:
    final = _ANCHOR + steps
    scalars[row, final:, SCALARS.index('real')] = 0.
    scalars[row, final:, SCALARS.index('reward')] = 0.
    scalars[row, final - 1, SCALARS.index(kind)] = 1.
    forget(row, slice(final, None))
  for row, state in unsearched:
    forget(row, _ANCHOR + state)
    # As the warm-up leaves it.
    scalars[row, _ANCHOR + state, SCALARS.index('root_value')] = 0.
  return batch._replace(scalars=tf.constant(scalars),
                        search=tf.constant(search))


class ReanalyzeRatioTest(tf.test.TestCase, parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = LinearWorldModel((_STACK * 3,), seed=0)

  def make(self, policy=1., value=1., **changes):
    self.planner = CountingPlanner()
    settings = {**_GEOMETRY, 'noise_fraction': 0., **changes}
    return ReanalyzedTargets(self.model, self.planner, **settings,
                             ratios=ReanalyzeRatios(policy, value))

  def targets(self, batch, *ratios, **changes):
    return self.make(*ratios, **changes)(batch)

  def stored(self, batch):
    """Targets of nothing but what is stored, with root values as values."""
    scalars = batch.scalars.numpy()
    scalars[..., SCALARS.index('bootstrap_value')] = scalars[
        ..., SCALARS.index('root_value')]
    return StoredTargets(**_GEOMETRY)(
        batch._replace(scalars=tf.constant(scalars)))

  @parameterized.parameters(
      (256, 0.99, 253), (256, 1., 256), (256, 0., 0), (6, 0.5, 3), (3, 0.3, 0))
  def test_rows_are_those_of_the_official_code(self, batch_size, ratio, rows):
    # `re_num = int(batch_size * ratio)`; the script's ratio is 0.99.
    self.assertEqual(ReanalyzeRatios(ratio, 0.5).rows(batch_size),
                     (rows, batch_size // 2))

  @parameterized.parameters((1., 24), (0.99, 20), (0.5, 12), (0.2, 4))
  def test_only_so_many_rows_are_searched(self, ratio, roots):
    self.targets(make_batch(unsearched=((4, 0),)), ratio)
    self.assertEqual(self.planner.roots, [roots])

  def test_without_a_row_there_is_no_search(self):
    batch = make_batch()
    found = self.targets(batch, 0.)
    self.assertEmpty(self.planner.roots)
    self.assertAllEqual(found.policy, self.stored(batch).policy)

  def test_the_first_rows_are_searched_the_others_stored(self):
    batch = make_batch(ends=((0, 2, 'terminal'), (4, 1, 'life_loss'),
                             (5, 2, 'truncated')))
    found, fresh, stored = (self.targets(batch, 0.5), self.targets(batch),
                            self.stored(batch))
    self.assertAllClose(found.policy[:3], fresh.policy[:3], atol=1e-6)
    self.assertAllClose(found.policy[3:], stored.policy[3:])
    self.assertNotAllClose(fresh.policy[3:], stored.policy[3:])
    self.assertAllEqual(found.policy_mask, fresh.policy_mask)
    for name in ('value', 'value_mask', 'value_prefix', 'value_prefix_mask',
                 'consistency_mask'):
      self.assertAllEqual(getattr(found, name), getattr(fresh, name), name)

  def test_rows_without_a_search_come_first(self):
    batch = make_batch(unsearched=((3, 0), (5, 2)), ends=((4, 2, 'terminal'),))
    found, fresh, stored = (self.targets(batch, 0.5), self.targets(batch),
                            self.stored(batch))
    # Rows 3 and 5 need it. Row 4 lacks a search past its end only, where there
    # is no target; so the third is the first of the others.
    for row in (0, 3, 5):
      self.assertAllClose(found.policy[row], fresh.policy[row], atol=1e-6)
    for row in (1, 2, 4):
      self.assertAllClose(found.policy[row], stored.policy[row])
    self.assertAllEqual(found.policy_mask, fresh.policy_mask)

  def test_a_surplus_without_a_search_has_no_policy_target(self):
    batch = make_batch(unsearched=((1, 0), (2, 1), (4, 3)))
    found = self.targets(batch, 2 / 6)
    expected = np.ones([_ROWS, _UNROLL + 1])
    expected[4, 3] = 0.
    self.assertAllEqual(found.policy_mask, expected)
    self.assertAllClose(tf.reduce_sum(found.policy, axis=-1), expected)

  def test_values_of_the_stored_searches(self):
    batch = make_batch(ends=((3, 1, 'truncated'), (4, 2, 'terminal'),
                             (5, 4, 'truncated')))
    found, fresh, stored = (self.targets(batch, 1., 0.5), self.targets(batch),
                            self.stored(batch))
    self.assertAllClose(found.value[:3], fresh.value[:3])
    # The final observation of a truncated game was searched as well.
    self.assertAllClose(found.value[3:], stored.value[3:])
    self.assertNotAllClose(fresh.value[3], stored.value[3])
    self.assertNotAllClose(fresh.value[5], stored.value[5])
    self.assertAllEqual(found.value_mask, fresh.value_mask)
    for name in ('policy', 'policy_mask', 'value_prefix'):
      self.assertAllEqual(getattr(found, name), getattr(fresh, name), name)

  def test_a_value_that_was_never_stored_is_the_networks(self):
    batch = make_batch(unsearched=((2, _TD), (3, _TD + 1)))
    found, fresh, stored = (self.targets(batch, 1., 0.), self.targets(batch),
                            self.stored(batch))
    # State k of row 2 bootstraps from state k + n.
    expected = stored.value.numpy()
    expected[2, 0], expected[3, 1] = fresh.value[2, 0], fresh.value[3, 1]
    self.assertAllClose(found.value, expected)
    self.assertNotAllClose(stored.value[2, 0], fresh.value[2, 0])

  def test_age_shortens_stored_horizons_too(self):
    batch = make_batch()._replace(age=tf.constant([0., 5., 0., 5., 0., 5.]))
    found = self.targets(batch, 1., 0., off_policy_interval=5.)
    reward = batch.scalars[..., SCALARS.index('reward')].numpy()
    value = batch.scalars[..., SCALARS.index('root_value')].numpy()
    for row, n in enumerate((2, 1) * 3):
      at = _ANCHOR + n
      self.assertAllClose(found.value[row, 0], sum(
          0.9**j * reward[row, _ANCHOR + j] for j in range(n))
                          + 0.9**n * value[row, at], rtol=1e-5)

  def test_full_ratios_trace_what_there_was_before(self):
    batch = make_batch(unsearched=((1, 0),))
    def operations(**ratios):
      traced = tf.function(self.make(**ratios), autograph=False)
      graph = traced.get_concrete_function(batch).graph
      return [op.type for op in graph.get_operations()]
    self.assertNotIn('TopKV2', operations())
    self.assertNotIn('TensorScatterUpdate', operations())
    self.assertIn('TopKV2', operations(policy=0.5))

  @parameterized.parameters(False, True)
  def test_traced_and_compiled_equal_eager(self, compiled):
    batch = make_batch(unsearched=((1, 0), (5, 3)),
                       ends=((2, 2, 'terminal'), (4, 3, 'truncated')))
    eager = self.targets(batch, 0.5, 0.4)
    traced = tf.function(self.make(0.5, 0.4), autograph=False,
                         jit_compile=compiled)(batch)
    for first, second in zip(eager, traced):
      self.assertAllClose(first, second, atol=1e-5)

  @parameterized.parameters('policy', 'value')
  def test_impossible_ratios_are_refused(self, name):
    for ratio in (-0.1, 1.5, float('nan')):
      with self.assertRaisesRegex(UsageError, f'{ratio} for `{name}`'):
        ReanalyzeRatios(**{name: ratio})


if __name__ == '__main__':
  tf.test.main()
