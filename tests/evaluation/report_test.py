"""Tests of the report, on invented runs."""

import html.parser
import os
import re
import shutil
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
import numpy as np

from tests.evaluation import synthetic_run
from xtra_tf import environments, evaluation, tasks
from xtra_tf.errors import UsageError
from xtra_tf.evaluation import (
    comparison,
    report_tables,
    report_text,
    run_files,
    write_report,
)
from xtra_tf.evaluation.results import Recording
from xtra_tf.runs import RunDirectory

_TARGET = 'tiny:catch'
_SOURCES = ('tiny:paddle', 'tiny:cross')
_SECTIONS = ('Result', 'Scale', 'Learning on the target', 'Task weights',
             'Losses and optimization', 'Search', 'Offline data and teachers',
             'Time', 'How it was made', 'Incidents', 'What was not run')


def _recorded_game() -> Recording:
  """A real game: always the first legal action."""
  task = tasks.get_task(_TARGET)
  environment = environments.load(task, num_envs=1, seed=0, training=False,
                                  first_index=2)
  environment.reset()
  action = task.legal_actions[0]
  actions, rewards, over = [], [], False
  while not over:
    environment.step(np.array([action], np.int32))
    info = environment.get_info()
    actions.append(action)
    rewards.append(float(info.raw_reward[0]))
    over = bool(info.terminal[0] | info.truncated[0])
  environment.close()
  return Recording(2, actions, rewards)


class _Page(html.parser.HTMLParser):
  """What a page says and what it refers to."""

  def __init__(self, text: str):
    super().__init__()
    self.tags = []
    self.references = []
    self.words = []
    self.feed(text)
    self.text = re.sub(r'\s+', ' ', ' '.join(self.words))

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.references.extend(value for name, value in attrs
                           if name in ('src', 'href', 'srcset', 'data'))

  def handle_data(self, data):
    self.words.append(data)


def _read(path: str) -> _Page:
  with open(path, encoding='utf-8') as file:
    return _Page(file.read())


class WholeRunTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.root = folder.name
    synthetic_run.write_run(cls.root, _TARGET, _SOURCES, _recorded_game())
    # What an older report has left.
    os.makedirs(os.path.join(cls.root, 'report', 'figures'))
    cls.stale = os.path.join(cls.root, 'report', 'figures', 'search.png')
    with open(cls.stale, 'wb') as file:
      file.write(b'old')
    cls.path = write_report(cls.root)
    cls.page = _read(cls.path)

  def test_place(self):
    self.assertEqual(os.path.relpath(self.path, self.root),
                     'report/index.html')

  def test_needs_nothing_beside_it(self):
    self.assertNotIn('script', self.page.tags)
    self.assertNotIn('link', self.page.tags)
    for reference in self.page.references:
      self.assertRegex(reference, '^(data:image/(png|gif);base64,|#)')
    with open(self.path, encoding='utf-8') as file:
      self.assertNotRegex(file.read(), r'url\(|@import|https?://')

  def test_links_lead_to_sections(self):
    with open(self.path, encoding='utf-8') as file:
      text = file.read()
    for reference in self.page.references:
      if reference.startswith('#'):
        self.assertIn(f'id="{reference[1:]}"', text)

  def test_all_sections(self):
    for section in _SECTIONS:
      self.assertIn(section, self.page.text)

  def test_figures_and_tables_lie_beside(self):
    report = os.path.dirname(self.path)
    self.assertCountEqual(os.listdir(os.path.join(report, 'figures')), [
        'agreement.png', 'animation.gif', 'learning_curves.png', 'losses.png',
        'offline_data.png', 'optimization.png', 'scores.png',
        'source_scores.png', 'stage_times.png', 'staleness.png',
        'task_weights.png'])
    self.assertIn('scores.csv', os.listdir(os.path.join(report, 'tables')))
    self.assertLess(
        os.path.getsize(os.path.join(report, 'figures', 'animation.gif')),
        2 * 2**20)

  def test_scores_of_all_methods(self):
    for name in ('XTRA, finetuned', 'EfficientZero from scratch',
                 'Student, zero-shot', 'Random play', 'Scripted player'):
      self.assertIn(name, self.page.text)
    task = tasks.get_task(_TARGET)
    self.assertIn(f'{task.human_score:,.1f}', self.page.text)

  def test_source_tasks_before_and_after_finetuning(self):
    for words in ('Finetuned minus student', 'Agreement with the teachers',
                  'One dot per evaluation game; bar: mean.'):
      self.assertIn(words, self.page.text)

  def test_intervals_are_not_called_intervals_over_seeds(self):
    self.assertIn('over 8 games, one seed', self.page.text)
    self.assertIn('they are not intervals over training seeds', self.page.text)
    self.assertNotIn('interval over 8 seeds', self.page.text)

  def test_scale_is_said_with_numbers_side_by_side(self):
    self.assertIn("far below the paper's: 2 % of the paper's environment",
                  self.page.text)
    for row in ('Environment steps on the target 2,000 100,000 2 %',
                'Gradient steps of finetuning 800 120,000 0.7 %',
                'Simulations per search 8 50 16 %',
                'Training seeds per method 1 5 20 %',
                'Games per evaluation 8 32 25 %'):
      self.assertIn(row, self.page.text)

  def test_command_settings_seeds_versions(self):
    self.assertIn('python -m launchers.xtra --root_dir=runs/demo --seed=3',
                  self.page.text)
    self.assertIn('Run seed 3', self.page.text)
    self.assertIn('TaskWeightSettings.window = 16', self.page.text)
    self.assertIn('tensorflow 2.15.1', self.page.text)
    self.assertIn('seeds 0, 1, 2, 3, 4, 5, 6, 7, the same for every method',
                  self.page.text)

  def test_a_report_written_before_the_end_does_not_call_itself_unfinished(
      self):
    self.assertNotIn('This run is not complete', self.page.text)
    record = os.path.join(self.root, 'run.json')
    with open(record, encoding='utf-8') as file:
      text = file.read()
    root = self.create_tempdir().full_path
    shutil.copytree(self.root, root, dirs_exist_ok=True)
    with open(os.path.join(root, 'run.json'), 'w', encoding='utf-8') as file:
      file.write(text.replace('"state": "done"', '"state": "running"', 1))
    run = run_files.read_run(root)
    self.assertEqual(
        report_text.incomplete(run, comparison.compare(run)), '')

  def test_incidents(self):
    self.assertIn('older-checkpoint (damaged train/manifests/600.json, used '
                  '400)', self.page.text)

  def test_what_is_missing_is_said(self):
    self.assertIn('Statistics of the searches while training were not recorded',
                  self.page.text)
    self.assertFalse(os.path.exists(self.stale))
    self.assertIn(f"The paper's tables have no row for {_TARGET}",
                  self.page.text)

  def test_no_path_of_this_machine(self):
    self.assertNotIn(self.root, self.page.text)

  def test_written_again_it_is_the_same(self):
    with open(self.path, 'rb') as file:
      before = file.read()
    write_report(self.root)
    with open(self.path, 'rb') as file:
      self.assertEqual(file.read(), before)


