"""PyTorch's state dicts (`.p` files) as {name: array}, in and out.

Reading runs no code of the file and takes no more memory than the file has
bytes, whatever it says: see `torch_archive` and `torch_pickle`.
"""

import math
from typing import Dict, Mapping, NamedTuple, Tuple

import numpy as np

from xtra_tf.errors import DataFileError
from xtra_tf.runs import write_bytes
from xtra_tf.variables import torch_pickle, torch_writing
from xtra_tf.variables.torch_archive import TorchArchive
from xtra_tf.variables.torch_pickle import TensorView


class StateDict(NamedTuple):
  """The content of a `.p` file."""
  # {name: array}, in the order of the file. Two names of one tensor have one
  # and the same array.
  tensors: Dict[str, np.ndarray]
  versions: Dict[str, int]  # {module: version of its layout}


def read_state_dict(path: str) -> StateDict:
  """Reads a file that `torch.save(model.state_dict(), path)` has written.

  Args:
    path: the file.

  Returns:
    Its tensors, bit for bit, and its metadata.

  Raises:
    DataFileError: it is missing, truncated, damaged, no such file, or holds
      anything but tensors; says what.
  """
  with TorchArchive(path) as archive:
    pickled = torch_pickle.interpret(archive.pickle(), path)
    views = pickled.tensors
    for name, view in views.items():
      _check_view(path, name, view, archive.storage_bytes)
    _check_total(path, views, archive.storage_bytes)
    storages: Dict[str, np.ndarray] = {}
    arrays: Dict[TensorView, np.ndarray] = {}
    for view in views.values():
      if view.storage.key not in storages:
        storages[view.storage.key] = np.frombuffer(
            archive.storage(view.storage.key), view.storage.dtype)
      if view not in arrays:
        arrays[view] = _array(view, storages[view.storage.key])
  return StateDict({name: arrays[view] for name, view in views.items()},
                   pickled.versions)


def write_state_dict(path: str, state_dict: StateDict) -> None:
  """Writes a file that `torch.load` reads.

  Args:
    path: the file; its folder must exist. What was there is replaced.
    state_dict: what it shall hold.

  Raises:
    StorageError: no space, no permission.
    ValueError: an array is of a type that PyTorch does not have.
  """
  write_bytes(path, torch_writing.archive_bytes(*state_dict))


def module_versions(names: Mapping[str, object]) -> Dict[str, int]:
  """The metadata of a state dict with these names.

  PyTorch gives each module a version of its layout: 2 for a batch norm, which
  counts its batches since then, and 1 for all others.

  Args:
    names: of the tensors, in their order.

  Returns:
    {module: version}, parents first.
  """
  versions = {'': 1}
  for name in names:
    parts = name.split('.')[:-1]
    for count in range(1, len(parts) + 1):
      versions.setdefault('.'.join(parts[:count]), 1)
    if name.endswith('.running_mean'):
      versions['.'.join(parts)] = 2
  return versions


def _check_view(path: str, name: str, view: TensorView,
                storage_bytes: Mapping[str, int]) -> None:
  """A tensor must lie within its storage, and the storage in the file."""
  storage = view.storage
  place = f'its tensor {name!r} of shape {list(view.shape)[:8]}'
  size = np.dtype(storage.dtype).itemsize * storage.length
  found = storage_bytes.get(storage.key)
  if found is None:
    raise DataFileError(path, f'{place} is in a storage that the file does not '
                        'have. Expected the file as torch.save wrote it.')
  if found != size:
    raise DataFileError(
        path, f'{place} is in a storage of {found} bytes, expected {size}: '
        f'{storage.length} of {storage.dtype}.')
  last = view.offset + sum((length - 1) * stride for length, stride
                           in zip(view.shape, view.stride))
  if (math.prod(view.shape) > storage.length
      or (0 not in view.shape and last >= storage.length)):
    raise DataFileError(
        path, f'{place} reaches beyond its storage of {storage.length} numbers '
        f'(offset {view.offset}, strides {list(view.stride)[:8]}).')


def _check_total(path: str, views: Mapping[str, TensorView],
                 storage_bytes: Mapping[str, int]) -> None:
  """Parts of one storage (an LSTM's on a GPU) must not be parts of it twice."""
  needed: Dict[Tuple[str, int], int] = {}
  for view in set(views.values()):
    storage = (view.storage.key, view.storage.length)
    needed[storage] = needed.get(storage, 0) + math.prod(view.shape)
  for (key, count), numbers in needed.items():
    if numbers > count:
      raise DataFileError(
          path, f'its tensors in storage {key} have {numbers} numbers '
          f'together, but the storage has {count} ({storage_bytes[key]} '
          'bytes). Expected tensors that do not overlap.')


def _array(view: TensorView, storage: np.ndarray) -> np.ndarray:
  """The tensor, contiguous, in an array of its own that cannot be changed."""
  if 0 in view.shape:
    array = np.zeros(view.shape, storage.dtype)
  else:
    strided = np.lib.stride_tricks.as_strided(
        storage[view.offset:], view.shape,
        [stride * storage.itemsize for stride in view.stride])
    array = np.array(strided, order='C')
  array.flags.writeable = False
  return array
