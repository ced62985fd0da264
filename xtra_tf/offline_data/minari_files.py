"""The files of a Minari data set, looked at before the library reads them.

`metadata.json` describes the set; `main_data.hdf5` has a group per episode, the
layouts arrow and parquet have a folder per episode. Minari itself would make
the environment that the metadata name (and so import what they name), follow
links to other files and give any picture to Pillow: each of these is refused
here.
Source of the layout: Minari 0.5.3 `dataset/minari_storage.py`, `_storages/`.
"""

import json
import os
from typing import (
  Any,
  Collection,
  Dict,
  Iterable,
  Iterator,
  List,
  Mapping,
  Tuple,
)

import numpy as np

from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.numerics import jpeg_codec
from xtra_tf.offline_data.extras import load_library
from xtra_tf.offline_data.npy_stream import file_bytes

METADATA = 'metadata.json'
HDF5 = 'main_data.hdf5'
CRC_KEY = 'xtra_tf_crc32'  # of an episode, in our exports
END_KEY = 'xtra_tf_end'
_FORMATS = ('hdf5', 'arrow', 'parquet')
_MAX_METADATA = 2**28  # bounds are written per pixel; 96 x 96 x 3 take 0.3 MB
# Of one array of an episode: 27 000 frames of 96 x 96 x 3, the longest game of
# Atari, take 0.75 GB.
_MAX_BYTES = 2**30
_COLUMNS = ('observations', 'actions', 'rewards', 'terminations', 'truncations')
_COPY = 'Copy the data set anew.'
_SPACES = {'observation_space': ('Box', ('type', 'dtype', 'shape', 'low',
                                         'high')),
           'action_space': ('Discrete', ('type', 'n', 'start'))}


def find_data(path: str) -> str:
  """The folder with the metadata: `path` or `path`/data.

  Raises:
    DataFileError: there is none.
  """
  for folder in (path, os.path.join(path, 'data')):
    if os.path.isfile(os.path.join(folder, METADATA)):
      return folder
  raise DataFileError(
      path, 'there is no Minari data set here.', hint='Expected the folder of '
      'one, which has data/metadata.json.')


def read_metadata(folder: str, versions: Collection[str]) -> Dict[str, Any]:
  """The metadata, with the fields that are needed.

  Args:
    folder: as of `find_data`.
    versions: of Minari that the library reads.

  Raises:
    DataFileError: it is damaged, of an unknown version, or lacks a field.
    IncompatibleDataError: observations or actions of another kind.
  """
  path = os.path.join(folder, METADATA)
  size = file_bytes(path)
  if size > _MAX_METADATA:
    raise DataFileError(path, f'the file has {size} bytes.',
                        hint=f'Expected at most {_MAX_METADATA}.')
  try:
    with open(path, encoding='utf-8') as file:
      metadata = json.load(file)
  except (OSError, ValueError, RecursionError) as error:
    raise DataFileError(path, f'the file cannot be read as JSON ({error}).',
                        hint=_COPY) from error
  if not isinstance(metadata, dict):
    raise DataFileError(path, 'the file holds no JSON object.', hint=_COPY)
  found = metadata.get('minari_version')
  if not isinstance(found, str) or found not in versions:
    raise DataFileError(
        path, f'the data set is of Minari {found!r}.',
        hint=f'Expected one of {", ".join(sorted(versions))}.')
  if metadata.get('data_format') not in _FORMATS:
    raise DataFileError(
        path, f'the data format is {metadata.get("data_format")!r}.',
        hint=f'Expected one of {", ".join(_FORMATS)}.')
  for name in ('total_episodes', 'total_steps'):
    count = metadata.get(name)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
      raise DataFileError(path, f'the field {name} is {count!r}.',
                          hint='Expected a number, 0 or more.')
  for name in _SPACES:
    _check_space(path, name, metadata.get(name))
  return metadata


def _check_space(path: str, name: str, text: Any) -> None:
  """Without a space Minari would make the environment, hence run its code."""
  kind, fields = _SPACES[name]
  try:
    space = json.loads(text)
  except (TypeError, ValueError, RecursionError) as error:
    raise DataFileError(
        path, f'the field {name} is missing or damaged ({error}).',
        hint='Expected a space as JSON; the environment that is named instead '
        'is not made.') from error
  if not isinstance(space, dict) or space.get('type') != kind:
    found = space.get('type') if isinstance(space, dict) else space
    raise IncompatibleDataError(
        f'{path}: the {name} is {found!r}. Expected {kind}.')
  missing = [field for field in fields if field not in space]
  if missing:
    raise DataFileError(path, f'the field {name} lacks {missing}.', hint=_COPY)
  if kind == 'Box':
    try:
      fits = (np.dtype(space['dtype']).kind in 'fiu'
              and np.shape(space['low']) == tuple(space['shape'])
              and np.shape(space['high']) == tuple(space['shape']))
    except (TypeError, ValueError):
      fits = False
  else:
    fits = all(isinstance(space[f], int) for f in ('n', 'start')) and (
        0 < space['n'] < 2**31)
  if not fits:
    raise DataFileError(path, f'the field {name} does not fit itself.',
                        hint=_COPY)


