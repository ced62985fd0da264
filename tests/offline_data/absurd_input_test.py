"""Files that promise the moon: refused by name, within 5 s and 1 GiB."""

import gzip
import io
import os
import struct
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from tests.offline_data import dqn_replay_test, efficientzero_replay_test
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.importing import import_dataset
from xtra_tf.runs import free_space
from xtra_tf.testing.resource_limits import limited

_MIB = 2**20


def npy(text, version=1, length=None, rest=b''):
  """A .npy file with any text as its header."""
  body = text.encode('latin-1')
  size = len(body) if length is None else length
  return (b'\x93NUMPY' + bytes([version, 0])
          + struct.pack('<H' if version == 1 else '<I', size) + body + rest)


def claim(shape, descr='|u1', order=False):
  return f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"


# What a .npy file can look like; none of them is one of ours.
_HEADERS = {
    'eight_terabytes': npy(claim('(8796093022208,)')),
    'product_overflows': npy(claim('(3, 4611686018427387904, 4)')),
    'negative': npy(claim('(-3,)')),
    'negative_row': npy(claim('(3, -4, -4)')),
    'not_closed': npy("{'descr': '<i4', 'fortran_order': False, 'shape': (3"),
    'open_string': npy("{'descr': '''<i4"),
    'nul_byte': npy("{'descr': \0"),
    'deep': npy('(' * 5000),
    'a_number': npy('7'),
    'no_fields': npy('{}'),
    'float_shape': npy(claim('(3.5,)')),
    'objects': npy(claim('(3,)', '|O')),
    'nested_objects': npy(claim('(3,)', [('a', [('b', '|O')])])),
    'giant_strings': npy(claim('(3,)', '|S2147483647')),
    'empty_strings': npy(claim('(3,)', '|S0')),
    'columns': npy(claim('(3, 8, 8)', order=True)),
    'version_3': npy(claim('(3,)'), version=3),
    'text': b'not a number in sight',
    'empty': b'',
}


class DqnReplayTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'Pong')
    dqn_replay_test.write_memory(
        self.source, dqn_replay_test.records(['rrt']))

  def path(self, column):
    return os.path.join(self.source, dqn_replay_test.name(column))

  def put(self, column, content):
    with gzip.open(self.path(column), 'wb', compresslevel=1) as file:
      file.write(content)

  def refused(self, column, *texts):
    with self.assertRaises((DataFileError, IncompatibleDataError)) as caught:
      with limited():
        import_dataset(open_source('dqn_replay', self.source, 'Pong'),
                       os.path.join(self.folder, 'data'))
    for text in (self.path(column), *texts):
      self.assertIn(text, str(caught.exception))
    self.assertEqual(os.listdir(self.folder), ['Pong'])

  @parameterized.product(
      header=tuple(_HEADERS), column=('observation', 'reward'))
  def test_headers(self, header, column):
    self.put(column, _HEADERS[header])
    with self.assertRaises((DataFileError, IncompatibleDataError)) as caught:
      with limited():
        open_source('dqn_replay', self.source, 'Pong')
    self.assertIn(self.source, str(caught.exception))
    self.assertLess(len(str(caught.exception)), 600)

  def test_a_bomb_of_large_frames(self):
    # 1 GiB of zeros in 1 MiB, as 256 frames of 2048 x 2048.
    whole = io.BytesIO()
    with gzip.GzipFile(fileobj=whole, mode='wb', compresslevel=1) as file:
      file.write(npy(claim('(256, 2048, 2048)')))
      for _ in range(1024):
        file.write(bytes(_MIB))
    with open(self.path('observation'), 'wb') as file:
      file.write(whole.getvalue())
    self.refused('observation', '[2048, 2048]', '8 to 512 pixels')

  def test_a_bomb_in_the_header(self):
    blanks = gzip.compress(bytes(64 * _MIB), 1)
    with open(self.path('reward'), 'wb') as file:
      file.write(gzip.compress(npy('{', version=2, length=2**32 - 1)))
      for _ in range(20):
        file.write(blanks)
    self.refused('reward', 'claims to have 4294967295 bytes')

  def test_a_bomb_behind_the_last_row(self):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros([3], np.float32))
    self.put('reward', buffer.getvalue() + bytes(200 * _MIB))
    self.refused('reward', 'goes on behind its 3 rows')

  def test_a_file_that_is_a_folder(self):
    os.unlink(self.path('action'))
    os.mkdir(self.path('action'))
    self.refused('action')

  def test_a_wrong_suffix(self):
    os.rename(self.path('action'), self.path('action')[:-3])
    self.refused('action', 'missing')

  def test_swapped_columns(self):
    one, two = self.path('observation'), self.path('action')
    os.rename(one, one + 'x')
    os.rename(two, one)
    os.rename(one + 'x', two)
    self.refused('observation', 'Expected uint8[records, H, W]')

  def test_a_link_that_leads_nowhere(self):
    os.unlink(self.path('action'))
    os.symlink('/nowhere/at/all', self.path('action'))
    self.refused('action', 'missing')


class EfficientZeroReplayTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'seed_0')
    self.memory = os.path.join(self.source, 'replay', '0')
    life = efficientzero_replay_test.play(9, 0)
    efficientzero_replay_test.write_memory(
        self.memory, efficientzero_replay_test.blocks_of(life, 6))

  def path(self, name):
    return os.path.join(self.memory, f'{name}.npy')

  def refused(self, name):
    with self.assertRaises((DataFileError, IncompatibleDataError)) as caught:
      with limited():
        import_dataset(open_source('efficientzero', self.source, 'Pong'),
                       os.path.join(self.folder, 'data'))
    self.assertIn(self.path(name), str(caught.exception))
    self.assertLess(len(str(caught.exception)), 600)
    self.assertEqual(os.listdir(self.folder), ['seed_0'])

  @parameterized.product(
      header=tuple(_HEADERS),
      name=('utils', '0/actions', '0/obs', '0/visits', '1/root'))
  def test_headers(self, header, name):
    with open(self.path(name), 'wb') as file:
      file.write(_HEADERS[header])
    self.refused(name)

  @parameterized.parameters(
      ('0/actions', '<i8', 8), ('0/obs', '|S4096', 4096),
      ('0/reward', '<f8', 8), ('prior', '<f8', 8))
  def test_sparse_files_that_hold_what_they_claim(self, name, descr, size):
    header = npy(claim('(17179869184,)', descr))
    with open(self.path(name), 'wb') as file:
      file.write(header)
      file.truncate(min(len(header) + 2**34 * size, 2**43))
    # Else a small disk is what is complained of.
    with mock.patch.object(free_space, 'free_bytes', return_value=2**50):
      self.refused(name)

  def test_more_histories_than_can_be(self):
    np.save(self.path('utils'), np.array([0, 2**62]))
    np.save(self.path('game_look_up'), np.array([[2**62 - 1, 0]] * 9))
    self.refused('2/actions')


if __name__ == '__main__':
  absltest.main()
