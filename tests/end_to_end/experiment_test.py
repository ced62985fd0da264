"""An experiment by the real launcher, and the files that it leaves."""

import json
import os
import subprocess
import sys

from absl.testing import absltest
import pytest

from xtra_tf.evaluation.experiment_results import ExperimentResults

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# As short as runs can be; see tiny_run.py.
_BINDINGS = (
    'NUM_SIMULATIONS = 2', 'BATCH_SIZE = 8',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    'xtra_tf.evaluation.EvaluationSettings.episodes = 2',
    "xtra_tf.experiments.ExperimentSettings.methods = ('scratch', 'zero_shot')",
    "SOURCE_TASKS = ('tiny:cross',)")


def _launch(folder, *flags):
  return subprocess.run(
      [sys.executable, '-m', 'launchers.experiment',
       '--gin_file=protocols/smoke.gin',
       f'--results_dir={folder}/results', f'--root_dir={folder}/runs',
       *(f'--gin_bindings={binding}' for binding in _BINDINGS), *flags],
      cwd=_ROOT, capture_output=True, text=True, timeout=1500, check=False)


@pytest.mark.slow
@pytest.mark.timeout(2400)
class ExperimentTest(absltest.TestCase):

  def test_two_methods_two_seeds(self):
    folder = self.create_tempdir().full_path
    result = _launch(folder, '--jobs=2')
    self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
    self.assertEqual(result.stdout.splitlines()[-1], f'{folder}/results')
    results = ExperimentResults(f'{folder}/results')
    record = results.record()
    self.assertCountEqual(results.finished(), record.runs())
    for line in results.results():
      self.assertLen(line.result.returns, 2 if line.final else 4)
    judged = {line.run: line.result for line in results.results() if line.final}
    self.assertLen(judged, 4)
    for run, cost in ((cost.run, cost) for cost in results.costs()):
      self.assertEqual('student' in cost.inherited, run.method == 'zero_shot')
    # A student's run says whose weights it is.
    path = os.path.join(folder, 'runs/zero_shot/tiny.catch/seed-0/run.json')
    with open(path, encoding='utf-8') as file:
      inherited = json.load(file)['inherited']
    self.assertIn('shared/student.seed-0', inherited['student']['folder'])

    # What is finished is left, whatever is in the runs.
    again = _launch(folder)
    self.assertEqual(again.returncode, 0, again.stderr)
    self.assertNotIn('running', again.stdout)
    refused = _launch(folder, '--gin_bindings=BATCH_SIZE = 4')
    self.assertEqual(refused.returncode, 2)
    self.assertIn('BATCH_SIZE: 8 -> 4', refused.stderr)


if __name__ == '__main__':
  absltest.main()
