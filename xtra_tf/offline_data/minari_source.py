"""Minari data sets.

Episodes are read by the minari library, one at a time, after `minari_files` has
looked at them. No environment is made: what the metadata say of it is read as
plain JSON.
Source: Minari 0.5.3, https://minari.farama.org.
"""

import json
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np

from xtra_tf import atari_games
from xtra_tf.episodes.schema import Header
from xtra_tf.errors import (
  DataFileError,
  IncompatibleDataError,
  UserError,
)
from xtra_tf.offline_data import export_header, foreign_episode, minari_files
from xtra_tf.offline_data.column_checksum import column_checksum
from xtra_tf.offline_data.extras import load_library
from xtra_tf.offline_data.foreign_episode import ForeignEpisode
from xtra_tf.offline_data.importing import ImportedRow, ImportSource
from xtra_tf.offline_data.npy_stream import file_bytes
from xtra_tf.tasks import get_task

_EMPTY = 'episodes without a step'
_NOTES = {
    'jpeg': 'Minari keeps these frames as JPEG: they are not what was played '
            'bit for bit.',
    'float': 'Observations are float64 in the data and become float32.',
    'reward': 'Some rewards are no float32 and were rounded to one.',
    'sum': 'hdf5 and arrow have no checksums: a value that was changed by '
           'damage to the disk cannot be told.',
    'sticky': foreign_episode.STICKY_UNKNOWN}


