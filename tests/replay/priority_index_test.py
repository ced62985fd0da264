"""The index's law of drawing, by enumeration and against NumPy's."""

import collections
import itertools

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.replay.priority_index import PriorityIndex


def index_of(weights):
  index = PriorityIndex()
  index.set(np.arange(len(weights)), np.array(weights, float))
  return index


class PriorityIndexTest(parameterized.TestCase):

  @parameterized.parameters(1, 5, 1024, 5000)
  def test_a_draw_of_all_is_a_permutation(self, size):
    random = np.random.default_rng(0)
    index = index_of(random.uniform(0.1, 5., size))
    drawn = index.draw(size, random)
    np.testing.assert_array_equal(np.sort(drawn), np.arange(size))

  def test_putting_one_by_one_leaves_what_setting_all_leaves(self):
    random = np.random.default_rng(5)
    weights = random.uniform(0., 5., 3000)
    index = PriorityIndex()
    for slot in random.permutation(3000).tolist():
      index.put(slot, weights[slot])
    index.put(7, 2.5)
    weights[7] = 2.5
    whole = index_of(weights)
    self.assertEqual(index.total, whole.total)
    np.testing.assert_array_equal(
        index.draw(500, np.random.default_rng(6)),
        whole.draw(500, np.random.default_rng(6)))
    for weight in (-1., float('nan'), float('inf')):
      with self.assertRaisesRegex(ValueError, 'finite and 0 or more'):
        index.put(0, weight)

  def test_no_slot_twice_however_uneven_the_weights(self):
    random = np.random.default_rng(1)
    weights = 10. ** random.uniform(-6, 6, 3000)
    index = index_of(weights)
    for _ in range(20):
      drawn = index.draw(256, random)
      self.assertLen(set(drawn.tolist()), 256)

  def test_law_of_ordered_pairs(self):
    weights = np.array([1., 2., 4., 0., 8.])
    index, random, total = index_of(weights), np.random.default_rng(2), 15.
    draws = 20_000
    seen = collections.Counter(
        tuple(index.draw(2, random)) for _ in range(draws))
    for first, second in itertools.permutations(range(5), 2):
      p, q = weights[first] / total, weights[second]
      expected = p * q / (total - weights[first])
      # Five standard deviations.
      bound = 5. * np.sqrt(expected * (1. - expected) / draws)
      self.assertAlmostEqual(seen[first, second] / draws, expected,
                             delta=bound or 0.)

  def test_shares_are_those_of_numpy(self):
    weights = np.random.default_rng(3).uniform(0.01, 1., 40)**3
    probability = weights / weights.sum()
    index, random = index_of(weights), np.random.default_rng(4)
    ours, theirs, draws = np.zeros(40), np.zeros(40), 4000
    for _ in range(draws):
      ours[index.draw(12, random)] += 1
      theirs[random.choice(40, 12, replace=False, p=probability)] += 1
    # Five standard deviations of a difference of two shares.
    share = np.maximum(theirs, 1.) / draws
    np.testing.assert_array_less(
        np.abs(ours - theirs) / draws,
        5. * np.sqrt(2. * share * (1. - share) / draws) + 5. / draws)

  def test_a_draw_leaves_weights_and_sums_as_they_were(self):
    random = np.random.default_rng(5)
    weights = random.uniform(size=777)
    index = index_of(weights)
    before = index.total
    for count in (1, 100, 777):
      index.draw(count, random)
      self.assertEqual(index.total, before)
      np.testing.assert_array_equal(index.weights(np.arange(777)), weights)
    with self.assertRaises(ValueError):
      index.draw(778, random)
    np.testing.assert_array_equal(index.weights(np.arange(777)), weights)

  def test_sums_do_not_drift(self):
    random = np.random.default_rng(6)
    index, weights = PriorityIndex(), np.zeros(2000)
    for _ in range(300):
      slots = random.integers(0, 2000, 64)
      new = 10. ** random.uniform(-6, 6, 64)
      index.set(slots, new)
      weights[slots] = new
    index.set(np.arange(2000), np.full(2000, 1e-3))
    self.assertAlmostEqual(index.total, 2., places=12)
    index.set(np.arange(2000), weights)
    np.testing.assert_allclose(index.total, weights.sum(), rtol=1e-14)

  def test_equal_seeds_draw_the_same(self):
    index = index_of(np.random.default_rng(7).uniform(size=500))
    first = index.draw(50, np.random.default_rng([3, 1]))
    np.testing.assert_array_equal(
        index.draw(50, np.random.default_rng([3, 1])), first)
    self.assertFalse(np.array_equal(
        index.draw(50, np.random.default_rng([3, 2])), first))

  def test_grows_and_unknown_slots_weigh_nothing(self):
    index = PriorityIndex()
    for slot in range(3000):
      index.set(np.array([slot]), np.array([1.]))
    self.assertEqual(index.total, 3000.)
    np.testing.assert_array_equal(
        index.weights(np.array([0, 2999, 3000, 10**7])), [1., 1., 0., 0.])

  def test_of_a_slot_named_twice_the_last_weight_counts(self):
    index = PriorityIndex()
    index.set(np.array([4, 4]), np.array([1., 3.]))
    self.assertEqual(index.total, 3.)

  def test_too_few(self):
    with self.assertRaisesRegex(
        ValueError, 'draw 3 slots: only 2 have a weight above 0'):
      index_of([1., 0., 2.]).draw(3, np.random.default_rng(0))

  @parameterized.parameters(-1., float('nan'), float('inf'))
  def test_impossible_weights(self, weight):
    with self.assertRaisesRegex(ValueError, f'got .*{weight}'):
      index_of([1., weight])


if __name__ == '__main__':
  absltest.main()
