"""The evaluating launcher on a checkpoint that was never trained."""

import json
import os
import subprocess
import sys

from absl.testing import absltest

from xtra_tf.experiments import configuration, roles
from xtra_tf.models.registry import build_world_model
from xtra_tf.variables import save_world_model

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def _evaluate(*flags):
  return subprocess.run(
      [sys.executable, '-m', 'launchers.evaluate', *flags], cwd=_ROOT,
      capture_output=True, text=True, timeout=300, check=False)


class EvaluateTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    folder = self.create_tempdir().full_path
    configuration.parse(['protocols/smoke.gin'], [])
    description = roles.resolve_parts(0).description
    self.checkpoint = os.path.join(folder, 'model')
    save_world_model(build_world_model(description, seed=0), self.checkpoint,
                     description)
    self.results = os.path.join(folder, 'scores', 'results.jsonl')
    self.video = os.path.join(folder, 'game.gif')

  def flags(self, *more, task='tiny:catch'):
    return [f'--checkpoint={self.checkpoint}', f'--task={task}',
            f'--output={self.results}', '--episodes=3', '--num_simulations=2',
            '--gin_bindings=xtra_tf.planning.MctsPlanner.compile_search=False',
            *more]

  def test_random_play(self):
    flags = ['--policy=random', '--task=tiny:catch', '--episodes=3',
             f'--output={self.results}']
    made = _evaluate(*flags)
    self.assertEqual(made.returncode, 0, made.stderr)
    self.assertIn('tiny:catch: random play', made.stdout)
    self.assertEqual(made.stdout.splitlines()[-1], self.results)
    refused = _evaluate(*flags, f'--checkpoint={self.checkpoint}')
    self.assertEqual(refused.returncode, 2)
    self.assertIn(f'--checkpoint is {self.checkpoint}, but --policy=random '
                  'plays without', refused.stderr)

  def test_scores_are_shown_written_once_and_filmed(self):
    first = _evaluate(*self.flags(f'--video={self.video}'))
    self.assertEqual(first.returncode, 0, first.stderr)
    for shown in ('Mean score', '95 % interval', 'Median', 'Human-normalised',
                  'tiny:catch: checkpoint', '3/3 episodes', self.video):
      self.assertIn(shown, first.stdout)
    self.assertEqual(first.stdout.splitlines()[-1], self.results)
    self.assertEqual(first.stderr, '')
    with open(self.results, encoding='utf-8') as file:
      line, = file.read().splitlines()
    record = json.loads(line)
    self.assertEqual(record['seeds'], [0, 1, 2])
    self.assertLen(record['returns'], 3)
    self.assertEqual((record['task'], record['step'], record['codec']),
                     ('tiny:catch', 0, 'lossless'))
    with open(self.video, 'rb') as file:
      self.assertEqual(file.read(6), b'GIF89a')

    again = _evaluate(*self.flags())
    self.assertEqual(again.returncode, 0, again.stderr)
    self.assertIn('has this very evaluation already', again.stdout)
    with open(self.results, encoding='utf-8') as file:
      self.assertEqual(file.read().splitlines(), [line])

  def test_mistakes_end_with_one_message_and_a_code(self):
    for flags, code, text in (
        (self.flags(task='tiny:cach'), 2, 'Did you mean tiny:catch'),
        (self.flags('--codec=png'), 2, 'codec'),
        (['--task=Alien'], 2, '--checkpoint is missing'),
        ([f'--checkpoint={os.path.dirname(self.checkpoint)}', '--task=Alien'],
         65, 'holds no checkpoint, only: model')):
      with self.subTest(text):
        result = _evaluate(*flags)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(text, result.stderr)
        self.assertNotIn('Traceback', result.stderr)
        self.assertEqual(result.stdout, '')
    self.assertFalse(os.path.exists(self.results))


if __name__ == '__main__':
  absltest.main()
