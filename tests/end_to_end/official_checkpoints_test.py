"""The two programs for official checkpoints, as a user runs them."""

import os
import subprocess
import sys

from absl.testing import absltest

from tests.variables import hostile_checkpoints

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
_SOURCE = os.path.join(_ROOT, 'tests', 'golden', 'data',
                       'efficientzero_small.p')


def _run(name, *arguments):
  return subprocess.run(
      [sys.executable, '-m', f'launchers.{name}', *arguments], cwd=_ROOT,
      capture_output=True, text=True, timeout=300, check=False)


class OfficialCheckpointsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.output = os.path.join(self.folder, 'imported')

  def refuse(self, source, *flags):
    result = _run('import_checkpoint', f'--source={source}',
                  f'--output={self.output}', *flags)
    self.assertEqual(result.returncode, 65, result.stderr)
    self.assertEqual(result.stdout, '')
    self.assertStartsWith(result.stderr, f'error: {source}: ')
    self.assertNotIn('Traceback', result.stderr)
    self.assertFalse(os.path.exists(self.output))
    return result.stderr

  def test_there_and_back_again(self):
    result = _run('import_checkpoint', f'--source={_SOURCE}',
                  f'--output={self.output}', '--task=Pong')
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn('observations 96x96x12, 16 channels', result.stdout)
    self.assertEqual(result.stdout.split('\n')[-2], self.output)
    path = os.path.join(self.folder, 'exported.p')
    result = _run('export_checkpoint', f'--checkpoint={self.output}',
                  f'--output={path}')
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(result.stdout.split('\n')[-2], path)
    self.assertGreater(os.path.getsize(path), 700_000)

  def test_hostile_file(self):
    path = os.path.join(self.folder, 'hostile.p')
    planted = os.path.join(self.folder, 'planted')
    with open(path, 'wb') as file:
      file.write(hostile_checkpoints.archive(
          b'\x80\x02' + hostile_checkpoints.call(
              'os', 'system', f'touch {planted}') + b'.'))
    self.assertIn("asks for 'os.system'", self.refuse(path))
    self.assertFalse(os.path.exists(planted))

  def test_head_of_another_game(self):
    message = self.refuse(_SOURCE, '--task=Breakout')
    self.assertIn('prediction_network.fc_policy.3.weight has the shape '
                  '[6, 32], expected [4, 32]', message)


if __name__ == '__main__':
  absltest.main()
