"""Tests of aggregates, with the paper's own aggregates as reference."""

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.evaluation import aggregates, reference_scores

_STATISTICS = {'mean': np.mean, 'median': np.median}


def _printed(table, group, method, statistic):
  found = [row.value for row in reference_scores.table(table)
           if (row.group, row.method, row.statistic) == (
               group, method, statistic)]
  assert len(found) == 1, found
  return found[0]


class PaperTest(parameterized.TestCase):
  """The printed aggregates come out of the printed scores."""

  @parameterized.parameters(
      (group, statistic) for group in ('Shooter', 'Maze', 'Overall')
      for statistic in _STATISTICS)
  def test_table_1_improvement_over_efficientzero(self, group, statistic):
    table = reference_scores.XTRA_TABLE_1
    games = reference_scores.games(
        table, None if group == 'Overall' else group)
    self.assertLen(games, 10 if group == 'Overall' else 5)
    baseline = [reference_scores.score(table, g, 'EfficientZero')
                for g in games]
    methods = reference_scores.methods(table)
    self.assertLen(methods, 8)
    for method in methods:
      ratios = aggregates.improvement(
          [reference_scores.score(table, g, method) for g in games], baseline)
      # Two decimals were printed, rounded or cut (0.795 became 0.79).
      self.assertAlmostEqual(
          float(_STATISTICS[statistic](ratios)),
          _printed(table, group, method, f'{statistic}_improvement'),
          delta=0.0067, msg=f'{group} {method}')

  @parameterized.parameters(*_STATISTICS)
  def test_table_2_human_normalised(self, statistic):
    table = reference_scores.XTRA_TABLE_2
    games = reference_scores.games(table)
    self.assertLen(games, 5)
    references = [[reference_scores.score(table, g, who) for g in games]
                  for who in ('random', 'human')]
    for method in reference_scores.methods(table):
      normalised = aggregates.human_normalised(
          [reference_scores.score(table, g, method) for g in games],
          *references)
      self.assertAlmostEqual(
          float(_STATISTICS[statistic](normalised)),
          _printed(table, 'Diverse', method,
                   f'{statistic}_human_normalised'), delta=0.0067, msg=method)

  def test_table_2_to_three_digits(self):
    table = reference_scores.XTRA_TABLE_2
    games = reference_scores.games(table)
    normalised = aggregates.human_normalised(
        *([reference_scores.score(table, g, who) for g in games]
          for who in ('XTRA', 'random', 'human')))
    np.testing.assert_allclose(
        normalised, [2.925, 0.352, 0.322, 5.750, 0.016], atol=6e-4)

  @parameterized.parameters(*_STATISTICS)
  def test_published_efficientzero(self, statistic):
    table = reference_scores.EFFICIENTZERO_PUBLISHED
    games = reference_scores.games(table)
    self.assertLen(games, 26)
    normalised = aggregates.human_normalised(
        [reference_scores.score(table, g, 'EfficientZero') for g in games],
        *([reference_scores.score(reference_scores.RANDOM_HUMAN, g, who)
           for g in games] for who in ('random', 'human')))
    self.assertAlmostEqual(
        float(_STATISTICS[statistic](normalised)),
        _printed(table, 'Atari 100k', 'EfficientZero',
                 f'{statistic}_human_normalised'), delta=6e-4)


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
