"""Writes a Minari data set in its hdf5 layout.

Minari stores uint8 pictures as JPEG, without asking. A leading axis of one
keeps frames from being taken for a picture: they stay as they are, and
uncompressed.
Source: Minari 0.5.3 `dataset/_storages/hdf5_storage.py`.
"""

import math
import os
import pathlib
import re
from typing import Any, Dict

import numpy as np

from xtra_tf.episodes import Episode, EpisodeLog
from xtra_tf.episodes.schema import Header
from xtra_tf.errors import UsageError
from xtra_tf.offline_data import export_header, minari_files
from xtra_tf.offline_data.column_checksum import column_checksum
from xtra_tf.offline_data.exporting import ExportTarget
from xtra_tf.offline_data.extras import load_library
from xtra_tf.runs import make_folder

_NAME = re.compile(r'^[-_\w]+-v\d+$', re.ASCII)


class MinariTarget(ExportTarget):
  """One data set; its id is the name of its folder.

  Rewards are the raw ones, actions the ids of the task's family. `infos` hold
  the further columns of the log.
  """

  frames = 'lossless, uncompressed'
  not_carried = (
      'Of `cut` episodes other readers see a truncation; an import from here '
      'sees the cut.',
      'Episode and writer numbers are counted anew.',
      'The environment is not described: recover_environment does not work.')

  def __init__(self, header: Header, name: str):
    """Checks the name.

    Args:
      header: of the log.
      name: id of the data set, ending in `-v` and a number.

    Raises:
      UsageError: minari is not installed, or the name cannot be an id.
    """
    self._minari = load_library('minari', 'The format minari')
    load_library('h5py', 'The format minari')
    if not _NAME.match(name):
      raise UsageError(
          f'{name!r} cannot be the id of a Minari data set. Expected letters, '
          'digits, - or _, and a version at the end, e.g. --output=pong-v0.')
    self._header = header
    self._id = name
    self._storage: Any = None

  def needed_bytes(self, log: EpisodeLog) -> int:
    task = self._header.task
    frame = math.prod(task.observation_shape) * np.dtype(
        task.observation_dtype).itemsize
    return log.num_rows * frame

  def begin(self, folder: str) -> None:
    import gymnasium
    task = self._header.task
    shape = task.observation_shape
    if len(shape) == 3:
      shape = (1, *shape)
    byte = task.observation_dtype == 'uint8'
    observations = gymnasium.spaces.Box(
        0 if byte else -np.inf, 255 if byte else np.inf, shape,
        np.dtype(task.observation_dtype).type)
    make_folder(folder)
    storage = load_library('minari.dataset.minari_storage',
                           'The format minari').MinariStorage
    self._storage = storage.new(
        pathlib.Path(folder, 'data'), observations,
        gymnasium.spaces.Discrete(task.num_actions), data_format='hdf5')
    self._shape = shape
    self._storage.update_metadata({
        'dataset_id': self._id, 'minari_version': self._minari.__version__,
        'algorithm_name': 'see xtra_tf', 'description':
        f'Episodes of {task.name}; actions are those of its family.',
        export_header.KEY: export_header.encode(self._header)})

  def write(self, episode: Episode) -> None:
    assert episode.observation is not None
    rows: Dict[str, np.ndarray] = {
        name: np.asarray(getattr(episode, name), dtype) for name, dtype in
        export_header.row_columns(self._header).items()}
    count = len(episode.real)
    observations = episode.observation.reshape([count, *self._shape])
    actions = episode.action[:-1].astype(np.int64)
    terminations = np.zeros([count - 1], bool)
    truncations = np.zeros([count - 1], bool)
    terminations[-1] = episode.end == 'terminal'
    truncations[-1] = episode.end != 'terminal'
    buffer = load_library('minari.data_collector', 'The format minari')
    number = self._storage.total_episodes
    self._storage.update_episodes([buffer.EpisodeBuffer(
        id=number, observations=observations, actions=actions,
        rewards=episode.raw_reward[:-1].astype(np.float64),
        terminations=terminations, truncations=truncations, infos=rows)])
    checksum = column_checksum(
        [observations, actions, *(rows[name] for name in sorted(rows))])
    self._storage.update_episode_metadata(
        [{minari_files.END_KEY: episode.end, minari_files.CRC_KEY: checksum}],
        [number])

  def end(self) -> None:
    path = os.path.join(self._storage.data_path, minari_files.HDF5)
    with open(path, 'rb') as file:
      os.fsync(file.fileno())
