"""The replay that the official EfficientZero and XTRA code saves.

`replay/<K>/` is a memory: `prior.npy` (priorities), `game_look_up.npy`
(positions, int[n, 2]), `utils.npy` (first history's number, how many there are)
and a folder per history, `<i>/{actions,obs,reward,visits,root}.npy`. A history
is a block of at most 400 actions of one life. With T actions it has
  T + 4 frames as JPEG files: those of the first stack, oldest first, and the
    one after each action;
  T rewards (their signs), root values and visit distributions;
and behind these up to 5 frames, 9 rewards, 10 root values and 5 distributions
of the history that goes on with the same life.
Source: XTRA `core/replay_buffer.py` (`save_files`), `core/game.py`
(`save_file`, `pad_over`), `core/selfplay_worker.py` (`put_last_trajectory`).
"""

import dataclasses
import os
import re
from typing import Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from xtra_tf.episodes import StepRow
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.numerics import jpeg_codec
from xtra_tf.offline_data.importing import ImportedRow, ImportSource
from xtra_tf.offline_data.npy_stream import NpyStream, file_bytes, read_array
from xtra_tf.tasks import get_task

_MEMORY_FILES = ('prior', 'game_look_up', 'utils')
_HISTORY_FILES = ('actions', 'obs', 'reward', 'visits', 'root')
_STACK = 4  # config/atari/__init__.py:29
# Of one file in memory, five at a time; 400 frames of 96 x 96 take 4 MB.
_MAX_BYTES = 2**27
_MAX_PIXELS = 512  # a side; an Atari screen has 210 x 160
_GAME = re.compile(r'^(\w+)NoFrameskip-v4$')


class _History(NamedTuple):
  """The files of one history; T actions."""
  actions: np.ndarray  # <int>[T]
  obs: np.ndarray  # <bytes>[T + 4 + ...], a JPEG file each
  reward: np.ndarray  # <float>[T + ...]
  visits: np.ndarray  # <float>[T + ..., A]
  root: np.ndarray  # <float>[T + ...]


