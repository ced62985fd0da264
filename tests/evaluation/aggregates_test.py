"""Tests of aggregates; tests/acceptance holds them to the paper's own."""

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.evaluation import aggregates


class AggregatesTest(parameterized.TestCase):

  def test_random_is_zero_and_human_is_one(self):
    np.testing.assert_array_equal(
        aggregates.human_normalised([-20.7, 14.6], -20.7, 14.6), [0., 1.])

  def test_no_scale_between_equal_references(self):
    with self.assertRaisesRegex(ValueError, 'equals the random score'):
      aggregates.human_normalised([1.], [3.], [3.])

  @parameterized.parameters(1, 3, 4, 7, 8, 21)
  def test_interquartile_mean_against_slow_twin(self, count):
    values = list(np.random.default_rng(count).normal(size=count))
    middle = sorted(values)
    for _ in range(count // 4):
      middle.remove(max(middle))
      middle.remove(min(middle))
    self.assertAlmostEqual(aggregates.interquartile_mean(values),
                           sum(middle) / len(middle))

  def test_interval_is_a_function_of_its_seed(self):
    scores = np.random.default_rng(0).normal(size=[5, 4])
    first = aggregates.bootstrap_interval(scores, np.mean, 3)
    self.assertEqual(first, aggregates.bootstrap_interval(scores, np.mean, 3))
    self.assertNotEqual(first,
                        aggregates.bootstrap_interval(scores, np.mean, 4))

  def test_interval_against_slow_twin(self):
    scores = np.random.default_rng(1).normal(size=[4, 3])
    found = aggregates.bootstrap_interval(scores, np.mean, 7, resamples=50,
                                          confidence=0.8)
    random = np.random.default_rng(7)
    draws = []
    for _ in range(50):
      rows = random.integers(4, size=[4, 3])
      total = 0.
      for run in range(4):
        for game in range(3):
          total += scores[rows[run, game], game]
      draws.append(total / 12)
    self.assertAlmostEqual(found.low, np.percentile(draws, 10))
    self.assertAlmostEqual(found.high, np.percentile(draws, 90))

  def test_equal_scores_leave_no_doubt(self):
    found = aggregates.bootstrap_interval([2.] * 3, np.median, 0)
    self.assertEqual(found, (2., 2., 2.))

  def test_interval_covers_the_mean_about_as_often_as_it_says(self):
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
      low, high = aggregates.bootstrap_interval(
          random.normal(size=30), np.mean, trial, resamples=200)[1:]
      covered += low <= 0 <= high
    self.assertBetween(covered, 86, 100)

  def test_two_rows_make_no_interval(self):
    with self.assertRaisesRegex(ValueError, 'at least 3 rows, got 2'):
      aggregates.bootstrap_interval([1., 2.], np.mean, 0)


if __name__ == '__main__':
  absltest.main()