class MinariSource(ImportSource):
  """One data set, in any of Minari's layouts.

  Actions of an Atari game are ALE's ids if there are 18 of them, else indices
  into its minimal set. Rewards count as raw. An episode that ends without a
  flag is cut.
  """

  unit = 'episodes'

  def __init__(self, path: str, task: str):
    """Checks metadata and files.

    Args:
      path: folder of the data set, which has `data`, or that one.
      task: what was played, e.g. `Pong`.

    Raises:
      UsageError: minari is not installed, or no such task.
      DataFileError: files are missing, damaged or of an unknown version.
      IncompatibleDataError: the data are another task's.
    """
    get_task(task)  # a wrong name costs no reading
    minari = load_library('minari', 'The format minari')
    self.path = path
    self._folder = minari_files.find_data(path)
    metadata = minari_files.read_metadata(
        self._folder, minari.supported_dataset_versions)
    self._metadata_path = os.path.join(self._folder, minari_files.METADATA)
    self._format = metadata['data_format']
    self.num_records = metadata['total_episodes']
    self._total_steps = metadata['total_steps']
    self.stored_bytes = sum(map(
        file_bytes, minari_files.stored_files(self._folder)))
    self.left_out: Dict[str, int] = {_EMPTY: 0}
    storage_class = load_library(
        'minari.dataset.minari_storage', 'The format minari').MinariStorage
    with self._checks():
      self._storage = _opened(storage_class, self._folder)
    space = self._storage.observation_space
    self._jpeg = _is_jpeg(space)
    self._header: Optional[Header] = export_header.decode(
        self._metadata_path, metadata, task)
    game, settings = _settings(self._metadata_path, metadata.get('env_spec'))
    self.notes = (_NOTES['jpeg'],) if self._jpeg else ()
    if self._header is not None:
      self.task = self._header.task
      self.columns = self._header.columns
      found = _frame_shape(space.shape), str(space.dtype)
      if found != (self.task.observation_shape, self.task.observation_dtype):
        raise IncompatibleDataError(
            f'{self._metadata_path}: the observations are {found}, but its '
            f'task says {self.task.observation_dtype}'
            f'{list(self.task.observation_shape)}.')
    else:
      self.columns = ()
      if game not in (None, task):
        raise IncompatibleDataError(
            f'{self._metadata_path}: the environment is {game}. Expected data '
            f'of {task}.')
      dtype = str(space.dtype)
      if dtype == 'float64':
        dtype, self.notes = 'float32', (*self.notes, _NOTES['float'])
      self.task = foreign_episode.foreign_task(
          path, task, _frame_shape(space.shape), dtype, **settings)
      if self.task.family == 'atari' and 'sticky_actions' not in settings:
        self.notes += (_NOTES['sticky'],)
      self.notes += (_NOTES['sum'],)
    self._start = int(self._storage.action_space.start)
    self._ids = foreign_episode.family_ids(
        self.task, int(self._storage.action_space.n))
    self.provenance = self._provenance(metadata)

  def rows(self) -> Iterator[ImportedRow]:
    self.left_out = {_EMPTY: 0}
    env_steps = steps = 0
    with self._checks() as checks:
      for number in range(self.num_records):
        episode = self._episode(checks, number)
        length = len(episode.actions)
        steps += length
        if not length:
          self.left_out[_EMPTY] += 1
          continue
        rows = foreign_episode.episode_rows(self.task, episode, env_steps)
        for index, row in enumerate(rows):
          yield ImportedRow(row, episode.end if index == length else None,
                            number + (index == length))
        env_steps += length
    if steps != self._total_steps:
      raise DataFileError(
          self._metadata_path, f'the field total_steps is {self._total_steps}, '
          f'but the episodes have {steps}.', hint='Copy the data set anew.')

  def _checks(self) -> Union[minari_files.Hdf5Checks, minari_files.ArrowChecks]:
    if self._format == 'hdf5':
      return minari_files.Hdf5Checks(self._folder, self.num_records)
    return minari_files.ArrowChecks(self._folder, self.num_records,
                                    self._format)

  def _episode(self, checks: Any, number: int) -> ForeignEpisode:
    """An episode, checked; whatever a library raises names the file."""
    try:
      checks.check(number)
      if self._jpeg:
        minari_files.check_pictures(
            checks.path, number, checks.pictures(number),
            self._storage.observation_space.shape)
      columns = next(iter(self._storage.get_episodes([number])))
      attributes = dict(checks.attributes(number))
      return self._checked(checks.path, number, columns, attributes)
    except UserError:
      raise
    # h5py, pyarrow, Pillow and minari have a dozen of types for a damaged file.
    except Exception as error:  # pylint: disable=broad-except
      raise DataFileError(
          checks.path, f'the episode cannot be read ({type(error).__name__}: '
          f'{str(error)[:200]}).', record=number,
          hint='Copy the data set anew.') from error

  def _checked(self, path: str, number: int, columns: Mapping[str, Any],
               attributes: Mapping[str, Any]) -> ForeignEpisode:
    space = self._storage.observation_space
    rewards = np.asarray(columns['rewards'])
    length = len(rewards)
    actions = np.asarray(columns['actions'])
    observations = np.asarray(columns['observations'])
    flags = {name: np.asarray(columns[name])
             for name in ('terminations', 'truncations')}
    for name, values, shape, kinds in (
        ('rewards', rewards, (length,), 'fiu'),
        ('actions', actions, (length,), 'iu'),
        ('observations', observations, (length + 1, *space.shape),
         space.dtype.kind),
        *((name, flag, (length,), 'b') for name, flag in flags.items())):
      if values.shape != shape or values.dtype.kind not in kinds:
        raise DataFileError(
            path, f'the {name} are {values.dtype}{list(values.shape)}.',
            record=number, hint=f'Expected {list(shape)} of kind '
            f'{" or ".join(kinds)}.')
    foreign_episode.check_rewards(path, number, rewards)
    self._note_rounding(rewards)
    for name, flag in flags.items():
      if flag[:-1].any():
        raise DataFileError(
            path, f'{name} has a flag at step {int(np.argmax(flag))} of '
            f'{length}.', record=number,
            hint='Expected an episode to end where its rows end.')
    end = 'cut'
    if length and flags['terminations'][-1]:
      end = 'terminal'
    elif length and flags['truncations'][-1]:
      end = 'truncated'
    rows = None
    if self._header is not None:
      end, rows = self._own(path, number, columns, attributes, length)
    observations = observations.reshape(
        [length + 1, *self.task.observation_shape]).astype(
            self.task.observation_dtype, copy=False)
    return ForeignEpisode(
        observations, foreign_episode.mapped_actions(
            self.task, self._ids, actions - self._start,
            f'{path}, record {number}'), rewards, end, rows)

  def _own(self, path: str, number: int, columns: Mapping[str, Any],
           attributes: Mapping[str, Any], length: int
           ) -> Tuple[str, Mapping[str, np.ndarray]]:
    """End and further columns of an episode of our own export."""
    assert self._header is not None
    infos = columns['infos'] or {}
    rows = {name: np.asarray(values) for name, values in infos.items()}
    foreign_episode.check_rows(path, number, self._header, length + 1, rows)
    end = foreign_episode.check_end(
        path, number, attributes.get(minari_files.END_KEY))
    found = column_checksum([columns['observations'], columns['actions'],
                             *(rows[name] for name in sorted(rows))])
    if attributes.get(minari_files.CRC_KEY) != found:
      raise DataFileError(path, 'the episode is damaged: its checksum does not '
                          'fit.', record=number, hint='Copy the data set anew.')
    return end, rows

  def _note_rounding(self, rewards: np.ndarray) -> None:
    if _NOTES['reward'] not in self.notes and (
        rewards != rewards.astype(np.float32)).any():
      self.notes += (_NOTES['reward'],)

  def _provenance(self, metadata: Mapping[str, Any]) -> Dict[str, Any]:
    known = ('dataset_id', 'minari_version', 'algorithm_name', 'author',
             'code_permalink', 'env_spec', 'description')
    return {
        'source': f'Minari data set ({self._format})', 'game': self.task.name,
        'minari': {key: metadata[key] for key in known if key in metadata},
        'frame_skip': self.task.frame_skip,
        'sticky_actions': self.task.sticky_actions,
        'resolution': list(self.task.observation_shape[:2]),
        'notes': list(self.notes),
        **({'exported_from': dict(self._header.provenance)}
           if self._header else {'raw_reward': 'the rewards of the data set'}),
        'actions': [int(i) for i in self._ids]}