class EfficientZeroReplay(ImportSource):
  """One or all memories of a run.

  Every history becomes an episode that is cut, since which of them go on with
  one another is not written down. A history without anything behind its own
  steps was the last one of a life: its last action has cost it. Whether that
  also ended the game, or was a time limit, is not written down either; the
  official code treats all of these alike.
  """

  columns = ('search', 'root_value')
  unit = 'histories'

  def __init__(self, path: str, task: str):
    """Finds the memories and checks that all files are there.

    Args:
      path: folder of a run (with `replay`), its `replay`, or one memory in it.
      task: the game, e.g. `Pong`.

    Raises:
      DataFileError: a file is missing or damaged.
      IncompatibleDataError: the data are another game's.
      UsageError: no such game.
    """
    self.path = path
    spec = get_task(task)
    _check_game(path, task)
    self._histories = [folder for memory in _find_memories(path)
                       for folder in _find_histories(memory)]
    self.num_records = len(self._histories)
    self.stored_bytes = sum(
        file_bytes(_npy(folder, name)) for folder in self._histories
        for name in _HISTORY_FILES)
    self._ids = self._action_ids(task, spec.legal_actions)
    shape = self._first_shape() if self._histories else spec.observation_shape
    self.task = dataclasses.replace(spec, observation_shape=shape, codec='jpeg')
    self.left_out: Dict[str, int] = {}
    self.provenance = {
        'source': 'replay of the official EfficientZero or XTRA code',
        'game': task, 'histories': self.num_records,
        'who_acted': 'an EfficientZero agent while it learned',
        'episodes': 'one block of at most 400 actions of one life each',
        'life_losses': 'what ended a life: its loss, the end of the game or '
                       'a time limit',
        'raw_reward': 'not recorded: the sign of it stands in its place',
        'env_step': 'counted in the order of the files',
        'frame_skip': self.task.frame_skip, 'sticky_actions': 0.,
        'resolution': list(shape[:2]), 'rom': 'checksum not recorded',
        'versions': 'not recorded', 'seed': 'not recorded',
        'actions': [int(i) for i in self._ids]}

  def rows(self) -> Iterator[ImportedRow]:
    steps = 0
    for done, folder in enumerate(self._histories, start=1):
      history = self._read(folder)
      length = len(history.actions)
      last_of_life = (len(history.obs) == length + _STACK
                      and len(history.reward) == length)
      search = np.zeros([self.task.num_actions], np.float32)
      for step in range(length + 1):
        real = step < length
        if real:
          search = np.zeros_like(search)
          search[self._ids] = history.visits[step]
        reward = float(history.reward[step]) if real else 0.
        row = StepRow(
            observation=self._picture(folder, step + _STACK - 1,
                                      history.obs[step + _STACK - 1]),
            action=self._ids[history.actions[step]] if real else 0,
            search=search if real else np.zeros_like(search),
            reward=float(np.sign(reward)), raw_reward=reward, terminal=False,
            truncated=False, life_loss=last_of_life and step == length - 1,
            real=real, root_value=float(history.root[step]) if real else 0.,
            bootstrap_value=None, has_search=real, env_step=steps + step)
        yield ImportedRow(row, None if real else 'cut', done)
      steps += length

  def _action_ids(self, task: str, legal: Tuple[int, ...]) -> np.ndarray:
    """<int>[A], ALE's ids of the actions that the visits are over."""
    ids = np.array(legal)
    expected = {len(legal): ids, 18: np.arange(18)}
    found: Dict[int, str] = {}
    for folder in self._histories:
      with NpyStream(_npy(folder, 'visits')) as stream:
        if len(stream.shape) != 2 or stream.shape[1] not in expected:
          raise IncompatibleDataError(
              f'{stream.path}: the visits have the shape {list(stream.shape)}, '
              f'expected [steps, {" or ".join(map(str, expected))}] for {task}:'
              ' is this the data of another game?')
        found.setdefault(stream.shape[1], stream.path)
    if len(found) > 1:
      raise IncompatibleDataError(
          f'The histories have different numbers of actions: {found}. Expected '
          'one action set in all of a data set.')
    return expected[next(iter(found), len(legal))]

  def _first_shape(self) -> Tuple[int, int, int]:
    folder = self._histories[0]
    with NpyStream(_npy(folder, 'obs')) as stream:
      _check_frames(stream.path, stream.dtype, stream.shape)
      return _picture_shape(stream.path, 0, bytes(stream.read(1)[0]))

  def _read(self, folder: str) -> _History:
    """All of one history, checked against each other."""
    history = _History(*(
        read_array(_npy(folder, name), _MAX_BYTES) for name in _HISTORY_FILES))
    length = len(history.actions)
    # At least so many rows, and at most so many of the next history.
    for name, kinds, least, padding, rank in (
        ('actions', 'iu', 1, None, 1), ('reward', 'fiu', length, 9, 1),
        ('root', 'f', length, 10, 1), ('visits', 'fiu', length, 5, 2),
        ('obs', 'S', length + _STACK, 5, 1)):
      values = getattr(history, name)
      most = None if padding is None else least + padding
      if (values.ndim != rank or values.dtype.kind not in kinds
          or len(values) < least or (most is not None and len(values) > most)):
        size = f'{least} or more' if most is None else f'{least} to {most}'
        raise DataFileError(
            _npy(folder, name), f'the array is {values.dtype}'
            f'{list(values.shape)}.', hint=f'Expected {rank} axes, {size} rows,'
            f' numbers of kind {" or ".join(kinds)} for {length} actions.')
      if 'f' in kinds and not np.isfinite(values[:length]).all():
        record = int(np.argmin(np.isfinite(
            values[:length].reshape([length, -1])).all(1)))
        raise DataFileError(_npy(folder, name), 'a value is not finite.',
                            record=record, hint='Copy the file anew.')
    outside = (history.actions < 0) | (history.actions >= len(self._ids))
    if outside.any():
      record = int(np.argmax(outside))
      raise IncompatibleDataError(
          f'{_npy(folder, "actions")}, record {record}: the action is '
          f'{history.actions[record]}. Expected 0 to {len(self._ids) - 1} for '
          f'{self.task.name}: is this the data of another game?')
    if (history.visits[:length] < 0).any():
      raise DataFileError(_npy(folder, 'visits'), 'a visit count is negative.',
                          hint='Copy the file anew.')
    return history

  def _picture(self, folder: str, record: int, data: bytes) -> np.ndarray:
    path = _npy(folder, 'obs')
    shape = _picture_shape(path, record, data)
    if shape != self.task.observation_shape:
      raise IncompatibleDataError(
          f'{path}, record {record}: the picture has the shape {list(shape)}, '
          f'expected {list(self.task.observation_shape)} as in the first '
          'history. Expected one resolution in all of a data set.')
    try:
      return jpeg_codec.decode(data)
    except ValueError as error:
      raise DataFileError(path, f'the picture is damaged: {error}.',
                          record=record, hint='Copy the file anew.') from error


