"""Tests of the few lines that an evaluation is told in."""

from absl.testing import absltest

from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.evaluation.summary import summarize


def _record(task, returns, seeds=None, truncated=()):
  count = len(returns)
  return ResultRecord(
      run='r', stage='student', task=task, step=5, env_steps=0, profile='fixed',
      codec='lossless', seeds=seeds or tuple(range(count)), returns=returns,
      lengths=(1000,) * count,
      truncated=tuple(i in truncated for i in range(count)), seconds=125.)


class SummaryTest(absltest.TestCase):

  def test_alien(self):
    rows = dict(summarize(_record('Alien', (500., 700., 1000., 7800.),
                                  truncated=(1,))))
    self.assertEqual(rows['Mean score'], '2,500.0')
    self.assertEqual(rows['Median'], '850.0')
    self.assertEqual(rows['Lowest to highest'], '500.0 to 7,800.0')
    self.assertEqual(rows['Random play'], '227.8')
    self.assertEqual(rows['Human'], '7,127.7')
    # (2500 - 227.8) / (7127.7 - 227.8)
    self.assertEqual(rows['Human-normalised score'], '0.329')
    self.assertEqual(rows['Games'], '4, seeds 0..3, 1 truncated')
    self.assertEqual(rows['Agent steps'], '4,000')
    self.assertEqual(rows['Wall clock'], '2 min 05 s')
    low, high = (float(x.replace(',', '')) for x in
                 rows['95 % interval over games'].split(' to '))
    self.assertBetween(low, 500, 2500)
    self.assertBetween(high, 2500, 7800)

  def test_too_few_games_have_no_interval(self):
    rows = dict(summarize(_record('Alien', (1., 2.))))
    self.assertEqual(rows['95 % interval over games'], 'too few games')

  def test_a_game_without_reference_scores(self):
    rows = dict(summarize(_record('Carnival', (1., 2., 3.))))
    self.assertEqual(rows['Random play'], '–')
    self.assertEqual(rows['Human'], '–')
    self.assertEqual(rows['Human-normalised score'], '–')

  def test_a_tiny_task_has_a_scripted_player(self):
    self.assertIn('Scripted player',
                  dict(summarize(_record('tiny:catch', (1., 2., 3.)))))

  def test_starts_that_were_drawn_again_are_named(self):
    rows = dict(summarize(_record('Freeway', (1., 2., 3.),
                                  seeds=(0, 1_000_001, 2))))
    self.assertIn('seeds 0..2 (among them 1000001 for', rows['Games'])


if __name__ == '__main__':
  absltest.main()
