"""A state dict as the bytes that `torch.save` would write.

PyTorch is not needed. The pickle has the opcodes of Python's own pickler in
protocol 2, one for one, so that every PyTorch since 1.6 reads it, with
`weights_only=True` too.
Source: PyTorch `torch/serialization.py` (`_save`), `torch/_utils.py`.
"""

import io
from typing import Dict, Hashable, List, Mapping, Sequence, Tuple
import zipfile

import numpy as np

from xtra_tf.variables import torch_pickle

# Its own name does not matter to torch.load; this one is that of old versions.
_ROOT = 'archive'
_ALIGNMENT = 64  # of a storage in the file, so that it can be mapped
_LOCAL_HEADER_BYTES = 30
_PADDING_HEADER = 4
_BATCH = 1000  # items that Python's pickler puts under one mark
_STORAGES = {dtype: name
             for name, dtype in torch_pickle.STORAGE_DTYPES.items()}


def archive_bytes(tensors: Mapping[str, np.ndarray],
                  versions: Mapping[str, int]) -> bytes:
  """The whole file.

  Args:
    tensors: {name: array}, in the order that they shall have. One and the same
      array under two names becomes one storage, as for PyTorch's own aliases.
    versions: {module: version of its layout}.

  Returns:
    The bytes.

  Raises:
    ValueError: an array is of a type that has no storage.
  """
  data, storages = pickle_bytes(tensors, versions)
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_STORED) as archive:
    def add(name: str, content: bytes) -> None:
      archive.writestr(_aligned(name, buffer.tell()), content)

    add('data.pkl', data)
    add('byteorder', b'little')
    for key, array in enumerate(storages):
      little = array.astype(array.dtype.newbyteorder('<'), copy=False)
      add(f'data/{key}', little.tobytes())
    add('version', b'3\n')
  return buffer.getvalue()


def pickle_bytes(tensors: Mapping[str, np.ndarray], versions: Mapping[str, int]
                 ) -> Tuple[bytes, List[np.ndarray]]:
  """data.pkl, and the arrays behind its storages 0, 1, ...

  Args:
    tensors: as of `archive_bytes`.
    versions: as of `archive_bytes`.

  Raises:
    ValueError: an array is of a type that has no storage.
  """
  writer = _Writer()
  writer.begin()
  writer.items([(name, lambda array=array: writer.tensor(array))
                for name, array in tensors.items()])
  writer.metadata(versions)
  return writer.end(), writer.storages


def _aligned(name: str, position: int) -> zipfile.ZipInfo:
  """A member to be written at `position`, its bytes at a multiple of 64."""
  info = zipfile.ZipInfo(f'{_ROOT}/{name}')  # of 1980: equal files stay equal
  begin = (position + _LOCAL_HEADER_BYTES + len(info.filename)
           + _PADDING_HEADER)
  padding = -begin % _ALIGNMENT
  info.extra = b'FB' + padding.to_bytes(2, 'little') + b'Z' * padding
  return info


class _Writer:
  """Emits what Python's pickler would for the objects of a state dict."""

  def __init__(self) -> None:
    self._out = io.BytesIO()
    self._memo: Dict[Hashable, int] = {}
    self._memo_size = 0
    self._keys: Dict[int, str] = {}
    self.storages: List[np.ndarray] = []

  def begin(self) -> None:
    self._out.write(b'\x80\x02')
    self._ordered_dict()

  def end(self) -> bytes:
    self._out.write(b'.')
    return self._out.getvalue()

  def items(self, items: Sequence) -> None:
    """Items of the dictionary on the stack: (key, function writing it)."""
    for begin in range(0, len(items), _BATCH):
      batch = items[begin:begin + _BATCH]
      if len(batch) > 1:
        self._out.write(b'(')
      for name, write_value in batch:
        self._string(name)
        write_value()
      self._out.write(b'u' if len(batch) > 1 else b's')

  def tensor(self, array: np.ndarray) -> None:
    """A call of _rebuild_tensor_v2 with a reference to the storage."""
    if array.dtype.name not in _STORAGES:
      raise ValueError(f'PyTorch has no storage for {array.dtype.name}. '
                       f'Expected one of {", ".join(sorted(_STORAGES))}.')
    if id(array) not in self._keys:
      self._keys[id(array)] = str(len(self.storages))
      self.storages.append(array)
    key = self._keys[id(array)]
    self._global(torch_pickle.REBUILD_TENSOR)
    self._out.write(b'((')
    self._shared('storage')
    self._global(_STORAGES[array.dtype.name])
    self._shared(key)
    self._shared('cpu')
    self._integer(array.size)
    self._out.write(b't')
    self._put()
    self._out.write(b'Q')
    self._integer(0)  # offset
    self._sizes(array.shape)
    self._sizes([int(np.prod(array.shape[axis + 1:], dtype=np.int64))
                 for axis in range(array.ndim)])  # strides
    self._out.write(b'\x89')  # requires_grad
    self._ordered_dict()  # backward hooks
    self._out.write(b't')
    self._put()
    self._out.write(b'R')
    self._put()

  def metadata(self, versions: Mapping[str, int]) -> None:
    """The attribute `_metadata` of the dictionary on the stack."""
    self._empty_dict()
    self._string('_metadata')
    self._ordered_dict()
    self.items([(name, lambda version=version: self._version(version))
                for name, version in versions.items()])
    self._out.write(b'sb')

  def _version(self, version: int) -> None:
    self._empty_dict()
    self._shared('version')
    self._integer(version)
    self._out.write(b's')

  def _empty_dict(self) -> None:
    self._out.write(b'}')
    self._put()

  def _ordered_dict(self) -> None:
    self._global(torch_pickle.ORDERED_DICT)
    self._out.write(b')R')
    self._put()

  def _sizes(self, sizes: Sequence[int]) -> None:
    if not sizes:
      self._out.write(b')')
      return
    if len(sizes) > 3:
      self._out.write(b'(')
    for size in sizes:
      self._integer(size)
    self._out.write({1: b'\x85', 2: b'\x86', 3: b'\x87'}.get(len(sizes), b't'))
    self._put()

  def _integer(self, value: int) -> None:
    if value < 2**8:
      self._out.write(b'K' + value.to_bytes(1, 'little'))
    elif value < 2**16:
      self._out.write(b'M' + value.to_bytes(2, 'little'))
    else:
      # Sizes beyond 2^31 would not fit; no tensor of ours is so large.
      self._out.write(b'J' + value.to_bytes(4, 'little', signed=True))

  def _string(self, text: str) -> None:
    data = text.encode('utf-8')
    self._out.write(b'X' + len(data).to_bytes(4, 'little') + data)
    self._put()

  def _shared(self, text: str) -> None:
    """A string that is one object wherever it occurs."""
    if not self._remembered(('string', text)):
      self._memo['string', text] = self._memo_size
      self._string(text)

  def _global(self, name: str) -> None:
    if not self._remembered(('global', name)):
      self._memo['global', name] = self._memo_size
      module, _, attribute = name.rpartition('.')
      self._out.write(b'c' + f'{module}\n{attribute}\n'.encode())
      self._put()

  def _remembered(self, what: Hashable) -> bool:
    if what not in self._memo:
      return False
    self._at_memo(b'h', b'j', self._memo[what])
    return True

  def _put(self) -> None:
    self._at_memo(b'q', b'r', self._memo_size)
    self._memo_size += 1

  def _at_memo(self, short: bytes, long: bytes, index: int) -> None:
    self._out.write(short + index.to_bytes(1, 'little') if index < 2**8
                    else long + index.to_bytes(4, 'little'))