def _opened(storage_class: Any, folder: str) -> Any:
  try:
    return storage_class.read(folder)
  except Exception as error:  # pylint: disable=broad-except
    raise DataFileError(
        folder, f'minari cannot open the data set ({error}).',
        hint='Copy the data set anew.') from error


def _is_jpeg(space: Any) -> bool:
  storage = load_library('minari.dataset.minari_storage', 'The format minari')
  return bool(storage.is_image_space(space))


def _frame_shape(shape: Tuple[int, ...]) -> Tuple[int, ...]:
  """A frame's shape: a leading axis of one is what keeps JPEG away."""
  if len(shape) == 4 and shape[0] == 1:
    return tuple(shape[1:])
  return (*shape, 1) if len(shape) == 2 else tuple(shape)


def _settings(path: str, env_spec: Any
              ) -> Tuple[Optional[str], Dict[str, Any]]:
  """(task or None, {frame_skip, sticky_actions}) of an environment's spec.

  It is read as JSON; its entry points are never imported.
  """
  if env_spec is None:
    return None, {}
  try:
    spec = json.loads(env_spec)
    name, arguments = str(spec['id']), dict(spec.get('kwargs') or {})
    wrappers: List[Mapping[str, Any]] = list(
        spec.get('additional_wrappers') or ())
    if not name.startswith('ALE/'):
      return f'gym:{name}', {}
    # The defaults of ALE's registration of version 5.
    skip = arguments.get('frameskip', 4)
    for wrapper in wrappers:
      skip *= (wrapper.get('kwargs') or {}).get('frame_skip', 1)
    sticky = float(arguments.get('repeat_action_probability', 0.25))
    if not isinstance(skip, int):
      raise TypeError(f'a frame skip of {skip}')
    game = atari_games.name_of(
        name[len('ALE/'):].rpartition('-v')[0], arguments.get('mode'),
        arguments.get('difficulty'))
    return game, {'frame_skip': skip, 'sticky_actions': sticky}
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise DataFileError(
        path, f'the field env_spec cannot be understood ({error!r}).',
        hint='Expected the JSON of a gymnasium environment with one frame '
        'skip.') from error
