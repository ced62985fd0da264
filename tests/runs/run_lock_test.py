import os
import re
import socket
import subprocess
import sys

from absl.testing import absltest

from xtra_tf.errors import StorageError, UsageError
from xtra_tf.runs.run_directory import RunDirectory
from xtra_tf.runs.run_lock import RunLock

_HOLD = """
import sys
from xtra_tf.runs.run_lock import RunLock
with RunLock(sys.argv[1]):
  sys.stdout.write('held')
  sys.stdout.flush()
  sys.stdin.read()
"""


class RunLockTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.root = os.path.join(self.create_tempdir().full_path, 'run')

  def hold(self):
    process = subprocess.Popen(
        [sys.executable, '-c', _HOLD, self.root], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    self.addCleanup(process.stdin.close)
    self.addCleanup(process.stdout.close)
    self.assertEqual(process.stdout.read(4), b'held')
    return process

  def test_second_process_is_refused_and_named_the_first(self):
    first = self.hold()
    with self.assertRaisesRegex(
        UsageError, f'in use by another run, process {first.pid} on '
        f'{re.escape(socket.gethostname())}. Expected one at a time.*run.lock'):
      with RunLock(self.root):
        self.fail('locked twice')
    # The refused one has not disturbed the first.
    with self.assertRaisesRegex(UsageError, f'process {first.pid}'):
      RunLock(self.root).__enter__()

  def test_roles_have_locks_of_their_own(self):
    with RunLock(self.root), RunLock(self.root, 'collector-0'):
      with RunLock(self.root, 'collector-1'):
        with self.assertRaisesRegex(
            UsageError, 'another collector-1, process .*collector-1.lock'):
          RunLock(self.root, 'collector-1').__enter__()

  def test_lock_ends_with_its_process(self):
    first = self.hold()
    first.kill()
    first.wait()
    with RunLock(self.root):
      pass

  def test_released_after_use_and_after_an_error(self):
    lock = RunLock(RunDirectory(self.root))
    with self.assertRaises(KeyError):
      with lock:
        raise KeyError
    with RunLock(self.root):
      pass
    self.assertFalse(os.path.exists(os.path.join(self.root, 'run.pid')))

  def test_refused_within_one_process(self):
    with RunLock(self.root):
      with self.assertRaisesRegex(UsageError, f'process {os.getpid()}'):
        RunLock(self.root).__enter__()

  def test_folder_that_cannot_be_made(self):
    path = self.create_tempfile('file').full_path
    with self.assertRaisesRegex(StorageError, 'Cannot write'):
      RunLock(os.path.join(path, 'run')).__enter__()


if __name__ == '__main__':
  absltest.main()
