"""The DQN replay data sets, as Dopamine's replay memory writes them.

A memory is saved as one `.gz` file per column, each holding one `.npy` array:
`$store$_{observation,action,reward,terminal}_ckpt.<suffix>.gz`. What was played
is one stream of records. It has no episode numbers, no truncations and no life
losses; each file breaks off in the middle of a game.
Source: Dopamine `replay_memory/circular_replay_buffer.py` (`add`, `save`);
"An Optimistic Perspective on Offline Reinforcement Learning" (1907.04543),
whose data are `<Game>/<1..5>/replay_logs/`.
"""

import contextlib
import dataclasses
import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from xtra_tf.episodes import StepRow
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.offline_data.importing import ImportedRow, ImportSource
from xtra_tf.offline_data.npy_stream import NpyStream, file_bytes
from xtra_tf.tasks import get_task

_COLUMNS = ('observation', 'action', 'reward', 'terminal')
# Kinds of NumPy types that each column may have.
_KINDS = {'observation': 'u', 'action': 'iu', 'reward': 'fiu',
          'terminal': 'biu'}
_FILE = re.compile(r'^\$store\$_(\w+)_ckpt\.(\d+)\.gz$')
_FOLDER = 'replay_logs'
_CHUNK = 256  # records in memory at a time; 1.8 MB of frames
_MAX_PIXELS = 512  # a side; an Atari screen has 210 x 160
# Dopamine's stack is 4: so many blank records before a game, less one.
_PADDING = 3
_BLANKS = 'blank records before a game'
_STICKY_ACTIONS = 0.25  # arXiv 1907.04543, section 3


class _Record(NamedTuple):
  """One record of a memory."""
  observation: np.ndarray  # <uint8>[H, W]
  action: Any  # integer, index into the game's minimal set
  reward: Any  # that followed it, as the data have it
  terminal: Any  # 0 or 1: the action ended the game


