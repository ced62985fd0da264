"""What `launchers.collect` writes is source data for `launchers.xtra`."""

import os
import subprocess
import sys

from absl.testing import absltest

from tests.end_to_end import tiny_run
from xtra_tf.episodes import EpisodeLog
from xtra_tf.experiments import configuration, roles
from xtra_tf.models.registry import build_world_model
from xtra_tf.variables import save_world_model

_COMPILE = 'xtra_tf.planning.MctsPlanner.compile_search = False'


def _collect(*flags):
  return subprocess.run(
      [sys.executable, '-m', 'launchers.collect', *flags], cwd=tiny_run.ROOT,
      capture_output=True, text=True, timeout=300, check=False)


class CollectedDataTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path

  def data(self, task):
    return os.path.join(self.folder, task.replace(':', '_'))

  def collect(self, task, *flags, env_steps=150):
    return _collect(f'--task={task}', f'--output={self.data(task)}',
                    f'--env_steps={env_steps}', '--num_envs=2', *flags)

  def test_random_and_searched_data_train_teachers(self):
    configuration.parse(['protocols/smoke.gin'], [])
    description = roles.resolve_parts(0).description
    checkpoint = os.path.join(self.folder, 'model')
    save_world_model(build_world_model(description, seed=0), checkpoint,
                     description)
    random_task, searched_task = tiny_run.SOURCES
    first = self.collect(random_task)
    self.assertEqual(first.returncode, 0, first.stderr)
    for shown in ('150/150 env steps', 'Whole games', 'Mean return',
                  'Mean return of random play', 'of this session'):
      self.assertIn(shown, first.stdout)
    self.assertEqual(first.stdout.splitlines()[-1], self.data(random_task))
    self.assertEqual(first.stderr, '')
    more = self.collect(random_task, env_steps=200)
    self.assertEqual(more.returncode, 0, more.stderr)
    self.assertEqual(EpisodeLog(self.data(random_task)).env_steps, 200)
    searched = self.collect(
        searched_task, f'--checkpoint={checkpoint}', '--num_simulations=2',
        f'--gin_bindings={_COMPILE}')
    self.assertEqual(searched.returncode, 0, searched.stderr)

    root = os.path.join(self.folder, 'run')
    run = tiny_run.launch(root, [_COMPILE], [
        '--stages=teacher',
        *(f'--task_data={task}={self.data(task)}'
          for task in tiny_run.SOURCES)])
    self.assertEqual(run.returncode, 0, run.stderr[-3000:])
    for task in tiny_run.SOURCES:
      stage = os.path.join(root, 'teacher', task.replace(':', '.'))
      self.assertTrue(os.path.exists(os.path.join(stage, 'done.json')))
      taught = EpisodeLog(self.data(task)).with_overlay(
          os.path.join(stage, 'targets'))
      self.assertIn('bootstrap_value', taught.columns)

  def test_mistakes_end_with_one_message_and_a_code(self):
    for flags, code, text in (
        (['--task=Alien'], 2, '--output is missing'),
        (['--output=x'], 2, '--task is missing'),
        (['--task=tiny:catch', '--output=x'], 2, 'exactly one of them'),
        (['--task=tiny:cach', '--output=x', '--env_steps=3'], 2,
         'Did you mean tiny:catch'),
        (['--task=tiny:catch', '--output=x', '--env_steps=3',
          f'--checkpoint={self.folder}'], 65, 'Expected the folder of a')):
      with self.subTest(text):
        result = _collect(*flags)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(text, result.stderr)
        self.assertNotIn('Traceback', result.stderr)


if __name__ == '__main__':
  absltest.main()
