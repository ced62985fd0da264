"""Every launcher answers --help at once and refuses mistakes with a code."""

import glob
import os
import resource
import subprocess
import sys
import unittest

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LAUNCHERS = sorted(
    os.path.splitext(os.path.basename(path))[0]
    for path in glob.glob(os.path.join(_ROOT, 'launchers', '*.py'))
    if "if __name__ == '__main__'" in open(path, encoding='utf-8').read())
# They make or change files, or serve many runs; no run is concerned.
_WITHOUT_A_RUN = ('export_checkpoint', 'export_dataset', 'import_checkpoint',
                  'import_dataset', 'inspect_dataset', 'inspect_model',
                  'report')


def _run(name, *arguments):
  return subprocess.run(
      [sys.executable, '-m', f'launchers.{name}', *arguments], cwd=_ROOT,
      capture_output=True, text=True, timeout=120, check=False)


def _child_seconds():
  """Processor time of all children that have ended."""
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


class LaunchersTest(unittest.TestCase):

  def test_there_are_launchers(self):
    self.assertIn('xtra', _LAUNCHERS)
    self.assertIn('doctor', _LAUNCHERS)
    for name in _WITHOUT_A_RUN:
      self.assertIn(name, _LAUNCHERS)

  def test_help_answers_within_two_seconds_and_exits_with_0(self):
    for name in _LAUNCHERS:
      with self.subTest(name):
        before = _child_seconds()
        result = _run(name, '--help')
        # Of a processor: other tests run at the same time.
        self.assertLess(_child_seconds() - before, 2.0)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('Examples:', result.stdout)
        self.assertEqual('--root_dir' in result.stdout,
                         name not in _WITHOUT_A_RUN)
        self.assertIn('--[no]debug', result.stdout)

  def test_a_reader_of_the_help_may_go_away(self):
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, '-m', 'launchers.xtra', '--help'], cwd=_ROOT,
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120,
        check=False)
    os.close(writing)
    self.assertEqual(result.returncode, 0)
    self.assertEqual(result.stderr, '')

  def test_wrong_usage_exits_with_2(self):
    for name in _LAUNCHERS:
      with self.subTest(name):
        result = _run(name, '--no_such_flag=1')
        self.assertEqual(result.returncode, 2)
        self.assertIn('no_such_flag', result.stderr)
        self.assertNotIn('Traceback', result.stderr)

  def test_stray_argument_exits_with_2(self):
    result = _run('xtra', '--root_dir=x', 'stray')
    self.assertEqual(result.returncode, 2)
    self.assertIn('stray', result.stderr)

  def test_missing_root_dir_is_named(self):
    result = _run('xtra')
    self.assertEqual(result.returncode, 2)
    self.assertIn('--root_dir is missing', result.stderr)

  def test_missing_files_are_named(self):
    for name, flag in (('import_checkpoint', 'source'),
                       ('export_checkpoint', 'checkpoint')):
      result = _run(name, '--output=x')
      self.assertEqual(result.returncode, 2)
      self.assertIn(f'--{flag} is missing. Expected e.g.', result.stderr)

  def test_malformed_task_data_shows_an_example(self):
    result = _run('xtra', '--root_dir=x', '--task_data=Alien')
    self.assertEqual(result.returncode, 2)
    self.assertIn('--task_data=Alien=data/alien', result.stderr)


if __name__ == '__main__':
  unittest.main()
