"""RLDS data sets as tensorflow-datasets keeps them, RL Unplugged among them.

They are read by `features.json` and the TFRecord files, decoded by the features
of tensorflow-datasets. `tfds.builder_from_directory` is not called: it imports
whatever module `features.json` names, and its errors name no file. No builder
script is looked for.

With T actions an episode has T + 1 steps. Reward and discount at t belong to
the action at t; on the last step only the observation means something. An
episode that ends without `is_terminal` was truncated.
Source: https://github.com/google-research/rlds; RL Unplugged's Atari in
tensorflow-datasets `rl_unplugged/atari_utils.py`.
"""

import re
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

import numpy as np

from xtra_tf.episodes.schema import Header
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.offline_data import export_header, foreign_episode, rlds_files
from xtra_tf.offline_data.extras import load_library
from xtra_tf.offline_data.foreign_episode import ForeignEpisode
from xtra_tf.offline_data.importing import ImportedRow, ImportSource
from xtra_tf.offline_data.npy_stream import file_bytes
from xtra_tf.offline_data.rlds_frames import RldsFrames
from xtra_tf.offline_data.tfrecord_frames import read_records
from xtra_tf.tasks import get_task

# The learned reward of our exports; RLDS' own `reward` is the raw one.
OWN_NAMES = {'reward': 'learned_reward'}
_EMPTY = 'episodes without a step'
_DISCOUNTS = 'discounts other than 1 within an episode (not used)'
_RL_UNPLUGGED = re.compile(r'^rlu_atari')
_RUN = re.compile(r'^(\w+)_run_\d+$')
_STICKY = 0.25  # RL Unplugged holds the data of DQN replay (1907.04543, sec. 3)


