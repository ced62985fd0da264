"""An experiment from its gin files to its folder, with a program that fails."""

import io
import json
import os
import sys

from absl.testing import absltest, parameterized
import gin
from rich.console import Console

from xtra_tf.errors import SettingsChangedError, UsageError
from xtra_tf.evaluation.experiment_results import ExperimentResults
from xtra_tf.experiments import experiment

_FAILS = [sys.executable, '-c', 'import sys; sys.exit("error: no; " + '
          'sys.argv[1].split("/")[-2])']
_SCRATCH = "xtra_tf.experiments.ExperimentSettings.methods = ('scratch',)"


class ExperimentTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.root = self.create_tempdir().full_path
    self.results_dir = os.path.join(self.root, 'results')

  def run_experiment(self, *bindings, only=()):
    return experiment.run_experiment(
        self.results_dir, os.path.join(self.root, 'runs'),
        gin_files=['protocols/smoke.gin'], bindings=[_SCRATCH, *bindings],
        program=_FAILS, only=only)

  def test_the_record_and_the_failures_are_kept(self):
    self.assertEqual(self.run_experiment(), 1)
    folder = ExperimentResults(self.results_dir)
    record = folder.record()
    self.assertEqual((record.name, record.seeds, record.targets[0].name),
                     ('smoke', (0, 1), 'tiny:catch'))
    self.assertEqual(record.settings['BATCH_SIZE'], '16')
    self.assertEqual(record.targets[0].sources, ('tiny:collect', 'tiny:cross'))
    self.assertIn('processor_model', record.machine)
    self.assertEqual([(f.seed, f.exit_code, f.message)
                      for f in folder.failures()],
                     [(0, 1, 'no; tiny.catch'), (1, 1, 'no; tiny.catch')])
    with open(os.path.join(self.results_dir, 'experiment.json'),
              encoding='utf-8') as file:
      text = file.read()
    self.assertNotIn(self.root, text)
    self.assertEqual(json.loads(text)['format'], 1)

  def test_one_run_alone(self):
    self.run_experiment(only=['seed=1'])
    failure, = ExperimentResults(self.results_dir).failures()
    self.assertEqual(failure.seed, 1)

  def test_results_of_other_settings_are_refused_before_anything_is_run(self):
    self.run_experiment(only=['seed=0'])
    with self.assertRaisesRegex(
        SettingsChangedError, r'(?s)results of other settings.*BATCH_SIZE: '
        r'16 -> 8.*--results_dir'):
      self.run_experiment('BATCH_SIZE = 8', only=['seed=1'])
    self.assertLen(ExperimentResults(self.results_dir).failures(), 1)

  def test_plan_is_printed_and_nothing_is_made(self):
    out = io.StringIO()
    experiment.show_plan(
        ['protocols/smoke.gin'], [], console=Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    self.assertContainsSubset(
        ['xtra', 'scratch', '(data)', '(teacher)', '(student)', 'all'],
        [line.split()[0] for line in lines if line.strip()])
    total, = (line.split() for line in lines if line.startswith(' all'))
    self.assertEqual(total[1], '14')
    self.assertNotIn('…', out.getvalue())
    self.assertEmpty(os.listdir(self.root))

  @parameterized.parameters('xtra', 'method=', '=xtra', 'method=xtra,seed')
  def test_only_has_a_form(self, text):
    with self.assertRaisesRegex(UsageError, '--only=method=xtra,seed=0'):
      experiment.parse_only([text])

  def test_only(self):
    self.assertEqual(
        experiment.parse_only(['method=xtra,seed=0', 'seed=1']),
        {'method': ['xtra'], 'seed': ['0', '1']})


if __name__ == '__main__':
  absltest.main()
