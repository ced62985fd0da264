"""The page of an experiment: complete, inert, and the same when made again."""

import csv
import os
import re
import tempfile

from absl.testing import absltest

from tests.evaluation import synthetic_experiment as synthetic
from xtra_tf.errors import UsageError
from xtra_tf.evaluation import report
from xtra_tf.evaluation.experiment_records import (
  ExperimentResult,
  RunFailure,
  RunKey,
)
from xtra_tf.evaluation.experiment_results import ExperimentResults

_HOSTILE = '<script>alert("x")</script>'


def _read(path):
  with open(path, encoding='utf-8') as file:
    return file.read()


class PageTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.results = os.path.join(cls.root, 'results')
    synthetic.write(
        cls.results, synthetic.record(name=_HOSTILE),
        leave_out=[RunKey('xtra', 'Phoenix', 2)],
        failed=[RunKey('without_task_weights', 'Assault', 1)])
    cls.output = os.path.join(cls.root, 'report')
    os.makedirs(os.path.join(cls.output, 'figures'))
    cls.stale = os.path.join(cls.output, 'figures', 'old.svg')
    with open(cls.stale, 'wb') as file:
      file.write(b'old')
    cls.path = report.write_experiment_report(
        [cls.results], cls.output, f'report --x={_HOSTILE}', 100)
    cls.page = _read(cls.path)

  def test_needs_nothing_outside(self):
    self.assertEqual(self.path, os.path.join(self.output, 'index.html'))
    for reference in re.findall(r'(?:src|href)="([^"]*)"', self.page):
      self.assertRegex(reference, '^(data:image/png;base64,|#)')
    self.assertNotRegex(self.page, r'https?://|@import|url\(')

  def test_what_users_wrote_is_escaped(self):
    self.assertNotIn('<script', self.page)
    self.assertGreaterEqual(self.page.count('&lt;script&gt;'), 3)

  def test_figures_and_tables_lie_beside(self):
    figures = os.listdir(os.path.join(self.output, 'figures'))
    names = ['aggregates', 'agreement', 'forgetting', 'learning_curves',
             'scores', 'task_weights_without_task_weights', 'task_weights_xtra',
             'training_curves']
    self.assertCountEqual(figures, [f'{name}.{kind}' for name in names
                                    for kind in ('png', 'svg')])
    self.assertFalse(os.path.exists(self.stale))
    for table in ('results', 'improvements', 'human_normalised', 'runs',
                  'games', 'beside_paper_xtra_table_1', 'failures', 'costs',
                  'teachers', 'forgetting'):
      self.assertTrue(os.path.exists(
          os.path.join(self.output, 'tables', f'{table}.csv')), table)

  def test_figures_are_named_at_their_pictures(self):
    for name in re.findall(r'<span class="file">(.*?)</span>', self.page):
      self.assertTrue(os.path.exists(os.path.join(self.output, name)), name)

  def test_missing_and_failed_runs_stand_at_both_ends(self):
    for words in ('XTRA on Phoenix: seed 2 was not run.',
                  'XTRA without task weights on Assault: seed 1 failed.'):
      self.assertEqual(self.page.count(words), 2, words)
    self.assertIn('28 of 30 runs are done, 1 failed, 1 not run', self.page)
    self.assertIn('The loss is not finite at step 312.', self.page)

  def test_games_csv_has_every_game(self):
    with open(os.path.join(self.output, 'tables', 'games.csv'),
              encoding='utf-8', newline='') as file:
      rows = list(csv.DictReader(file))
    self.assertLen(rows, 28 * synthetic.GAMES)
    found = {(r['Method'], r['Target'], r['Seed']) for r in rows}
    self.assertLen(found, 28)

  def test_n_stands_in_the_legend(self):
    svg = _read(os.path.join(self.output, 'figures', 'learning_curves.svg'))
    self.assertIn('XTRA, n = 2 or 3', svg)
    self.assertIn('XTRA, zero-shot, n = 3, no band', svg)

  def test_settings_seeds_versions_and_commands(self):
    for words in ('Seeds 0, 1, 2', 'tensorflow', '2.15.1', 'ENV_STEPS = 4000',
                  'launchers.experiment --gin_file=protocols/mini.gin',
                  'an invented processor', 'b' * 40):
      self.assertIn(words, self.page)


class LittleTest(absltest.TestCase):
  """Reports of almost nothing say so."""

  def page(self, folder):
    return _read(report.write_experiment_report(
        [folder.path], os.path.join(folder.path, 'report'), '', 100))

  def folder(self, **asked):
    return synthetic.write(
        os.path.join(self.create_tempdir().full_path, 'results'),
        synthetic.record(**asked), leave_out=synthetic.record(**asked).runs())

  def test_no_run_yet(self):
    page = self.page(self.folder())
    self.assertIn('No run is done yet', page)
    self.assertIn('0 of 30 runs are done, 30 not run.', page)
    self.assertIn('Not shown: No run was evaluated more than once.', page)

  def test_one_run_of_a_task_that_no_table_has(self):
    folder = self.folder(methods=('xtra',), seeds=(0,),
                         targets={'tiny:catch': ('tiny:dodge',)})
    key = RunKey('xtra', 'tiny:catch', 0)
    folder.append_result(ExperimentResult(*key, True, synthetic.evaluation(
        key, 'finetune', 'tiny:catch', 100, [1., 0.])))
    page = self.page(folder)
    self.assertIn('EfficientZero from scratch is not among the methods', page)
    self.assertIn('1 run, no interval', page)
    self.assertEqual(page.count('None of the targets has a row'), 2)
    self.assertIn('No cost was recorded of: xtra, tiny:catch, seed 0.', page)
    self.assertIn('not evaluated', page)  # the teacher

  def test_a_failure_that_was_made_good(self):
    folder = self.folder(methods=('xtra',), seeds=(0,),
                         targets={'Assault': ()})
    key = RunKey('xtra', 'Assault', 0)
    folder.append_failure(RunFailure(*key, -9, 'killed'))
    synthetic.write_run(folder, key, 'finetune', 700., ())
    page = self.page(folder)
    self.assertIn('All runs that the experiment asks for are there.', page)
    self.assertIn('finished since', page)

  def test_made_again_it_is_the_same(self):
    folder = synthetic.write(
        os.path.join(self.create_tempdir().full_path, 'results'),
        synthetic.record(methods=('efficientzero', 'xtra'),
                         targets={'Assault': ()}))
    self.assertEqual(self.page(folder), self.page(folder))

  def test_no_results(self):
    with self.assertRaisesRegex(UsageError, 'no experiment.json'):
      self.page(ExperimentResults(self.create_tempdir().full_path))


if __name__ == '__main__':
  absltest.main()