class RldsSource(ImportSource):
  """One version of a data set, all its splits in order.

  Actions of an Atari game are indices into its minimal set. Rewards count as
  raw.
  """

  unit = 'episodes'

  def __init__(self, path: str, task: str):
    """Checks descriptions and files.

    Args:
      path: folder of the data set's version, or one above with only it inside.
      task: what was played, e.g. `Pong`.

    Raises:
      UsageError: tensorflow-datasets is not installed, or no such task.
      DataFileError: files are missing, damaged or of an unknown kind.
      IncompatibleDataError: the data are another task's.
    """
    self.path = path
    get_task(task)  # a wrong name costs no reading
    load_library('tensorflow_datasets', 'The format rlds')
    folder = rlds_files.find_data(path)
    self._files = rlds_files.read_files(folder)
    self._steps = self._files.features['steps'].feature
    self.num_records = sum(count for _, count in self._files.shards)
    self.stored_bytes = sum(file_bytes(file) for file, _ in self._files.shards)
    self.left_out: Dict[str, int] = {_EMPTY: 0, _DISCOUNTS: 0}
    self._header: Optional[Header] = export_header.decode(
        folder, self._files.metadata, task)
    self._check_game(folder, task)
    first = self._first_frames()
    observation = self._steps['observation']
    shape, dtype = first.shape, str(np.dtype(observation.np_dtype))
    if self._header is not None:
      self.task, self.columns = self._header.task, self._header.columns
      if (shape, dtype) != (self.task.observation_shape,
                            self.task.observation_dtype):
        raise IncompatibleDataError(
            f'{folder}: the observations are {dtype}{list(shape)}, but its '
            f'task says {self.task.observation_dtype}'
            f'{list(self.task.observation_shape)}.')
    else:
      self.columns = ()
      unplugged = bool(_RL_UNPLUGGED.match(self._files.name))
      self.task = foreign_episode.foreign_task(
          path, task, shape, dtype,
          **({'sticky_actions': _STICKY} if unplugged else {}))
      if self.task.family == 'atari' and not unplugged:
        self.notes += (foreign_episode.STICKY_UNKNOWN,)
    if first.is_jpeg:
      self.notes += ('The frames are JPEG: they are not what was played bit '
                     'for bit.',)
    self._ids = foreign_episode.family_ids(
        self.task, self.task.num_actions if self._header else None)
    self._spec = self._example_spec()
    self.provenance = self._provenance()

  def rows(self) -> Iterator[ImportedRow]:
    self.left_out = dict.fromkeys(self.left_out, 0)
    done = env_steps = 0
    for path, _ in self._files.shards:
      for record, content in read_records(path):
        episode = self._episode(path, record, content)
        length = len(episode.actions)
        done += 1
        if not length:
          self.left_out[_EMPTY] += 1
          continue
        rows = foreign_episode.episode_rows(self.task, episode, env_steps)
        for index, row in enumerate(rows):
          last = index == length
          yield ImportedRow(row, episode.end if last else None,
                            done if last else done - 1)
        env_steps += length

  def _check_game(self, folder: str, task: str) -> None:
    """Refuses RL Unplugged's data of another game."""
    match = _RUN.match(self._files.config)
    if match and _RL_UNPLUGGED.match(self._files.name) and match[1] != task:
      raise IncompatibleDataError(
          f'{folder}: these are data of {match[1]}. Expected data of {task}.')

  def _first_frames(self) -> RldsFrames:
    """Frames of the first episode, or none if there is no episode at all."""
    observation = self._steps['observation']
    for path, count in self._files.shards:
      if count:
        record, content = next(read_records(path))
        values = _parsed(path, record, content, {
            'steps/observation':
                self._files.features.tf_example_spec['steps/observation']})
        return RldsFrames(path, record, values['steps/observation'],
                          observation, None)
    raise DataFileError(self.path, 'the data set is empty: there is no episode.'
                        )

  def _example_spec(self) -> Dict[str, Any]:
    """What is read of a record."""
    names = [*rlds_files.COLUMNS]
    names += ['discount'] if 'discount' in self._steps else []
    known = self._files.features.tf_example_spec
    spec = {f'steps/{name}': known[f'steps/{name}'] for name in names}
    if self._header is not None:
      for column in export_header.row_columns(self._header):
        key = f'steps/{OWN_NAMES.get(column, column)}'
        if key in known:
          spec[key] = known[key]
      if 'end' in known:
        spec['end'] = known['end']
    return spec

  def _episode(self, path: str, record: int, content: bytes) -> ForeignEpisode:
    values = _parsed(path, record, content, self._spec)
    count = len(values['steps/observation'])
    for key, column in values.items():
      if key.startswith('steps/') and len(column) != count:
        raise DataFileError(
            path, f'the column {key} has {len(column)} values, but there are '
            f'{count} observations.', record=record,
            hint='Copy the data set anew.')
    if not count:
      return ForeignEpisode([], np.zeros([0], int), np.zeros([0]), 'cut', None)
    end = self._end(path, record, values, count)
    length = count - 1
    rewards = values['steps/reward'][:length]
    foreign_episode.check_rewards(path, record, rewards)
    # Of a terminal the last discount is 0; behind it nothing is defined.
    within = values.get('steps/discount', np.ones([count]))[:length - 1]
    self.left_out[_DISCOUNTS] += int((within != 1).sum())
    rows = None
    if self._header is not None:
      end, rows = self._own(path, record, values, count)
    frames = RldsFrames(path, record, values['steps/observation'],
                        self._steps['observation'],
                        self.task.observation_shape)
    actions = foreign_episode.mapped_actions(
        self.task, self._ids, values['steps/action'][:length],
        f'{path}, record {record}')
    return ForeignEpisode(frames, actions, rewards, end, rows)

  def _end(self, path: str, record: int, values: Mapping[str, np.ndarray],
           count: int) -> str:
    """How the episode ends; flags in the middle of it are refused."""
    flags = {name: _flags(path, record, name, values[f'steps/{name}'])
             for name in ('is_first', 'is_last', 'is_terminal')}
    first = flags['is_first']
    if not first[0] or first[1:].any():
      raise DataFileError(path, f'is_first is true at the steps '
                          f'{np.flatnonzero(first)[:5].tolist()} of {count}.',
                          record=record, hint='Expected the step 0 alone.')
    for name in ('is_last', 'is_terminal'):
      if flags[name][:-1].any():
        raise DataFileError(
            path, f'{name} is true at the step {int(np.argmax(flags[name]))} '
            f'of {count}.', record=record,
            hint='Expected it at the last step only.')
    if flags['is_terminal'][-1]:
      return 'terminal'
    return 'truncated' if flags['is_last'][-1] else 'cut'

  def _own(self, path: str, record: int, values: Mapping[str, np.ndarray],
           count: int) -> Tuple[str, Mapping[str, np.ndarray]]:
    """End and further columns of an episode of our own export."""
    assert self._header is not None
    rows = {}
    for column, dtype in export_header.row_columns(self._header).items():
      name = OWN_NAMES.get(column, column)
      found = values.get(f'steps/{name}')
      if found is not None:
        rows[column] = (_flags(path, record, name, found) if dtype == 'bool'
                        else found)
    foreign_episode.check_rows(path, record, self._header, count, rows)
    end = bytes(values.get('end', np.array(b'')).item()).decode(
        'utf-8', 'replace')
    return foreign_episode.check_end(path, record, end), rows

  def _provenance(self) -> Dict[str, Any]:
    unplugged = bool(_RL_UNPLUGGED.match(self._files.name))
    known = {'who_acted': 'DQN while it learned (arXiv 1907.04543)',
             'rom': 'of atari-py; checksum not recorded'} if unplugged else {}
    return {
        'source': 'RLDS data set of tensorflow-datasets', **known,
        'game': self.task.name, 'data_set': self._files.name,
        'config': self._files.config, 'data_set_version': self._files.version,
        'files': dict(self._files.shards),
        'frame_skip': self.task.frame_skip,
        'sticky_actions': self.task.sticky_actions,
        'resolution': list(self.task.observation_shape[:2]),
        'notes': list(self.notes),
        **({'exported_from': dict(self._header.provenance)}
           if self._header else {'raw_reward': 'the rewards of the data set',
                                 'life_losses': 'not recorded'}),
        'actions': [int(i) for i in self._ids]}


def _parsed(path: str, record: int, content: bytes, spec: Mapping[str, Any]
            ) -> Dict[str, np.ndarray]:
  """{key: values} of a tf.train.Example."""
  import tensorflow as tf  # pylint: disable=g-import-not-at-top
  try:
    values = tf.io.parse_single_example(content, dict(spec))
  except (tf.errors.OpError, ValueError) as error:
    raise DataFileError(
        path, f'the episode does not fit features.json ({str(error)[:200]}).',
        record=record, hint='Copy the data set anew.') from error
  return {key: value.numpy() if value.shape.rank else np.array(value.numpy())
          for key, value in values.items()}


def _flags(path: str, record: int, name: str, values: np.ndarray) -> np.ndarray:
  if not np.isin(values, (0, 1)).all():
    raise DataFileError(path, f'{name} is {int(values.max())} at a step.',
                        record=record, hint='Expected 0 or 1.')
  return values.astype(bool)