def _npy(folder: str, name: str) -> str:
  return os.path.join(folder, f'{name}.npy')


def _check_game(path: str, task: str) -> None:
  """Refuses a folder that is named after another game."""
  for part in os.path.abspath(path).split(os.sep):
    match = _GAME.match(part)
    if match and match[1] != task:
      raise IncompatibleDataError(
          f'{path}: the folder {part} says that these are data of {match[1]}. '
          f'Expected data of {task}.')


def _find_memories(path: str) -> List[str]:
  """Folders of the memories, by their numbers."""
  if os.path.exists(_npy(path, 'utils')):
    return [path]
  inside = os.path.join(path, 'replay')
  folder = inside if os.path.isdir(inside) else path
  try:
    numbers = sorted(int(name) for name in os.listdir(folder)
                     if name.isdecimal())
  except OSError as error:
    raise DataFileError(folder, f'the folder cannot be read ({error}).'
                        ) from error
  if not numbers:
    raise DataFileError(
        folder, 'there is no data set here.', hint='Expected folders 0, 1, ... '
        'that hold prior.npy, game_look_up.npy and utils.npy each.')
  return [os.path.join(folder, str(number)) for number in numbers]


def _find_histories(memory: str) -> List[str]:
  """Folders of a memory's histories, in order."""
  prior, look_up, utils = (
      read_array(_npy(memory, name), _MAX_BYTES) for name in _MEMORY_FILES)
  if utils.shape != (2,) or utils.dtype.kind not in 'iu' or utils.min() < 0:
    raise DataFileError(
        _npy(memory, 'utils'), f'the array is {utils.dtype}'
        f'{list(utils.shape)}, {utils.ravel()[:4].tolist()}.',
        hint='Expected two integers: the number of the first history, and how '
        'many there are.')
  if len(prior) != len(look_up):
    raise DataFileError(
        _npy(memory, 'game_look_up'), f'it has {len(look_up)} positions, but '
        f'prior.npy has {len(prior)} priorities.',
        hint='Expected one priority per position.')
  first, count = utils.tolist()
  if count and (look_up.ndim != 2 or look_up.shape[1] != 2
                or look_up.dtype.kind not in 'iu' or not len(look_up)
                or int(look_up[-1, 0]) != first + count - 1):
    raise DataFileError(
        _npy(memory, 'game_look_up'), f'the array {look_up.dtype}'
        f'{list(look_up.shape)} does not fit {_npy(memory, "utils")}.',
        hint='Expected integers [positions, 2], the last of them in history '
        f'{first + count - 1}.')
  # A claim of more than there are ends with the first that is missing.
  folders = []
  for number in range(count):
    folder = os.path.join(memory, str(number))
    for name in _HISTORY_FILES:
      file_bytes(_npy(folder, name))
    folders.append(folder)
  return folders


def _check_frames(path: str, dtype: np.dtype, shape: Tuple[int, ...]) -> None:
  if dtype.kind != 'S' or len(shape) != 1 or not shape[0]:
    raise DataFileError(path, f'the array is {dtype}{list(shape)}.',
                        hint='Expected one JPEG file (bytes) per frame.')


def _picture_shape(path: str, record: int, data: bytes
                   ) -> Tuple[int, int, int]:
  try:
    shape = jpeg_codec.picture_shape(data)
  except ValueError as error:
    raise DataFileError(path, f'the picture is damaged: {error}.',
                        record=record, hint='Copy the file anew.') from error
  if not 8 <= min(shape[:2]) <= max(shape[:2]) <= _MAX_PIXELS or (
      shape[2] not in (1, 3)):
    raise DataFileError(
        path, f'the picture has the shape {list(shape)}.', record=record,
        hint=f'Expected 8 to {_MAX_PIXELS} pixels a side, 1 or 3 channels.')
  return shape
