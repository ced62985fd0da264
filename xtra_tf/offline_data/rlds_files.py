"""The files of a data set of tensorflow-datasets, looked at before its library.

`features.json` names the classes that decode the data, and the library imports
the module of any name that it does not know: only its own, harmless ones pass
here. The file names of `dataset_info.json` have to stay in its folder.
Source of the layout: tensorflow-datasets 4.9 `core/features/feature.py`
(`from_json`, `cls_from_name`), `core/dataset_info.py`.
"""

import json
import os
from typing import Any, Iterator, List, NamedTuple, Tuple

from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.offline_data.foreign_episode import check_name
from xtra_tf.offline_data.npy_stream import file_bytes
from xtra_tf.offline_data.tfrecord_frames import count_records

INFO = 'dataset_info.json'
FEATURES = 'features.json'
METADATA = 'metadata.json'
_MODULE = 'tensorflow_datasets.core.features.'
# What RLDS episodes are made of. ClassLabel may name a file; audio and video
# call other programs.
_CLASSES = frozenset(_MODULE + name for name in (
    'features_dict.FeaturesDict', 'dataset_feature.Dataset',
    'sequence_feature.Sequence', 'tensor_feature.Tensor', 'scalar.Scalar',
    'image_feature.Image', 'text_feature.Text'))
_NAME_KEYS = ('pythonClassName', 'python_class_name', 'type')
# JSON within a string, which may name classes once more.
_NESTED_KEYS = ('jsonFeature', 'json_feature')
_MAX_JSON = 2**24
COLUMNS = ('observation', 'action', 'reward', 'is_first', 'is_last',
           'is_terminal')
_COPY = 'Copy the data set anew.'


class RldsFiles(NamedTuple):
  """What the files of a data set say."""
  name: str  # e.g. `rlu_atari_checkpoints_ordered`
  config: str  # e.g. `Pong_run_1`, or empty
  version: str
  shards: Tuple[Tuple[str, int], ...]  # (file, episodes) in order
  features: Any  # tfds.features.FeaturesDict
  metadata: Any  # JSON of metadata.json


def find_data(path: str) -> str:
  """The folder of one version of a data set: `path`, or the only one in it.

  Raises:
    DataFileError: there is none, or several.
  """
  if os.path.isfile(os.path.join(path, INFO)):
    return path
  found = sorted(parent for parent, folders, names in os.walk(path)
                 if INFO in names and FEATURES in names)
  if len(found) == 1:
    return found[0]
  if not found:
    raise DataFileError(
        path, 'there is no data set of tensorflow-datasets here.',
        hint=f'Expected the folder of one, with {INFO} and {FEATURES}.')
  raise DataFileError(path, f'there are {len(found)} data sets here.',
                      hint='Expected one of them: '
                      + ', '.join(found[:5]) + '.')


def read_files(folder: str) -> RldsFiles:
  """Reads descriptions and counts the records of all shards.

  Args:
    folder: as of `find_data`.

  Raises:
    DataFileError: a file is missing, damaged or of another kind.
  """
  features = _read_features(os.path.join(folder, FEATURES))
  path = os.path.join(folder, INFO)
  info = _read_info(path)
  name = check_name(path, 'name of the data set', info.name)
  if info.file_format not in ('', 'tfrecord'):
    raise DataFileError(
        path, f'the file format is {info.file_format!r}.',
        hint='Expected tfrecord (tfds convert_format makes it).')
  shards: List[Tuple[str, int]] = []
  for split in info.splits:
    check_name(path, 'name of a split', split.name)
    if not split.shard_lengths:
      continue
    for file, length in zip(_shard_paths(path, folder, name, split),
                            split.shard_lengths):
      found = count_records(file)
      if found != length:
        raise DataFileError(
            file, f'the file has {found} episodes, expected {length} as {INFO} '
            'says.', record=found, hint=_COPY)
      shards.append((file, found))
  metadata = os.path.join(folder, METADATA)
  return RldsFiles(
      name, info.config_name, info.version, tuple(shards), features,
      read_json(metadata) if os.path.exists(metadata) else {})


def read_json(path: str) -> Any:
  """A JSON file of sensible size.

  Raises:
    DataFileError: it is missing or damaged.
  """
  size = file_bytes(path)
  if size > _MAX_JSON:
    raise DataFileError(path, f'the file has {size} bytes.',
                        hint=f'Expected at most {_MAX_JSON}.')
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except (OSError, ValueError, RecursionError) as error:
    raise DataFileError(path, f'the file cannot be read as JSON ({error}).',
                        hint=_COPY) from error


