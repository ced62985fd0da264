"""Reading an experiment: what is put together, listed and refused."""

import json
import os

from absl.testing import absltest

from tests.evaluation import synthetic_experiment as synthetic
from xtra_tf.errors import DataFileError, SettingsChangedError, UsageError
from xtra_tf.evaluation import experiment_provenance
from xtra_tf.evaluation.experiment_records import RunKey
from xtra_tf.evaluation.experiment_runs import read_experiment


class ReadTest(absltest.TestCase):

  def folder(self, name='a', *, leave_out=(), failed=(), **asked):
    asked.setdefault('methods', ('efficientzero', 'xtra'))
    asked.setdefault('targets', {'Phoenix': ('Assault',)})
    path = os.path.join(self.create_tempdir().full_path, name)
    synthetic.write(path, synthetic.record(**asked), leave_out, failed)
    return path

  def test_all_runs_by_target_method_and_seed(self):
    found = read_experiment([self.folder(seeds=(2, 0))])
    self.assertEqual(list(found.runs), [
        RunKey('efficientzero', 'Phoenix', 0),
        RunKey('efficientzero', 'Phoenix', 2),
        RunKey('xtra', 'Phoenix', 0), RunKey('xtra', 'Phoenix', 2)])
    run = found.runs[RunKey('xtra', 'Phoenix', 0)]
    self.assertEqual(run.state, 'done')
    self.assertEqual([r.env_steps for r in run.curve],
                     [0, 1000, 2000, 3000, 4000])
    self.assertIs(run.curve[-1], run.final)
    self.assertCountEqual([r.stage for r in run.others],
                          ['teacher', 'student', 'finetune'])
    self.assertNotEmpty(run.files.tags('transfer/weight/'))

  def test_missing_and_failed_runs_are_listed(self):
    found = read_experiment([self.folder(
        leave_out=[RunKey('xtra', 'Phoenix', 1), RunKey('xtra', 'Phoenix', 2)],
        failed=[RunKey('efficientzero', 'Phoenix', 0)])])
    self.assertLen(found.runs, 6)
    self.assertEqual(experiment_provenance.missing(found), [
        'EfficientZero on Phoenix: seed 0 failed.',
        'XTRA on Phoenix: seeds 1 and 2 were not run.'])
    (row,) = experiment_provenance.failures(found).rows
    self.assertEqual(row[:3], ['Phoenix', 'EfficientZero', '0'])
    self.assertIn('The loss is not finite at step 312.', row)
    self.assertEqual(row[-1], 'not finished')

  def test_folders_of_more_seeds_are_one_experiment(self):
    first, second = self.folder(seeds=(0, 1)), self.folder(seeds=(1, 5))
    found = read_experiment([first, second])
    self.assertEqual(found.seeds, (0, 1, 5))
    self.assertLen(found.runs, 6)
    self.assertEmpty(found.in_state('missing'))

  def test_folders_of_more_methods_are_one_experiment(self):
    found = read_experiment([
        self.folder(methods=('efficientzero',)), self.folder(methods=('xtra',))
    ])
    self.assertEqual([m.label for m in found.methods],
                     ['EfficientZero', 'XTRA'])
    self.assertEmpty(found.in_state('missing'))

  def test_other_settings_are_refused_and_shown(self):
    with self.assertRaisesRegex(
        SettingsChangedError, 'other settings(.|\n)*ENV_STEPS: 4000 -> 9000'):
      read_experiment([
          self.folder(), self.folder(settings={
              'ENV_STEPS': '9000', 'NUM_SIMULATIONS': '8',
              'EvaluationSettings.episodes': '8'})])

  def test_the_same_run_with_other_scores_is_refused(self):
    first, second = self.folder(), self.folder()
    path = os.path.join(second, 'results.jsonl')
    with open(path, encoding='utf-8') as file:
      lines = [json.loads(line) for line in file]
    for line in lines:
      if line['final']:
        line['returns'][0] += 1
    with open(path, 'w', encoding='utf-8') as file:
      file.writelines(json.dumps(line) + '\n' for line in lines)
    with self.assertRaisesRegex(DataFileError, 'in two folders with other '
                                'scores'):
      read_experiment([first, second])

  def test_a_score_that_is_not_finite_is_named(self):
    path = self.folder()
    results = os.path.join(path, 'results.jsonl')
    with open(results, encoding='utf-8') as file:
      lines = file.read().split('\n')
    fields = json.loads(lines[3])
    fields['returns'][2] = float('nan')
    lines[3] = json.dumps(fields)
    with open(results, 'w', encoding='utf-8') as file:
      file.write('\n'.join(lines))
    with self.assertRaisesRegex(
        DataFileError, 'record 3: efficientzero, Phoenix, seed 0: a score is '
        'not finite'):
      read_experiment([path])

  def test_a_method_that_was_not_asked_for_is_refused(self):
    path = self.folder()
    with open(os.path.join(path, 'results.jsonl'), encoding='utf-8') as file:
      text = file.read()
    with open(os.path.join(path, 'results.jsonl'), 'w',
              encoding='utf-8') as file:
      file.write(text.replace('"method": "xtra"', '"method": "xtar"'))
    with self.assertRaisesRegex(DataFileError, "method 'xtar'.*Expected one "
                                'of: efficientzero, xtra'):
      read_experiment([path])

  def test_no_results_there(self):
    with self.assertRaisesRegex(UsageError, 'no experiment.json'):
      read_experiment([self.create_tempdir().full_path])

  def test_one_folder_twice(self):
    path = self.folder()
    with self.assertRaisesRegex(UsageError, 'named twice'):
      read_experiment([path, path + '/'])


if __name__ == '__main__':
  absltest.main()
