import builtins
import importlib
import importlib.metadata
import os
import queue
import socket
import sys
import time
from unittest import mock

from absl.testing import absltest, parameterized

from xtra_tf.experiments import doctor


class HealthyTest(absltest.TestCase):

  def test_this_machine(self):
    root = os.path.join(self.create_tempdir().full_path, 'run')
    checks = doctor.run_checks(root)
    self.assertEqual([c for c in checks if not c.ok], [])
    self.assertFalse(os.path.exists(root), 'The doctor changes nothing.')
    names = [c.name for c in checks]
    self.assertLen(set(names), len(names))
    self.assertContainsSubset(
        ['Python 3.11', 'Atari emulator', 'replay server',
         '--root_dir writable', 'gradient step'], names)
    for check in checks:
      self.assertNotEmpty(check.found)
      self.assertEndsWith(check.advice, '.')


class PlantedFaultsTest(parameterized.TestCase):
  """Each fault is one line with what was found, and never a traceback."""

  def check(self, look, *arguments):
    return doctor._check('x', lambda: look(*arguments), 'Do it.')

  def assert_fault(self, message, look, *arguments):
    check = self.check(look, *arguments)
    self.assertFalse(check.ok)
    self.assertRegex(check.found, message)
    self.assertNotIn('\n', check.found)

  def test_python(self):
    with mock.patch.object(sys, 'version_info', (3, 12, 1)):
      self.assert_fault(r'^3\.', doctor.python_version)

  @parameterized.parameters(
      ('4.12.2', '4.5.0', 'typing-extensions 4.12.2'),
      ('4.5.0.1', '4.5.0', '4.5.0.1'), ('2.1.0', '1.', ' 2.1.0'),
      ('2.150.1', '2.15.', '2.150.1'))
  def test_version(self, found, expected, message):
    with mock.patch.object(importlib.metadata, 'version', return_value=found):
      self.assert_fault(f'{message}$', doctor.version_is, 'typing-extensions',
                        expected)

  @parameterized.parameters(('4.5.0', '4.5.0'), ('1.26.4', '1.'))
  def test_right_version(self, found, expected):
    with mock.patch.object(importlib.metadata, 'version', return_value=found):
      self.assertEqual(doctor.version_is('numpy', expected), found)

  def test_not_installed(self):
    self.assert_fault('^no-such-thing is not installed$', doctor.version_is,
                      'no-such-thing', '1.')

  @parameterized.parameters(
      ImportError('undefined symbol: _ZN10'), RuntimeError('two\nlines'),
      AttributeError())
  def test_import_that_fails(self, error):
    with mock.patch.object(importlib, 'import_module', side_effect=error):
      self.assert_fault(f'^{type(error).__name__}: .', doctor.imports, 'numpy')

  def test_processor_without_avx_is_spared_tensorflow(self):
    real_open = builtins.open

    def fake_open(path, *arguments, **keywords):
      if path == '/proc/cpuinfo':
        path = self.create_tempfile('info', 'flags : sse2\n').full_path
      return real_open(path, *arguments, **keywords)

    with mock.patch.object(builtins, 'open', fake_open), (
        mock.patch.object(doctor, 'gradient_step', self.fail)):
      checks = {check.name: check for check in doctor.run_checks()}
    self.assertRegex(checks['processor'].found, 'without AVX')
    self.assertNotIn('gradient step', checks)
    self.assertIn('free port', checks)

  def test_no_games(self):
    roms = importlib.import_module('ale_py.roms')
    with mock.patch.object(roms, 'get_all_rom_ids', return_value=[]):
      self.assert_fault('without any game', doctor.atari_roms)

  def test_other_emulator(self):
    module = importlib.import_module('xtra_tf.environments.self_check')
    with mock.patch.object(module, 'check_atari', return_value=['a.', 'b.']):
      self.assert_fault(r'^a\. b\.$', doctor.atari_emulator)

  def test_no_port(self):
    with mock.patch.object(socket.socket, 'bind',
                           side_effect=PermissionError(13, 'denied')):
      self.assert_fault('PermissionError.*denied', doctor.free_port)

  def test_little_memory(self):
    limit = self.create_tempfile('memory.max', '1073741824\n').full_path
    with mock.patch.object(doctor, '_CGROUP_LIMIT', limit):
      self.assert_fault('^1.0 GiB available of 1.0 GiB$', doctor.memory)
    unlimited = self.create_tempfile('memory.max', 'max\n').full_path
    with mock.patch.object(doctor, '_CGROUP_LIMIT', unlimited), (
        mock.patch.object(doctor, 'NEEDED_MEMORY_BYTES', 1)):
      self.assertTrue(self.check(doctor.memory).ok)

  def test_little_room(self):
    with mock.patch.object(doctor, 'NEEDED_DISK_BYTES', 2**60):
      self.assert_fault('free at /tmp', doctor.disk, '/tmp/not/there')

  def test_root_dir_that_cannot_be_written(self):
    self.assert_fault('^/proc: ', doctor.writable, '/proc/run')
    file = self.create_tempfile('file').full_path
    self.assert_fault('is a file', doctor.writable, os.path.join(file, 'run'))

  def test_foreign_files_among_reverb_checkpoints(self):
    root = self.create_tempdir()
    folder = root.mkdir('teacher/Alien/replay/reverb')
    dated = folder.mkdir('2026-01-02T03:04:05.678+00:00')
    del dated
    check = self.check(doctor.reverb_folders, root.full_path)
    self.assertEqual((check.ok, check.found), (True, '1 folders in order'))
    folder.create_file('README')
    self.assert_fault('not of Reverb: .*/README$', doctor.reverb_folders,
                      root.full_path)

  def test_replay_server_that_never_answers(self):
    with mock.patch.object(doctor, '_REVERB_TIMEOUT', 0.05), mock.patch.object(
        doctor, '_reverb_round_trip', lambda: time.sleep(1)):
      self.assert_fault('^no answer in 0 s$', doctor.reverb_round_trip)

  def test_replay_server_that_fails(self):
    with mock.patch.object(doctor, '_reverb_round_trip',
                           side_effect=queue.Full):
      self.assert_fault('^Full: ', doctor.reverb_round_trip)

  def test_long_explanations_are_cut(self):
    with mock.patch.object(importlib, 'import_module',
                           side_effect=ImportError('x' * 1000)):
      check = self.check(doctor.imports, 'numpy')
    self.assertLen(check.found, 300)

  def test_without_root_dir(self):
    with mock.patch.object(doctor, 'processor', side_effect=ValueError):
      names = [check.name for check in doctor.run_checks()]
    self.assertNotIn('--root_dir writable', names)


if __name__ == '__main__':
  absltest.main()
