"""Tests of reading a run's files."""

import dataclasses
import os
import tempfile

from absl.testing import absltest, parameterized
import numpy as np

from tests.evaluation import synthetic_run
from xtra_tf.errors import UsageError
from xtra_tf.evaluation import comparison, results, run_files
from xtra_tf.evaluation.run_files import RunSettings
from xtra_tf.runs import RunDirectory


class RunSettingsTest(parameterized.TestCase):

  @parameterized.parameters(
      ('MctsPlanner.num_simulations', None, 8),
      ('StageSettings.updates', 'teacher', 400),
      ('StageSettings.updates', 'scratch', 100),
      ('StageSettings.updates', None, 100),
      ('TaskSettings.sources', None, ('Alien', 'Amidar')),
      ('StageSettings.batch_size', None, None))
  def test_look_up(self, parameter, scope, value):
    settings = RunSettings({
        'SIMULATIONS': '8', 'SOURCES': "('Alien', 'Amidar')",
        'xtra_tf.planning.MctsPlanner.num_simulations': '%SIMULATIONS',
        'xtra_tf.experiments.StageSettings.updates': '100',
        'teacher/xtra_tf.experiments.StageSettings.updates': '400',
        'TaskSettings.sources': '%gin.macro.SOURCES'})
    self.assertEqual(settings.get(parameter, scope), value)

  def test_a_macro_that_names_itself_ends(self):
    self.assertEqual(RunSettings({'A': '%A', 'B.c': '%A'}).get('B.c'), '%A')


class RunFilesTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.root = folder.name
    cls.directory = synthetic_run.write_run(cls.root)
    cls.run_files = run_files.read_run(cls.root)

  def test_tasks_come_from_the_settings(self):
    self.assertEqual(self.run_files.target, 'Assault')
    self.assertEqual(self.run_files.sources, ('DemonAttack', 'Phoenix'))
    self.assertEmpty(self.run_files.problems)

  def test_stages_in_order_and_complete(self):
    self.assertEqual(list(self.run_files.stages), [
        'data/DemonAttack', 'data/Phoenix', 'teacher/DemonAttack',
        'teacher/Phoenix', 'student', 'finetune/Assault', 'scratch/Assault'])
    for stage in self.run_files.stages.values():
      self.assertEqual(stage.state, 'done')
      self.assertEqual(stage.updates, synthetic_run.UPDATES)
      self.assertGreater(stage.seconds, 0)
    self.assertLen(self.run_files.stage('student').incidents, 1)

  def test_series_leave_out_nulls_and_count_them(self):
    stage = run_files.StageFiles('s', 'student', None, rows=(
        {'step': 1, 'loss/total': 2., 'time': 0.},
        {'step': 2, 'loss/total': None, 'time': 1.},
        {'step': 3, 'other': 1., 'time': 2.}, {'step': 4, 'loss/total': 5.}))
    steps, values = stage.series('loss/total')
    np.testing.assert_array_equal(steps, [1, 4])
    np.testing.assert_array_equal(values, [2, 5])
    self.assertEqual(stage.nulls(), {'loss/total': 1})
    self.assertEqual(stage.updates, 4)
    self.assertIsNone(stage.env_steps)

  def test_final_result_is_the_latest(self):
    self.assertEqual(self.run_files.final_result('finetune').step,
                     synthetic_run.UPDATES)
    self.assertIsNone(self.run_files.final_result('teacher'))

  def test_no_folder(self):
    with self.assertRaisesRegex(UsageError, 'no such folder'):
      run_files.read_run('/nowhere/at/all')

  def test_folder_without_a_target(self):
    with self.assertRaisesRegex(UsageError, 'names a target task'):
      run_files.read_run(self.create_tempdir().full_path)

  def test_damaged_metrics_are_a_problem_not_an_error(self):
    root = self.create_tempdir().full_path
    directory = synthetic_run.write_run(root)
    with open(directory.stage('student').metrics_file('learner'), 'ab') as file:
      file.write(b'{"broken\n')
    run = run_files.read_run(root)
    self.assertLen(run.problems, 1)
    self.assertRegex(run.problems[0], 'student/metrics/learner.jsonl, record')
    self.assertEmpty(run.stage('student').rows)

  def test_a_stage_taken_over_is_read_where_it_is(self):
    root = self.create_tempdir().full_path
    parent = synthetic_run.write_run(os.path.join(root, 'parent'))
    child = RunDirectory(os.path.join(root, 'child'))
    child.inherit({'teacher/Phoenix': {
        'folder': '../parent/teacher/Phoenix', 'digest': 'd', 'run': 'p'}})
    child.begin(synthetic_run.settings('Assault', ['DemonAttack', 'Phoenix']),
                seed=3, command='')
    for record in results.read(parent.results):
      if record.stage == 'teacher':
        results.append(child.results, record)
    run = run_files.read_run(child.path)
    self.assertEqual(run.stage('teacher', 'Phoenix').state, 'done')
    self.assertEqual(run.stage('teacher', 'Phoenix').facts['teacher_rows'],
                     2011)
    self.assertEqual(run.stage('teacher', 'DemonAttack').state, 'missing')
    self.assertEqual(run.source_result('teacher', 'Phoenix').run,
                     parent.run_id)
    self.assertIsNone(run.source_result('student', 'Phoenix'))
    self.assertEqual(run.seconds, 0.)  # the games were the other run's

  def test_of_several_source_results_the_last_of_most_games_counts(self):
    run = self.run_files
    base = run.source_result('student', 'Phoenix')
    fewer = dataclasses.replace(base, seeds=(0,), returns=(1.,), lengths=(3,),
                                truncated=(False,))
    earlier = dataclasses.replace(base, step=1, run='earlier')
    run = dataclasses.replace(run, source_results=(base, fewer, earlier))
    self.assertEqual(run.source_result('student', 'Phoenix'), base)

  def test_data_that_the_user_brought(self):
    root = self.create_tempdir().full_path
    directory = synthetic_run.write_run(root)
    directory.record['settings']['flag:task_data:Phoenix'] = 'somewhere'
    directory.finish('done')
    os.unlink(directory.stage('data', 'Phoenix').done)
    run = run_files.read_run(root)
    self.assertEqual(run.stage('data', 'Phoenix').state, 'given')


class ComparisonTest(parameterized.TestCase):

  @parameterized.parameters(
      ('Assault', ('DemonAttack', 'Phoenix'), 'xtra_table_1'),
      ('Assault', ('Carnival', 'Pooyan'), 'xtra_table_2'),
      ('Alien', ('Pong',), 'xtra_table_1'),
      ('Krull', ('Alien',), 'xtra_table_2'), ('Pong', ('Alien',), None))
  def test_nearest_table_of_the_paper(self, target, sources, table):
    self.assertEqual(comparison.paper_table(target, sources), table)

  def test_difference_is_over_common_seeds(self):
    first = _Evaluation((0, 1, 2, 3), (5., 6., 7., 100.))
    second = _Evaluation((2, 1, 0, 9), (4., 3., 2., 0.))
    found = comparison.paired_difference(first, second)
    self.assertEqual(found, (3., 3., 3.))
    self.assertIsNone(comparison.paired_difference(
        first, _Evaluation((0, 1), (1., 1.))))
    self.assertIsNone(comparison.paired_difference(first, None))

  def test_unknown_task_has_no_references(self):
    self.assertEqual(comparison.random_and_human('gym:Nothing-v0'),
                     (None, None))
    self.assertEqual(comparison.random_and_human('Carnival'), (None, None))


class _Evaluation:
  """The two columns of a result that a difference needs."""

  def __init__(self, seeds, returns):
    self.seeds = seeds
    self.returns = returns


if __name__ == '__main__':
  absltest.main()