class CloningTest(absltest.TestCase):
  """Behaviour cloning is in the report of a run that had it."""

  def test_it_is_a_row_where_it_was_run(self):
    root = self.create_tempdir().full_path
    synthetic_run.write_run(root, 'Assault', cloning=True)
    run = run_files.read_run(root)
    compared = comparison.compare(run)
    self.assertEqual([m.kind for m in compared.methods],
                     ['finetune', 'scratch', 'student', 'cloning'])
    self.assertEqual(compared.method('cloning').paper, 0.)  # table 1
    self.assertFalse([line for line in report_text.not_run(run, compared)
                      if 'loning' in line])
    search = report_tables.search_statistics(run)
    self.assertLen(search.rows, 3)  # it does not search
    page = _read(write_report(root))
    self.assertIn('Behaviour cloning, zero-shot', page.text)
    self.assertIn('final evaluation of cloning', page.text)
    self.assertNotIn('This run is not complete', page.text)

  def test_it_is_not_missed_where_it_was_not(self):
    root = self.create_tempdir().full_path
    synthetic_run.write_run(root, 'Assault')
    run = run_files.read_run(root)
    compared = comparison.compare(run)
    self.assertLen(compared.methods, 3)
    self.assertNotIn('cloning', run.stages)
    self.assertEqual(report_text.incomplete(run, compared), '')
    self.assertIn('Behavioral cloning, zero-shot',
                  ' '.join(report_text.not_run(run, compared)))


class IncompleteRunTest(absltest.TestCase):

  def test_run_that_has_only_begun(self):
    root = self.create_tempdir().full_path
    directory = RunDirectory(root)
    directory.begin(synthetic_run.settings('Assault', ['<b>Phoenix</b>']),
                    seed=1, command='python <script>alert(1)</script>')
    page = _read(write_report(root))
    self.assertNotIn('script', page.tags)
    self.assertIn('python <script>alert(1)</script>', page.text)
    self.assertNotIn('b', page.tags)
    self.assertIn('This run is not complete: data/<b>Phoenix</b>, ', page.text)
    self.assertIn('No evaluation has been made yet', page.text)
    self.assertIn('Stage finetune/Assault was not run.', page.text)
    self.assertIn('There is no final evaluation of: XTRA, finetuned.',
                  page.text)
    self.assertIn('Not shown: No losses were recorded.', page.text)
    self.assertIn('Not shown: No model was evaluated on its source games',
                  page.text)
    self.assertIn('Not shown: The agreement of student and teachers was not',
                  page.text)
    self.assertIn('Not shown: No evaluation game was recorded.', page.text)
    self.assertGreaterEqual(page.text.count('Not shown:'), 9)

  def test_stopped_in_finetuning_with_a_damaged_result(self):
    root = self.create_tempdir().full_path
    directory = synthetic_run.write_run(root)
    directory.finish('stopped', 'NonFiniteError: the loss is NaN')
    os.unlink(directory.stage('finetune', 'Assault').done)
    directory.record_stage('finetune/Assault', 'stopped')
    with open(directory.results, 'ab') as file:
      file.write(b'{"run": 1}\n')
    page = _read(write_report(root))
    self.assertIn('This run is not complete: it was stopped: NonFiniteError',
                  page.text)
    self.assertIn('The run was stopped: NonFiniteError: the loss is NaN',
                  page.text)
    self.assertIn('Stage finetune/Assault was stopped before its end.',
                  page.text)
    self.assertIn('results.jsonl, record 9: not an evaluation result',
                  page.text)
    # The paper's own rows need no evaluation.
    self.assertIn('1,294.6', page.text)

  def test_recording_that_belongs_to_another_game(self):
    root = self.create_tempdir().full_path
    game = _recorded_game()
    other = Recording(2, game.actions, [9.] * len(game.actions))
    synthetic_run.write_run(root, _TARGET, _SOURCES, other)
    page = _read(write_report(root))
    self.assertIn('Not shown: The recorded game could not be played again',
                  page.text)
    self.assertIn('recorded is 9.0', page.text)

  def test_without_the_plotting_packages(self):
    page = evaluation.__dict__.pop('report_page', None)
    try:
      with mock.patch.dict(sys.modules, {'matplotlib.figure': None}):
        sys.modules.pop('xtra_tf.evaluation.report_page', None)
        with self.assertRaisesRegex(
            UsageError, r'needs the package matplotlib.*xtra-tf\[report\]'):
          write_report(self.create_tempdir().full_path)
    finally:
      if page is not None:
        evaluation.report_page = page


if __name__ == '__main__':
  absltest.main()