class DqnReplay(ImportSource):
  """One run's replay logs.

  Actions are indices into the game's minimal set and become ALE's ids. Nobody
  saw what a terminal led to: the final observation is the last one once more.
  The blank records before a game are left out. Where a file ends or, in a
  memory that wrapped around, where the oldest record meets the newest one, the
  episode is cut.
  """

  columns = ()
  unit = 'records'

  def __init__(self, path: str, task: str):
    """Finds the files and checks their headers.

    Args:
      path: folder with the files, or the one above `replay_logs`.
      task: the game, e.g. `Pong`.

    Raises:
      DataFileError: a file is missing, or its header does not fit the others'.
      IncompatibleDataError: the task is a flavour of a game.
      UsageError: no such game.
    """
    self.path = path
    folder = os.path.join(path, _FOLDER)
    self._folder = folder if os.path.isdir(folder) else path
    self._suffixes = _find_suffixes(self._folder)
    shape, self._lengths, self._cuts = self._check_headers()
    spec = get_task(task)
    if spec.mode is not None:
      raise IncompatibleDataError(
          f'{path}: DQN replay has games as the emulator starts them. Expected '
          f'no mode or difficulty, found the task {task}.')
    self.task = dataclasses.replace(
        spec, observation_shape=(*shape, 1), sticky_actions=_STICKY_ACTIONS)
    self._legal = np.array(spec.legal_actions)
    self.num_records = sum(self._lengths)
    files = [self._path(column, suffix) for suffix in self._suffixes
             for column in _COLUMNS]
    self.stored_bytes = sum(map(file_bytes, files))
    self.left_out: Dict[str, int] = {_BLANKS: 0}
    self.provenance = {
        'source': 'DQN replay (Dopamine)', 'game': task,
        'files': {os.path.basename(f): file_bytes(f) for f in files},
        'who_acted': 'DQN while it learned (arXiv 1907.04543)',
        'frame_skip': self.task.frame_skip, 'sticky_actions': _STICKY_ACTIONS,
        'resolution': list(shape), 'rom': 'of atari-py; checksum not recorded',
        'versions': 'not recorded', 'seed': 'not recorded',
        'final_observation': 'of a game: the last one once more, as none was '
                             'recorded',
        'life_losses': 'not recorded', 'truncations': 'not recorded',
        'actions': list(spec.legal_actions)}

  def rows(self) -> Iterator[ImportedRow]:
    self.left_out = dict.fromkeys(self.left_out, 0)
    done = steps = 0
    for suffix, length, cut in zip(self._suffixes, self._lengths, self._cuts):
      # The newest row waits: that it is the last one is known only afterwards.
      waiting: Optional[ImportedRow] = None
      blanks = 0  # left out in front of the game that is to begin
      for record, values in self._records(suffix, length):
        done += 1
        if waiting is not None and record == cut:
          yield waiting._replace(end='cut')
          waiting, blanks = None, 0
        if waiting is None and blanks < _PADDING and _is_blank(values):
          blanks += 1
          self.left_out[_BLANKS] += 1
          continue
        if waiting is not None:
          yield waiting
        waiting = ImportedRow(
            self._row(suffix, record, values, steps), None, done)
        steps += 1
        if waiting.row.terminal:
          yield waiting
          yield ImportedRow(_final(waiting.row, steps), 'terminal', done)
          waiting, blanks = None, 0
      if waiting is not None:
        yield waiting._replace(end='cut')

  def _path(self, column: str, suffix: int) -> str:
    return os.path.join(self._folder, f'$store$_{column}_ckpt.{suffix}.gz')

  def _check_headers(self) -> Tuple[Tuple[int, ...], List[int], List[int]]:
    """(frame's shape, records per suffix, where each memory begins)."""
    shapes, lengths, cuts = {}, [], []
    for suffix in self._suffixes:
      sizes = {}
      for column in _COLUMNS:
        with NpyStream(self._path(column, suffix)) as stream:
          rank = 3 if column == 'observation' else 1
          if (len(stream.shape) != rank or stream.dtype.kind not in
              _KINDS[column] or (rank == 3 and stream.dtype != np.uint8)):
            raise DataFileError(
                stream.path, f'the array is {stream.dtype}'
                f'{list(stream.shape)}.', hint='Expected '
                + ('uint8[records, H, W].' if rank == 3 else
                   f'numbers of kind {" or ".join(_KINDS[column])}, [records].'
                   ))
          sizes[column] = stream.shape[0]
          if rank == 3:
            shapes[stream.path] = stream.shape[1:]
            if not 8 <= min(stream.shape[1:]) <= max(
                stream.shape[1:]) <= _MAX_PIXELS:
              raise DataFileError(
                  stream.path, f'the frames have the shape '
                  f'{list(stream.shape[1:])}.', hint=f'Expected 8 to '
                  f'{_MAX_PIXELS} pixels a side.')
      if len(set(sizes.values())) != 1:
        raise DataFileError(
            self._path('observation', suffix), 'the columns have different '
            f'numbers of records: {sizes}.', hint='Copy the files anew.')
      length, cut = self._filled(suffix, sizes['observation'])
      lengths.append(length)
      cuts.append(cut)
    first_path, first = next(iter(shapes.items()))
    for path, shape in shapes.items():
      if shape != first:
        raise IncompatibleDataError(
            f'{path}: the frames have the shape {list(shape)}, expected '
            f'{list(first)} as in {first_path}. Expected one resolution in all '
            'files of a data set.')
    return first, lengths, cuts

  def _filled(self, suffix: int, capacity: int) -> Tuple[int, int]:
    """(records of a memory that were written, index of the oldest one)."""
    path = os.path.join(self._folder, f'add_count_ckpt.{suffix}.gz')
    if not os.path.exists(path):
      return capacity, 0
    with NpyStream(path) as stream:
      if stream.shape not in ((), (1,)) or stream.dtype.kind not in 'iu':
        raise DataFileError(path, f'the array is {stream.dtype}'
                            f'{list(stream.shape)}.',
                            hint='Expected one integer.')
      count = stream.read_scalar()
    if count < 0:
      raise DataFileError(path, f'the memory has {count} records.',
                          hint='Copy the file anew.')
    return (count, 0) if count <= capacity else (capacity, count % capacity)

  def _records(self, suffix: int, length: int
               ) -> Iterator[Tuple[int, _Record]]:
    """(index, record) of a memory, a chunk of each file at a time."""
    with contextlib.ExitStack() as stack:
      streams = [stack.enter_context(NpyStream(self._path(c, suffix)))
                 for c in _COLUMNS]
      # To the very end, so that checksums are compared.
      for begin in range(0, max(streams[0].shape[0], 1), _CHUNK):
        chunk = [stream.read(_CHUNK) for stream in streams]
        for offset, values in enumerate(zip(*chunk)):
          if begin + offset < length:
            yield begin + offset, _Record(*values)

  def _row(self, suffix: int, record: int, values: _Record, step: int
           ) -> StepRow:
    action, reward = int(values.action), float(values.reward)
    if not 0 <= action < len(self._legal):
      raise IncompatibleDataError(
          f'{self._path("action", suffix)}, record {record}: the action is '
          f'{action}, but {self.task.name} has {len(self._legal)} actions. '
          f'Expected 0 to {len(self._legal) - 1}: is this the data of another '
          'game?')
    if not np.isfinite(reward):
      raise DataFileError(
          self._path('reward', suffix), f'the reward is {reward}.',
          record=record, hint='Expected a finite number.')
    if values.terminal not in (0, 1):
      raise DataFileError(
          self._path('terminal', suffix), f'the flag is {values.terminal}.',
          record=record, hint='Expected 0 or 1.')
    return StepRow(
        observation=values.observation[..., None],
        action=self._legal[action], search=None,
        reward=float(np.sign(reward)), raw_reward=reward,
        terminal=bool(values.terminal), truncated=False, life_loss=False,
        real=True, root_value=None, bootstrap_value=None, has_search=False,
        env_step=step)


def _find_suffixes(folder: str) -> List[int]:
  """Numbers of the memories in a folder, ascending."""
  try:
    names = os.listdir(folder)
  except OSError as error:
    raise DataFileError(folder, f'the folder cannot be read ({error}).',
                        hint='Expected the folder of the .gz files.'
                        ) from error
  found = [match for match in map(_FILE.match, names) if match]
  suffixes = {int(match[2]) for match in found if match[1] in _COLUMNS}
  if not suffixes:
    raise DataFileError(
        folder, 'there is no data set here.', hint='Expected files '
        'named $store$_observation_ckpt.<number>.gz, and the same for '
        f'{", ".join(_COLUMNS[1:])}.')
  return sorted(suffixes)


def _is_blank(values: _Record) -> bool:
  """Whether a record is one that the memory itself has put in."""
  return not (values.action or values.reward or values.terminal
              or values.observation.any())


def _final(last: StepRow, step: int) -> StepRow:
  """The final observation behind a terminal."""
  return last._replace(action=0, reward=0., raw_reward=0., terminal=False,
                       real=False, env_step=step)
