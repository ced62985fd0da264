"""All stages, chained by the real launcher: what they leave on the disk.

The run is one that was killed in each stage and resumed (kill_test): what is
true of it is true of a run that was left alone.
"""

import json
import os
import re
import shutil
import tempfile
import unittest

import numpy as np
import pytest

from tests.end_to_end import tiny_run
from xtra_tf.episodes import EpisodeLog
from xtra_tf.runs import RunDirectory, read_metrics
from xtra_tf.runs.manifest import newest_manifest
from xtra_tf.tasks import get_task

_TASKS = [('data', task) for task in tiny_run.SOURCES]
_TASKS += [('teacher', task) for task in tiny_run.SOURCES]
_STAGES = [*_TASKS, ('student', None), ('finetune', tiny_run.TARGET),
           ('scratch', tiny_run.TARGET)]


@pytest.mark.timeout(2400)
class ThreeStagesTest(unittest.TestCase):

  @pytest.fixture(autouse=True)
  def _take_run(self, killed_run):
    self.root = killed_run.root
    self.last = killed_run.last
    self.moments = killed_run.snapshots
    self.directory = RunDirectory(killed_run.root)

  def rows(self, stage, task):
    directory = self.directory.stage(stage, task)
    return read_metrics(directory.metrics_file('learner'))

  def test_run_is_done_and_the_last_line_is_the_reports_path(self):
    self.assertEqual(self.last.returncode, 0, self.last.stderr[-3000:])
    report = os.path.join(self.root, 'report', 'index.html')
    self.assertEqual(self.last.stdout.rstrip('\n').split('\n')[-1], report)
    self.assertTrue(os.path.isfile(report))
    self.assertNotIn('Traceback', self.last.stderr)
    record = self.directory.record
    self.assertEqual((record['state'], record['exit_reason']), ('done', ''))
    self.assertEqual(record['settings_history'], [])
    self.assertEqual(record['settings']['NUM_SIMULATIONS'],
                     str(tiny_run.SIMULATIONS))
    self.assertEqual(
        {name: stage['state'] for name, stage in record['stages'].items()},
        {'/'.join(filter(None, stage)): 'done' for stage in _STAGES})
    for name in ('given.gin', 'operative.gin'):
      with open(os.path.join(self.root, 'config', name),
                encoding='utf-8') as file:
        self.assertIn('NUM_SIMULATIONS = 2', file.read())

  def test_each_source_has_a_log_with_provenance(self):
    for name in tiny_run.SOURCES:
      task = get_task(name)
      log = EpisodeLog(self.directory.stage('data', name).episodes,
                       expected_task=task)
      log.verify()
      self.assertGreaterEqual(log.env_steps, tiny_run.ENV_STEPS)
      self.assertEqual(log.columns, ('search', 'root_value'))
      self.assertEqual(log.header.provenance['seed'], 0)
      self.assertIn('EfficientZero', log.header.provenance['policy'])
      for episode in log.episodes():
        self.assertTrue(set(episode.action) <= set(task.legal_actions))
        self.assertTrue(np.any(episode.observation))

  def test_teachers_have_searched_every_row_of_the_data(self):
    for name in tiny_run.SOURCES:
      stage = self.directory.stage('teacher', name)
      log = EpisodeLog(self.directory.stage('data', name).episodes)
      taught = log.with_overlay(stage.folder('targets'))
      self.assertIn('bootstrap_value', taught.columns)
      rows = 0
      for episode in taught.episodes():
        rows += len(episode.real)
        self.assertTrue(episode.has_search.all())
        np.testing.assert_array_equal(
            episode.search.sum(-1), tiny_run.SIMULATIONS)
        legal = get_task(name).legal_mask()
        self.assertEqual(episode.search[:, ~legal].sum(), 0)
        self.assertTrue(np.isfinite(episode.bootstrap_value).all())
      self.assertEqual(rows, log.num_rows)
      self.assertEqual(stage.read_done()['teacher_rows'], rows)

  def test_each_stage_ends_with_a_manifest_of_its_last_update(self):
    for stage, task in _STAGES:
      directory = self.directory.stage(stage, task)
      manifest = newest_manifest(directory.manifests, directory.checkpoints)
      self.assertEqual(manifest.step, tiny_run.UPDATES[stage], stage)
      self.assertEqual(manifest.settings_hash,
                       self.directory.record['settings_hash'])
      online = stage in ('data', 'finetune', 'scratch')
      if online:
        self.assertGreaterEqual(manifest.env_steps, tiny_run.ENV_STEPS)
      else:
        self.assertEqual(manifest.env_steps, 0)
      self.assertEqual(directory.read_done()['updates'], manifest.step)

  def test_metrics_have_each_row_once_and_all_tags(self):
    for stage, task in _STAGES:
      rows = self.rows(stage, task)
      steps = [row['step'] for row in rows]
      self.assertEqual(steps, sorted(steps), stage)
      learned = [row['step'] for row in rows if 'loss/total' in row]
      expected = set(range(tiny_run.LOG_INTERVAL, tiny_run.UPDATES[stage] + 1,
                           tiny_run.LOG_INTERVAL))
      # Asked to end, a stage logs what it has learned since the last row.
      [asked] = [kill for kill in self.moments if kill.ending]
      if stage == 'finetune':
        expected.add(asked.manifests['finetune/tiny.catch'][0])
      self.assertEqual(learned, sorted(expected), f'{stage}/{task}')
      tags = set().union(*rows)
      self.assertLessEqual({
          'loss/value', 'loss/value_prefix', 'loss/policy', 'loss/consistency',
          'optim/gradient_norm', 'optim/learning_rate', 'replay/priority_mean',
          'speed/updates_per_second', 'speed/waiting_for_data'}, tags, stage)
      for row in rows:
        self.assertNotIn(None, row.values(), f'{stage} {row}')
        waiting = row.get('speed/waiting_for_data', 0.)
        self.assertTrue(0. <= waiting <= 1., f'{stage} {waiting}')
      if stage in ('data', 'finetune', 'scratch'):
        self.assertIn(f'collect/{task}/return_raw', tags)

  def test_finetuning_weighs_the_offline_tasks(self):
    rows = self.rows('finetune', tiny_run.TARGET)
    learned = [row for row in rows if 'loss/total' in row]
    for name in tiny_run.SOURCES:
      weights = [row[f'transfer/weight/{name}'] for row in learned]
      self.assertTrue(all(0. <= weight <= 1. for weight in weights), weights)
      cosines = [row[f'transfer/cosine/{name}'] for row in learned
                 if f'transfer/cosine/{name}' in row]
      self.assertTrue(cosines)
      self.assertTrue(all(-1. <= cosine <= 1. for cosine in cosines), cosines)
      self.assertIn(f'loss/{name}/total', learned[0])
    self.assertNotIn(f'transfer/weight/{tiny_run.TARGET}', learned[0])
    evaluated = [row for row in rows
                 if f'eval/{tiny_run.TARGET}/return_mean' in row]
    self.assertEqual([row['step'] for row in evaluated], [10])

  def test_student_finetuned_and_scratch_are_evaluated_on_equal_seeds(self):
    with open(self.directory.results, encoding='utf-8') as file:
      lines = [json.loads(line) for line in file]
    self.assertEqual([line['stage'] for line in lines],
                     ['student', 'finetune', 'scratch'])
    for line in lines:
      self.assertEqual(line['task'], tiny_run.TARGET)
      self.assertEqual(line['run'], self.directory.run_id)
      self.assertEqual(line['step'], tiny_run.UPDATES[line['stage']])
      self.assertEqual(line['seeds'], lines[0]['seeds'])
      self.assertEqual(len(line['returns']), tiny_run.EPISODES)
      path = os.path.join(self.directory.eval, line['recording'])
      with open(path, encoding='utf-8') as file:
        recording = json.load(file)
      self.assertIn(sum(recording['raw_rewards']), line['returns'])
    self.assertEqual(lines[0]['env_steps'], 0)  # zero-shot
    for line in lines[1:]:
      self.assertGreaterEqual(line['env_steps'], tiny_run.ENV_STEPS)

  def test_report_is_one_file_that_loads_nothing(self):
    page = os.path.join(self.directory.report, 'index.html')
    with open(page, encoding='utf-8') as file:
      html = file.read()
    sources = re.findall(r'\bsrc\s*=\s*["\']([^"\']{0,40})', html)
    self.assertGreater(len(sources), 3)
    self.assertEqual([s for s in sources if not s.startswith('data:')], [])
    links = re.findall(r'<link\b[^>]*>|@import|<script\b[^>]*\bsrc', html)
    self.assertEqual(links, [])
    self.assertEqual(re.findall(r'url\(\s*["\']?(?!data:|#)[^)]{1,40}', html),
                     [])
    for name in (tiny_run.TARGET, *tiny_run.SOURCES, self.directory.run_id):
      self.assertIn(name, html)
    figures = os.listdir(os.path.join(self.directory.report, 'figures'))
    self.assertIn('scores.png', figures)
    self.assertIn('task_weights.png', figures)

  def test_same_command_again_says_that_all_is_done_and_changes_nothing(self):
    before = tiny_run.digests(self.root)
    again = tiny_run.launch(self.root)
    self.assertEqual(again.returncode, 0, again.stderr[-3000:])
    *said, report = again.stdout.rstrip('\n').split('\n')
    self.assertEqual(report, os.path.join(self.root, 'report', 'index.html'))
    self.assertIn('finished', '\n'.join(said))
    self.assertEqual(tiny_run.digests(self.root), before)

  def test_other_settings_are_shown_and_refused_unless_accepted(self):
    root = os.path.join(tempfile.mkdtemp(), 'run')
    self.addCleanup(shutil.rmtree, os.path.dirname(root))
    shutil.copytree(self.root, root)
    before = tiny_run.digests(root)
    changed = ('ENV_STEPS = 205',)
    refused = tiny_run.launch(root, changed)
    self.assertEqual(refused.returncode, 2)
    self.assertIn('ENV_STEPS: 200 -> 205', refused.stderr)
    self.assertIn('--accept_config_change', refused.stderr)
    self.assertNotIn('Traceback', refused.stderr)
    self.assertEqual(tiny_run.digests(root), before)
    accepted = tiny_run.launch(root, changed, ['--accept_config_change'])
    self.assertEqual(accepted.returncode, 0, accepted.stderr[-3000:])
    record = RunDirectory(root).record
    self.assertEqual(record['state'], 'done')
    [entry] = record['settings_history']
    self.assertEqual([(c['name'], c['old'], c['new'])
                      for c in entry['changes']], [('ENV_STEPS', '200', '205')])
    # What was finished stays as it was.
    after = tiny_run.digests(root)
    for path, digest in before.items():
      if path.split(os.sep)[0] in ('data', 'teacher', 'student', 'finetune',
                                   'scratch', 'eval'):
        self.assertEqual(after[path], digest, path)


if __name__ == '__main__':
  unittest.main()
