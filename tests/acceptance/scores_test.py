"""Acceptance check 15: printed aggregates come out of the printed scores.

By the functions and the file that the report is made with.
"""

import types

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.evaluation import aggregates, comparison, reference_scores

_STATISTICS = {'mean': np.mean, 'median': np.median}
_TABLE_1 = reference_scores.XTRA_TABLE_1
_TABLE_2 = reference_scores.XTRA_TABLE_2
# Two decimals were printed, rounded or cut (0.795 became 0.79).
_DELTA = 0.0067


def _printed(table, group, method, statistic):
  found = [row.value for row in reference_scores.table(table)
           if (row.group, row.method, row.statistic) == (
               group, method, statistic)]
  assert len(found) == 1, found
  return found[0]


def _improvement(method, group=None):
  """Score by score of EfficientZero's in the XTRA paper, table 1."""
  games = reference_scores.games(_TABLE_1, group)
  return aggregates.improvement(*(
      [reference_scores.score(_TABLE_1, game, who) for game in games]
      for who in (method, 'EfficientZero')))


class SimilarGamesTest(parameterized.TestCase):
  """Table 1 of the XTRA paper: 5 shooters, 5 mazes, 8 methods."""

  @parameterized.product(group=('Shooter', 'Maze', 'Overall'),
                         statistic=tuple(_STATISTICS))
  def test_15_improvement_over_efficientzero(self, group, statistic):
    methods = reference_scores.methods(_TABLE_1)
    self.assertLen(methods, 8)
    for method in methods:
      ratios = _improvement(method, None if group == 'Overall' else group)
      self.assertLen(ratios, 10 if group == 'Overall' else 5)
      self.assertAlmostEqual(
          float(_STATISTICS[statistic](ratios)),
          _printed(_TABLE_1, group, method, f'{statistic}_improvement'),
          delta=_DELTA, msg=f'{group} {method}')

  def test_15_ratios_of_every_game(self):
    np.testing.assert_allclose(_improvement('XTRA', 'Shooter'),
                               [1.26, 1.28, 1.71, 1.23, 1.33], atol=0.0051)
    np.testing.assert_allclose(_improvement('XTRA', 'Maze'),
                               [1.37, 0.82, 1.24, 1.14, 0.95], atol=0.0051)

  def test_15_claims_of_the_text(self):
    # XTRA, abstract and section 4: 23 % on average (25 % median), up to 71 %,
    # and 343 % without task weights.
    ratios = _improvement('XTRA')
    self.assertAlmostEqual(np.mean(ratios), 1.23, delta=_DELTA)
    self.assertAlmostEqual(np.median(ratios), 1.25, delta=_DELTA)
    self.assertAlmostEqual(np.max(ratios), 1.71, delta=_DELTA)
    unweighted = _improvement('XTRA without task weights')
    self.assertAlmostEqual(np.max(unweighted) - 1., 3.43, delta=_DELTA)


class DiverseGamesTest(parameterized.TestCase):
  """Table 2 of the XTRA paper, and EfficientZero's own 26 games."""

  @parameterized.parameters(*_STATISTICS)
  def test_15_human_normalised(self, statistic):
    games = reference_scores.games(_TABLE_2)
    self.assertLen(games, 5)
    references = [[reference_scores.score(_TABLE_2, g, who) for g in games]
                  for who in ('random', 'human')]
    for method in reference_scores.methods(_TABLE_2):
      normalised = aggregates.human_normalised(
          [reference_scores.score(_TABLE_2, g, method) for g in games],
          *references)
      self.assertAlmostEqual(
          float(_STATISTICS[statistic](normalised)),
          _printed(_TABLE_2, 'Diverse', method,
                   f'{statistic}_human_normalised'), delta=_DELTA, msg=method)

  @parameterized.parameters(
      ('finetune', 'XTRA', (2.925, 0.352, 0.322, 5.750, 0.016), 1.873, 0.352),
      ('scratch', 'EfficientZero', (2.003, 0.331, 0.278, 3.808, 0.025), 1.289,
       0.331))
  def test_15_a_reports_own_numbers(self, stage, method, expected, mean,
                                    median):
    normalised = []
    for game in reference_scores.games(_TABLE_2):
      printed = reference_scores.score(_TABLE_2, game, method)
      run = types.SimpleNamespace(
          target=game, sources=('Carnival', 'Riverraid'),
          final_result=lambda kind, score=printed: types.SimpleNamespace(
              returns=(score,), seeds=(0,)))
      found = comparison.compare(run)
      self.assertEqual(found.paper_table, _TABLE_2)
      self.assertEqual(found.method(stage).paper, printed)
      normalised.append(found.method(stage).human_normalised)
    np.testing.assert_allclose(normalised, expected, atol=6e-4)
    self.assertAlmostEqual(np.mean(normalised), mean, delta=6e-4)
    self.assertAlmostEqual(np.median(normalised), median, delta=6e-4)

  @parameterized.parameters(*_STATISTICS)
  def test_15_published_efficientzero(self, statistic):
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


if __name__ == '__main__':
  absltest.main()
