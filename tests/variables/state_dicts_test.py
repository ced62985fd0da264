"""State dicts of PyTorch, read and written without it."""

import collections
import io
import os
import pickle
import zipfile

from absl.testing import absltest, parameterized
import numpy as np

from tests.variables import hostile_checkpoints
from xtra_tf.errors import DataFileError, StorageError
from xtra_tf.variables import torch_writing
from xtra_tf.variables.state_dicts import (
  StateDict,
  module_versions,
  read_state_dict,
  write_state_dict,
)

# Written by PyTorch, not by us.
_GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))), 'golden', 'data')
_GOLDEN_NAMES = ('efficientzero_small', 'xtra_small')


def _golden(name):
  path = os.path.join(_GOLDEN, f'{name}.p')
  with zipfile.ZipFile(path) as archive:
    return path, archive.read(f'{name}/data.pkl')


def _some_tensors():
  shared = np.arange(12, dtype=np.float32).reshape([3, 4])
  return {'layer.weight': shared,
          'layer.bias': np.array([np.nan, -0., np.inf], np.float32),
          'norm.running_mean': np.zeros([0], np.float32),
          'norm.num_batches_tracked': np.array(2**40, np.int64),
          'alias': shared,
          'half': np.ones([1, 1, 1], np.float16),
          'double': np.array([1e300]), 'flags': np.array([True, False]),
          'bytes': np.array([[255]], np.uint8),
          'whole': np.arange(300, dtype=np.int32),
          'kernel': np.ones([2, 3, 5, 7], np.float32)}


class _Reference(pickle.Unpickler):
  """Python's unpickler with stand-ins; only for files that we wrote."""

  def __init__(self, archive):
    self._archive = archive
    super().__init__(io.BytesIO(archive.read('archive/data.pkl')))

  def find_class(self, module, name):
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
      return self._rebuild
    assert module == 'torch', module
    return {'FloatStorage': np.float32, 'LongStorage': np.int64,
            'HalfStorage': np.float16, 'DoubleStorage': np.float64,
            'BoolStorage': np.bool_, 'ByteStorage': np.uint8,
            'IntStorage': np.int32}[name]

  def persistent_load(self, identity):
    kind, dtype, key, location, count = identity
    assert (kind, location) == ('storage', 'cpu')
    storage = np.frombuffer(self._archive.read(f'archive/data/{key}'), dtype)
    assert len(storage) == count
    return storage

  def _rebuild(self, storage, offset, shape, stride, requires_grad, hooks):
    assert (requires_grad, hooks) == (False, collections.OrderedDict())
    assert offset == 0
    return np.lib.stride_tricks.as_strided(
        storage, shape, [s * storage.itemsize for s in stride])


class StateDictsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.path = os.path.join(self.create_tempdir().full_path, 'model.p')

  def write(self, data):
    with open(self.path, 'wb') as file:
      file.write(data)

  def assert_same(self, found, expected):
    self.assertEqual(list(found), list(expected))
    for name, array in expected.items():
      self.assertEqual(found[name].dtype, array.dtype, name)
      self.assertEqual(found[name].shape, array.shape, name)
      self.assertEqual(found[name].tobytes(), array.tobytes(), name)

  def test_round_trip(self):
    tensors = _some_tensors()
    write_state_dict(self.path, StateDict(tensors, module_versions(tensors)))
    found = read_state_dict(self.path)
    self.assert_same(found.tensors, tensors)
    self.assertEqual(found.versions, module_versions(tensors))
    self.assertIs(found.tensors['alias'], found.tensors['layer.weight'])

  def test_pythons_unpickler_agrees(self):
    tensors = _some_tensors()
    write_state_dict(self.path, StateDict(tensors, {'': 1, 'norm': 2}))
    with zipfile.ZipFile(self.path) as archive:
      found = _Reference(archive).load()
    self.assertIs(type(found), collections.OrderedDict)
    self.assert_same(found, tensors)
    self.assertEqual(found._metadata, {'': {'version': 1},
                                       'norm': {'version': 2}})

  def test_many_tensors(self):
    """More than Python's pickler puts under one mark."""
    for count in (0, 1, 2, 1000, 1001, 2500):
      tensors = {f'a{i}': np.array([i], np.int64) for i in range(count)}
      write_state_dict(self.path, StateDict(tensors, {'': 1}))
      self.assert_same(read_state_dict(self.path).tensors, tensors)
      with zipfile.ZipFile(self.path) as archive:
        self.assert_same(_Reference(archive).load(), tensors)

  @parameterized.parameters(*_GOLDEN_NAMES)
  def test_pickle_is_the_one_that_pytorch_wrote(self, name):
    """Byte for byte: what PyTorch reads of its own, it reads of ours."""
    path, written_by_torch = _golden(name)
    data, storages = torch_writing.pickle_bytes(*read_state_dict(path))
    self.assertEqual(data, written_by_torch)
    with zipfile.ZipFile(path) as archive:
      for key, array in enumerate(storages):
        self.assertEqual(array.tobytes(),
                         archive.read(f'{name}/data/{key}'))

  def test_storages_are_aligned(self):
    write_state_dict(self.path, StateDict(_some_tensors(), {}))
    with zipfile.ZipFile(self.path) as archive:
      infos = archive.infolist()
    with open(self.path, 'rb') as file:
      whole = file.read()
    self.assertEqual(infos[0].filename, 'archive/data.pkl')
    for info in infos:
      start = info.header_offset + 30 + sum(
          int.from_bytes(whole[info.header_offset + at:][:2], 'little')
          for at in (26, 28))
      self.assertEqual(start % 64, 0, info.filename)
      self.assertEqual(info.compress_type, zipfile.ZIP_STORED)

  def test_equal_state_dicts_are_equal_files(self):
    first, second = (torch_writing.archive_bytes(_some_tensors(), {'': 1})
                     for _ in range(2))
    self.assertEqual(first, second)

  def test_parts_of_one_storage(self):
    """As an LSTM's weights on a GPU, and images with channels last."""
    numbers = np.arange(24, dtype=np.float32)
    entries = [
        ('a', hostile_checkpoints.tensor(
            (2, 3), (1, 2), 0, where=hostile_checkpoints.storage(count=24))),
        ('b', hostile_checkpoints.tensor(
            (6,), (3,), 6, where=hostile_checkpoints.storage(count=24)))]
    self.write(hostile_checkpoints.archive(
        hostile_checkpoints.state_dict(*entries), {'0': numbers.tobytes()}))
    self.assert_same(read_state_dict(self.path).tensors,
                     {'a': np.ascontiguousarray(numbers[:6].reshape([3, 2]).T),
                      'b': np.ascontiguousarray(numbers[6:24:3])})

  def test_plain_dictionary_without_metadata(self):
    self.write(hostile_checkpoints.archive(
        b'\x80\x02}' + hostile_checkpoints.text('a')
        + hostile_checkpoints.tensor() + b's.'))
    found = read_state_dict(self.path)
    self.assertEqual(list(found.tensors), ['a'])
    self.assertEqual(found.versions, {})

  def test_arrays_cannot_be_changed(self):
    tensors = _some_tensors()
    write_state_dict(self.path, StateDict(tensors, {}))
    found = read_state_dict(self.path).tensors['kernel']
    with self.assertRaisesRegex(ValueError, 'read-only'):
      found[:] = 0.

  def test_versions_of_modules(self):
    self.assertEqual(
        list(module_versions({'a.b.weight': 0, 'a.c.running_mean': 0}).items()),
        [('', 1), ('a', 1), ('a.b', 1), ('a.c', 2)])

  def test_name_of_any_length_is_not_repeated(self):
    with zipfile.ZipFile(self.path, 'w') as archive:
      archive.writestr('model/data.pkl', b'.' * 5000)
    with open(self.path, 'rb') as file:
      data = bytearray(file.read())
    data[26:28] = (4000).to_bytes(2, 'little')  # the member's name's length
    self.write(data)
    with self.assertRaisesRegex(DataFileError, 'File name in') as found:
      read_state_dict(self.path)
    self.assertLess(len(str(found.exception)), 1000)

  def test_missing_file(self):
    with self.assertRaisesRegex(DataFileError, 'model.p: does not exist'):
      read_state_dict(self.path)

  def test_folder(self):
    with self.assertRaisesRegex(DataFileError, 'is no file'):
      read_state_dict(os.path.dirname(self.path))

  def test_pipe_is_not_waited_for(self):
    os.mkfifo(self.path)
    with self.assertRaisesRegex(DataFileError, 'is no file'):
      read_state_dict(self.path)

  def test_checkpoint_with_more_than_a_state_dict(self):
    pickled = (b'\x80\x02}' + hostile_checkpoints.text('model')
               + hostile_checkpoints.state_dict(
                   ('a', hostile_checkpoints.tensor()))[2:-1] + b's.')
    self.write(hostile_checkpoints.archive(pickled))
    with self.assertRaisesRegex(DataFileError, "entry 'model' that is no ten"):
      read_state_dict(self.path)

  def test_type_that_pytorch_does_not_have(self):
    with self.assertRaisesRegex(ValueError, 'no storage for complex64. Expec'):
      write_state_dict(self.path, StateDict(
          {'a': np.zeros([1], np.complex64)}, {}))
    self.assertFalse(os.path.exists(self.path))

  def test_missing_folder(self):
    with self.assertRaises(StorageError):
      write_state_dict(os.path.join(self.path, 'x', 'y'), StateDict({}, {}))


if __name__ == '__main__':
  absltest.main()
