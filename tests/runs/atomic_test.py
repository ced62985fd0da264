import errno
import os
import resource
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.episodes import schema
from xtra_tf.errors import DataFileError, StorageError
from xtra_tf.runs import atomic, free_space


class WriteTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.path = os.path.join(self.folder, 'a.json')

  def test_round_trip_replaces_and_leaves_nothing_else(self):
    for content in ({'a': [1, 2.5, None, 'ä']}, {'b': {}}):
      atomic.write_json(self.path, content)
      self.assertEqual(atomic.read_json(self.path), content)
    self.assertEqual(os.listdir(self.folder), ['a.json'])

  def test_numpy_becomes_plain(self):
    atomic.write_json(self.path, {'a': np.float32(0.5), 'b': np.arange(2)})
    self.assertEqual(atomic.read_json(self.path), {'a': 0.5, 'b': [0, 1]})

  @parameterized.parameters(float('nan'), float('inf'))
  def test_non_finite_is_refused(self, value):
    with self.assertRaisesRegex(ValueError, 'JSON compliant'):
      atomic.write_json(self.path, {'a': value})
    self.assertEmpty(os.listdir(self.folder))

  def test_content_is_on_the_disk_before_it_gets_its_name(self):
    calls = []
    real = {'fsync': os.fsync, 'replace': os.replace}
    for name, function in real.items():
      def wrapped(*arguments, name=name, function=function):
        calls.append(name)
        return function(*arguments)
      self.enter_context(mock.patch.object(os, name, wrapped))
    atomic.write_bytes(self.path, b'x')
    # File, rename, folder.
    self.assertEqual(calls, ['fsync', 'replace', 'fsync'])

  def test_failed_write_keeps_the_old_content(self):
    atomic.write_bytes(self.path, b'old')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ, so that the write fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
      with self.assertRaisesRegex(StorageError, 'Cannot write .*a.json: File'):
        atomic.write_bytes(self.path, b'n' * 100_000)
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with open(self.path, 'rb') as file:
      self.assertEqual(file.read(), b'old')
    self.assertEqual(os.listdir(self.folder), ['a.json'])

  def test_a_role_that_sweeps_meanwhile_does_no_harm(self):
    # Its owner is at work, in another process of the run.
    synced, swept = os.fsync, []

    def sweep(descriptor):
      synced(descriptor)
      if not swept:
        swept.extend(atomic.sweep_temporary(self.folder))

    for write in (atomic.write_bytes, schema.write_whole):
      del swept[:]
      with mock.patch.object(os, 'fsync', sweep):
        write(self.path, b'new')
      self.assertLen(swept, 1)
      with open(self.path, 'rb') as file:
        self.assertEqual(file.read(), b'new')
      os.unlink(self.path)
    self.assertEmpty(os.listdir(self.folder))

  def test_full_disk_says_path_needed_and_free(self):
    full = OSError(errno.ENOSPC, 'No space left on device')
    with mock.patch.object(os, 'fsync', side_effect=full):
      with self.assertRaisesRegex(
          StorageError, r'No space left: .*a\.json, needed 2\.0 KiB, free [\d.]'
          r'+ .iB\. Make room and run the same command again'):
        atomic.write_bytes(self.path, b'n' * 2048)
    self.assertEmpty(os.listdir(self.folder))

  def test_missing_permission(self):
    error = atomic.storage_error(
        self.path, OSError(errno.EACCES, 'Permission denied'))
    self.assertRegex(str(error), 'a.json: Permission denied. Expected a place '
                     'that this user may write to')
    self.assertEqual(error.exit_code, 74)

  def test_folder_that_is_a_file(self):
    atomic.write_bytes(self.path, b'')
    with self.assertRaisesRegex(StorageError, 'Cannot write .*a.json/b'):
      atomic.make_folder(os.path.join(self.path, 'b'))


class ReadTest(parameterized.TestCase):

  def test_missing(self):
    with self.assertRaisesRegex(DataFileError, 'nowhere.json: cannot be read'):
      atomic.read_json('/nowhere.json')

  @parameterized.parameters('', '{"a": 1', '{"a": 1}}', '\x00')
  def test_damaged(self, text):
    path = self.create_tempfile('b.json', text).full_path
    with self.assertRaisesRegex(DataFileError, 'b.json: is damaged: expected'):
      atomic.read_json(path)

  def test_wrong_encoding(self):
    path = self.create_tempfile('b.json', b'"\xff"', mode='wb').full_path
    with self.assertRaisesRegex(DataFileError, 'is damaged'):
      atomic.read_json(path)


class SweepTest(absltest.TestCase):

  def test_only_our_own_leftovers(self):
    root = self.create_tempdir()
    for name in ('.a.json.12-345.tmp', 'b/.c.json.1-2.tmp', '.hidden.tmp',
                 'notes.tmp', '.12-34.tmp.txt', 'b/c.json'):
      root.create_file(name)
    removed = atomic.sweep_temporary(root.full_path)
    self.assertCountEqual(
        [os.path.relpath(path, root.full_path) for path in removed],
        ['.a.json.12-345.tmp', 'b/.c.json.1-2.tmp'])
    self.assertCountEqual(os.listdir(root.full_path),
                          ['.hidden.tmp', 'notes.tmp', '.12-34.tmp.txt', 'b'])

  def test_a_killed_write_is_one_of_them(self):
    folder = self.create_tempdir().full_path
    with mock.patch.object(os, 'replace', side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        atomic.write_json(os.path.join(folder, 'a.json'), {})
    self.assertLen(atomic.sweep_temporary(folder), 1)
    self.assertEmpty(os.listdir(folder))


class FreeSpaceTest(parameterized.TestCase):

  def test_enough(self):
    free_space.check_free_space('/tmp/not/there/yet', 1)

  def test_not_enough(self):
    with self.assertRaisesRegex(
        StorageError, r'/tmp/x needs 1024.0 TiB, free are [\d.]+ \w+\. Exp'):
      free_space.check_free_space('/tmp/x', 2**50)

  @parameterized.parameters(
      (0, '0 B'), (1023, '1023 B'), (1024, '1.0 KiB'), (1536, '1.5 KiB'),
      (3 * 2**30, '3.0 GiB'), (2**40, '1.0 TiB'))
  def test_format(self, count, text):
    self.assertEqual(free_space.format_bytes(count), text)

  def test_existing_parent(self):
    folder = self.create_tempdir().full_path
    self.assertEqual(free_space.existing_parent(folder + '/a/b'), folder)


if __name__ == '__main__':
  absltest.main()
