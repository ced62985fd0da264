"""A stage in six processes, those that may be left out among them."""

import json
import os
import subprocess
import sys

from absl.testing import absltest
import pytest

from tests.end_to_end import tiny_run
from tests.faults.role_job import BINDINGS, ENV_STEPS, UPDATES
from xtra_tf.evaluation import results
from xtra_tf.runs import RunDirectory, read_metrics


@pytest.mark.slow
class AllRolesTest(absltest.TestCase):

  def test_they_train_and_judge_a_stage(self):
    root = os.path.join(self.create_tempdir().full_path, 'run')
    made = subprocess.run(
        [sys.executable, '-m', 'launchers.local', f'--root_dir={root}',
         '--stage=scratch', '--processes=4', '--reanalyzers=1', '--evaluator',
         '--nolock_step', f'--gin_file={tiny_run.GIN_FILE}',
         *(f'--gin_bindings={binding}' for binding in (
             *BINDINGS, 'xtra_tf.evaluation.EvaluationSettings.episodes = 2'))],
        cwd=tiny_run.ROOT, capture_output=True, text=True, timeout=540,
        check=False)
    self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
    self.assertIn('The learner has finished.', made.stdout)
    directory = RunDirectory(root)
    stage = directory.stage('scratch', tiny_run.TARGET)
    with open(stage.done, encoding='utf-8') as file:
      done = json.load(file)
    self.assertEqual(done['updates'], UPDATES)
    self.assertLessEqual(done['env_steps'], ENV_STEPS)
    last = [row for row in read_metrics(stage.metrics_file('learner'))
            if 'loss/total' in row][-1]
    for tag in ('targets/weights_behind_mean', 'replay/age_mean',
                'replay/policy_age_mean'):
      self.assertIn(tag, last)
    evaluated = results.read(directory.results)
    self.assertEqual(evaluated[-1].step, UPDATES)
    self.assertEqual({(r.stage, r.task, len(r.seeds)) for r in evaluated},
                     {('scratch', tiny_run.TARGET, 2)})


if __name__ == '__main__':
  absltest.main()
