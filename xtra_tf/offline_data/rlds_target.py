"""Writes an RLDS data set as tensorflow-datasets keeps them.

Source: tensorflow-datasets 4.9 `core/sequential_writer.py`, which is what
`rlds.tfds.EpisodeWriter` calls as well.
"""

import re
from typing import Any, Dict, Mapping

import numpy as np

from xtra_tf.episodes import Episode, EpisodeLog
from xtra_tf.episodes.schema import Header
from xtra_tf.errors import UsageError
from xtra_tf.offline_data import export_header
from xtra_tf.offline_data.exporting import ExportTarget
from xtra_tf.offline_data.extras import load_library
from xtra_tf.offline_data.rlds_source import OWN_NAMES
from xtra_tf.runs import as_storage_error, make_folder

_NAME = re.compile(r'^[a-z][a-z0-9_]*$')
_SPLIT = 'train'
_SHARD_EPISODES = 100


class RldsTarget(ExportTarget):
  """One data set of version 1.0.0; its name is that of its folder.

  Rewards are the raw ones, actions the ids of the task's family. Steps have the
  further columns of the log as columns of their own.
  """

  not_carried = (
      'Of `cut` episodes other readers see a truncation; an import from here '
      'sees the cut.',
      'Episode and writer numbers are counted anew.')

  def __init__(self, header: Header, name: str):
    """Checks the name.

    Args:
      header: of the log.
      name: of the data set.

    Raises:
      UsageError: tensorflow-datasets is not installed, or the name cannot be a
        data set's.
    """
    load_library('tensorflow_datasets', 'The format rlds')
    if not _NAME.match(name):
      raise UsageError(
          f'{name!r} cannot be the name of an RLDS data set. Expected lower '
          'case, digits and _, e.g. --output=data/pong_random.')
    self._header = header
    self._name = name
    self._writer: Any = None
    shape = header.task.observation_shape
    self._pictures = (header.task.observation_dtype == 'uint8'
                      and len(shape) == 3 and shape[2] in (1, 3))
    self.frames = 'PNG' if self._pictures else 'lossless, as numbers'

  def needed_bytes(self, log: EpisodeLog) -> int:
    # 2,400 frames of Pong: 1.8 MB as PNG, 0.74 MB in the log.
    return 3 * log.stored_bytes

  def begin(self, folder: str) -> None:
    import tensorflow_datasets as tfds
    task = self._header.task
    make_folder(folder)
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=self._name, version=tfds.core.Version('1.0.0'), data_dir=folder,
        module_name='')
    info = tfds.core.DatasetInfo(
        builder=identity, features=self._features(tfds),
        disable_shuffling=True,
        description=f'Episodes of {task.name}; actions are those of its family.'
        , metadata=tfds.core.MetadataDict(
            {export_header.KEY: export_header.encode(self._header)}))
    with as_storage_error(folder):
      self._writer = tfds.core.SequentialWriter(info, _SHARD_EPISODES)
      self._writer.initialize_splits([_SPLIT])
    self._folder = folder

  def write(self, episode: Episode) -> None:
    assert episode.observation is not None
    count = len(episode.real)
    flags = {name: np.zeros([count], bool)
             for name in ('is_first', 'is_last', 'is_terminal')}
    flags['is_first'][0] = flags['is_last'][-1] = True
    flags['is_terminal'][-1] = episode.end == 'terminal'
    discount = np.ones([count], np.float32)
    if episode.end == 'terminal':
      discount[-2:] = 0
    steps: Dict[str, Any] = {
        'observation': episode.observation,
        'action': episode.action.astype(np.int64),
        'reward': episode.raw_reward, 'discount': discount, **flags}
    for name, dtype in export_header.row_columns(self._header).items():
      steps[OWN_NAMES.get(name, name)] = np.asarray(
          getattr(episode, name), dtype)
    with as_storage_error(self._folder):
      self._writer.add_examples({_SPLIT: [{
          'steps': steps, 'end': episode.end,
          'episode_id': np.int64(episode.number)}]})

  def end(self) -> None:
    with as_storage_error(self._folder):
      self._writer.close_all()

  def _features(self, tfds: Any) -> Any:
    task = self._header.task
    feature = tfds.features
    if self._pictures:
      observation = feature.Image(shape=task.observation_shape,
                                  encoding_format='png')
    else:
      observation = feature.Tensor(
          shape=task.observation_shape,
          dtype=np.dtype(task.observation_dtype).type)
    columns: Mapping[str, Any] = {
        OWN_NAMES.get(name, name): feature.Tensor(
            shape=(task.num_actions,), dtype=np.float32) if name == 'search'
        else feature.Scalar(dtype=np.dtype(dtype).type)
        for name, dtype in export_header.row_columns(self._header).items()}
    return feature.FeaturesDict({
        'steps': feature.Dataset({
            'observation': observation, 'action': np.int64,
            'reward': np.float32, 'discount': np.float32,
            'is_first': np.bool_, 'is_last': np.bool_,
            'is_terminal': np.bool_, **columns}),
        'episode_id': np.int64, 'end': feature.Text()})