class Hdf5Checks:
  """Looks at each episode of an hdf5 file; a context manager."""

  def __init__(self, folder: str, episodes: int):
    """Opens the file and looks at its links.

    Raises:
      DataFileError: the file is missing, damaged, or lacks an episode.
    """
    self._h5py = load_library('h5py', 'A Minari data set in hdf5')
    self.path = os.path.join(folder, HDF5)
    file_bytes(self.path)
    try:
      self._file = self._h5py.File(self.path, 'r')
    except Exception as error:  # pylint: disable=broad-except
      raise DataFileError(self.path, f'the file cannot be opened ({error}).',
                          hint=_COPY) from error
    try:
      found = len(self._file)
    except Exception as error:  # pylint: disable=broad-except
      self._file.close()
      raise DataFileError(self.path, f'the file is damaged ({error}).',
                          hint=_COPY) from error
    if found != episodes:
      self._file.close()
      raise DataFileError(
          self.path, f'the file has {found} episodes, expected {episodes} as '
          f'{METADATA} says.', hint=_COPY)

  def __enter__(self) -> 'Hdf5Checks':
    return self

  def __exit__(self, *error: Any) -> None:
    self._file.close()

  def check(self, episode: int) -> None:
    """Refuses links, arrays that lie elsewhere, and absurd sizes.

    Raises:
      DataFileError: naming the array; a column that is missing, too.
    """
    group = self._linked(self._file, f'episode_{episode}', episode)
    sizes = dict(self._arrays(group, '', episode))
    for name in _COLUMNS:
      if name not in sizes:
        raise DataFileError(self.path, f'the column {name} is missing.',
                            record=episode, hint=_COPY)

  def pictures(self, episode: int) -> Iterator[bytes]:
    """The observations of an episode as they lie there, a JPEG file each."""
    for row in self._file[f'episode_{episode}/observations']:
      yield np.asarray(row, np.uint8).tobytes()

  def attributes(self, episode: int) -> Mapping[str, Any]:
    return self._file[f'episode_{episode}'].attrs

  def _arrays(self, group: Any, prefix: str, episode: int
              ) -> Iterator[Tuple[str, int]]:
    for name in group:
      item = self._linked(group, name, episode)
      if isinstance(item, self._h5py.Group):
        yield from self._arrays(item, f'{prefix}{name}/', episode)
        continue
      problem = ''
      if not isinstance(item, self._h5py.Dataset):
        problem = 'is no array'
      elif item.is_virtual or item.external:
        problem = 'lies in another file, which is not opened'
      elif item.size * item.dtype.itemsize > _MAX_BYTES:
        problem = f'claims {item.size * item.dtype.itemsize} bytes'
      if problem:
        raise DataFileError(
            self.path, f'{prefix}{name} {problem}.', record=episode,
            hint=f'Expected arrays of at most {_MAX_BYTES} bytes in the file.')
      yield f'{prefix}{name}', item.size

  def _linked(self, group: Any, name: str, episode: int) -> Any:
    link = group.get(name, getlink=True) if name in group.keys() else None
    if link is None:
      raise DataFileError(self.path, f'{name} is missing.', record=episode,
                          hint=_COPY)
    if not isinstance(link, self._h5py.HardLink):
      raise DataFileError(
          self.path, f'{name} is a link to another place '
          f'({type(link).__name__}), which is not followed.', record=episode,
          hint='Expected the data themselves.')
    return group[name]


class ArrowChecks:
  """Looks at each episode of a set in arrow or parquet."""

  def __init__(self, folder: str, episodes: int, data_format: str):
    """Looks whether all folders are there.

    Raises:
      DataFileError: a folder is missing.
    """
    self._dataset = load_library('pyarrow.dataset', 'A Minari data set in '
                                 f'{data_format}')
    self._format = data_format
    self.path = folder
    for episode in range(episodes):
      file_bytes(os.path.join(folder, str(episode), METADATA))

  def __enter__(self) -> 'ArrowChecks':
    return self

  def __exit__(self, *error: Any) -> None:
    pass

  def check(self, episode: int) -> None:
    """Refuses missing columns and absurd sizes.

    Raises:
      DataFileError: naming the column.
    """
    data = self._open(episode)
    for name in _COLUMNS:
      if name not in data.schema.names:
        raise DataFileError(self.path, f'the column {name} is missing.',
                            record=episode, hint=_COPY)
    # Minari reads one batch and takes it for the whole episode.
    rows = data.count_rows()
    if not 0 < rows <= 2**17:
      raise DataFileError(self.path, f'the episode has {rows} rows.',
                          record=episode, hint=f'Expected 1 to {2**17}.')

  def pictures(self, episode: int) -> Iterator[bytes]:
    """The observations of an episode as they lie there, a JPEG file each."""
    table = self._open(episode).to_table(columns=['observations'])
    for value in table['observations']:
      yield value.as_py()

  def attributes(self, episode: int) -> Mapping[str, Any]:
    path = os.path.join(self.path, str(episode), METADATA)
    with open(path, encoding='utf-8') as file:
      content = json.load(file)
    if not isinstance(content, dict):
      raise DataFileError(path, 'the file holds no JSON object.', hint=_COPY)
    return content

  def _open(self, episode: int) -> Any:
    return self._dataset.dataset(
        os.path.join(self.path, str(episode)), format=self._format,
        ignore_prefixes=['_', '.', METADATA])


def check_pictures(path: str, episode: int, pictures: Iterable[bytes],
                   shape: Tuple[int, ...]) -> None:
  """Refuses anything that is no JPEG file of the expected size.

  Pillow would open any kind of picture, some of them by another program.

  Raises:
    DataFileError: naming the frame.
  """
  expected = (*shape, 1) if len(shape) == 2 else tuple(shape)
  for step, picture in enumerate(pictures):
    try:
      found: Any = jpeg_codec.picture_shape(picture)
    except (ValueError, IndexError) as error:
      found = error
    if found != expected:
      raise DataFileError(
          path, f'frame {step} is no JPEG file of the expected size: {found}.',
          record=episode, hint=f'Expected one of {list(expected)}.')


def stored_files(folder: str) -> List[str]:
  """All files of a data set."""
  return sorted(os.path.join(parent, name)
                for parent, _, names in os.walk(folder) for name in names)
