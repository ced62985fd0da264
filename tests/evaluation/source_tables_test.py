"""Tests of the tables of the source tasks, on an invented run."""

import dataclasses

from absl.testing import absltest
import numpy as np

from tests.evaluation import synthetic_run
from xtra_tf.evaluation import run_files, source_figures, source_tables
from xtra_tf.evaluation.run_files import StageFiles

_TASK = 'DemonAttack'


class SourceTablesTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = absltest.get_default_test_tmpdir() + '/source_tables'
    synthetic_run.write_run(cls.root)
    cls.run_files = run_files.read_run(cls.root)

  def only(self, **scores):
    """The run with scores of some models on one task, one game a number."""
    base = self.run_files.source_result('teacher', _TASK)
    return dataclasses.replace(self.run_files, source_results=tuple(
        dataclasses.replace(
            base, stage=kind, seeds=range(len(returns)), returns=returns,
            lengths=[9] * len(returns), truncated=[False] * len(returns))
        for kind, returns in scores.items()))

  def test_change_pairs_games_of_equal_starts(self):
    run = self.only(student=[10., 20., 30., 40.],
                    finetune=[9., 18., 28., 39., 1000.])
    row, other = source_tables.scores(run).rows
    self.assertEqual(row[:4], [_TASK, '152.1', '213.0', 'not evaluated'])
    self.assertStartsWith(row[4], '25.0 (')
    self.assertEndsWith(row[4], ', 4 games)')
    self.assertStartsWith(row[6], '-1.5 (')
    self.assertEqual(row[7], '1,971.0')
    self.assertEqual(other[3:7], ['not evaluated'] * 3 + ['–'])

  def test_few_games_have_no_interval(self):
    row, _ = source_tables.scores(self.only(
        teacher=[3., 5.], student=[1.], finetune=[2.])).rows
    self.assertEqual(row[3:7], ['4.0 (2 games)', '1.0 (1 game)',
                                '2.0 (1 game)', '–'])

  def test_return_of_data_of_an_earlier_version_is_that_of_its_games(self):
    run = self.run_files
    teacher = run.stage('teacher', _TASK)
    facts = {k: v for k, v in teacher.facts.items()
             if not k.startswith('data_')}
    stages = {**run.stages, teacher.name: dataclasses.replace(
        teacher, facts=facts)}
    games = run.stage('data', _TASK).series(f'collect/{_TASK}/return_raw')[1]
    self.assertAlmostEqual(source_tables.data_return(
        dataclasses.replace(run, stages=stages), _TASK), np.mean(games))
    self.assertEqual(source_tables.data_return(run, _TASK), 213.)

  def test_agreement_goes_from_first_to_last(self):
    student = StageFiles('student', 'student', None, rows=tuple(
        {'step': step, f'transfer/agreement/{_TASK}': share,
         f'transfer/teacher_kl/{_TASK}': 2 * share}
        for step, share in ((1, .125), (2, .9), (3, .5))))
    run = dataclasses.replace(self.run_files, stages={
        **self.run_files.stages, 'student': student})
    row, other = source_tables.agreement(run).rows
    self.assertEqual(row[1:4], ['37 %', '12 % to 50 %', '0.25 to 1.00'])
    self.assertRegex(row[4], r'^\d+ % to \d+ %$')
    self.assertEqual(other[2:4], ['not recorded'] * 2)

  def test_nothing_is_drawn_of_nothing(self):
    run = dataclasses.replace(self.run_files, source_results=(), stages={
        name: dataclasses.replace(stage, rows=())
        for name, stage in self.run_files.stages.items()})
    self.assertIsNone(source_figures.scores(run))
    self.assertIsNone(source_figures.run_agreement(run))

  def test_equal_scores_leave_a_range_to_draw_in(self):
    self.assertIsNotNone(source_figures.scores(self.only(teacher=[7., 7.])))


if __name__ == '__main__':
  absltest.main()