def _read_info(path: str) -> Any:
  """The message that `dataset_info.json` is the text of."""
  read_json(path)
  from tensorflow_datasets.core import dataset_info
  try:
    return dataset_info.read_from_json(path)
  # A damaged text can fail in any of protobuf's ways.
  except Exception as error:  # pylint: disable=broad-except
    raise DataFileError(
        path, f'the file is damaged or of an unknown version ({error}).',
        hint='Expected what tensorflow-datasets 4 writes.') from error


def _shard_paths(path: str, folder: str, name: str, split: Any
                 ) -> Iterator[str]:
  """The files of a split, by the template that it names."""
  import tensorflow_datasets as tfds
  template = split.filepath_template
  try:
    files = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=name, split=split.name,
        filetype_suffix='tfrecord', template=template or None)
    found = [os.fspath(file) for file in files.sharded_filepaths(
        num_shards=len(split.shard_lengths))]
  except Exception as error:  # pylint: disable=broad-except
    raise DataFileError(
        path, f'the file name {template!r} of the split {split.name} cannot be '
        f'understood ({error}).', hint=_COPY) from error
  for file in found:
    check_name(path, 'file name of a split', os.path.relpath(file, folder))
    yield file


def _class_names(node: Any) -> Iterator[str]:
  """Names of classes anywhere in features.json; what hides them, too."""
  children: List[Any] = []
  if isinstance(node, dict):
    for key, value in node.items():
      if key in _NAME_KEYS and isinstance(value, str):
        yield value
      elif key in _NESTED_KEYS or (key == 'content'
                                   and isinstance(value, str)):
        yield f'a description within {key!r}'
      else:
        children.append(value)
  elif isinstance(node, list):
    children = node
  for child in children:
    yield from _class_names(child)


def _read_features(path: str) -> Any:
  content = read_json(path)
  try:
    foreign = sorted(set(_class_names(content)) - _CLASSES)
  except RecursionError as error:
    raise DataFileError(path, 'it is nested too deeply.', hint=_COPY
                        ) from error
  if foreign:
    raise DataFileError(
        path, f'it names {", ".join(foreign)[:200]}, which is not imported.',
        hint='Expected only ' + ', '.join(sorted(
            name.rpartition('.')[2] for name in _CLASSES))
        + ' of tensorflow_datasets.core.features.')
  import tensorflow_datasets as tfds
  try:
    features = tfds.features.FeatureConnector.from_json(content)
  except Exception as error:  # pylint: disable=broad-except
    raise DataFileError(
        path, f'the file is damaged or of an unknown version ({error}).',
        hint='Expected what tensorflow-datasets 4 writes.') from error
  _check_features(path, features)
  return features


def _check_features(path: str, features: Any) -> None:
  """Refuses what are no episodes, or observations of an unknown kind."""
  import tensorflow_datasets as tfds
  steps = None
  if isinstance(features, tfds.features.FeaturesDict) and 'steps' in features:
    steps = features['steps']
  inner = steps.feature if isinstance(steps, tfds.features.Dataset) else None
  if not isinstance(inner, tfds.features.FeaturesDict):
    raise IncompatibleDataError(
        f'{path}: the data set has no `steps`. Expected the episodes of RLDS.')
  missing = [name for name in COLUMNS if name not in inner]
  if missing:
    raise DataFileError(path, f'the steps have no {", ".join(missing)}.',
                        hint=f'Expected the columns {", ".join(COLUMNS)}.')
  observation = inner['observation']
  if not isinstance(observation, (tfds.features.Image, tfds.features.Tensor)):
    raise IncompatibleDataError(
        f'{path}: the observations are {type(observation).__name__}. Expected '
        'one Image or Tensor.')
  for name, feature in inner.items():
    if isinstance(feature, tfds.features.Tensor) and str(
        feature._encoding).rpartition('.')[2].lower() != 'none':  # pylint: disable=protected-access
      raise IncompatibleDataError(
          f'{path}: the column {name} is compressed. Expected plain numbers or '
          'images.')
  for name in COLUMNS[1:]:
    if tuple(inner[name].shape) != ():
      raise IncompatibleDataError(
          f'{path}: the column {name} has the shape {inner[name].shape}. '
          'Expected one number a step.')

