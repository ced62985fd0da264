"""Atari games, by ale-py's vector environment.

Preprocessing is the official one (EfficientZero core/utils.py,
config/atari/env_wrapper.py): every action for `frame_skip` emulator frames, the
pixelwise maximum of the last two, area resize, 1 to 30 no-op frames at the
start, no FIRE on reset.
"""

import hashlib
import os
from typing import Any, List, Tuple

import numpy as np

from xtra_tf import atari_games
from xtra_tf.environments.game_batch import GameBatch, GameStep
from xtra_tf.errors import UsageError
from xtra_tf.tasks import TaskSpec, atari_rom

# The vector environment draws 0..noop_max - 1 no-ops. A draw of 0 is refused,
# which leaves 1..30 with equal chances.
_NOOP_MAX = 31
# Games are truncated by the agent steps that GameEnvironment counts.
_NO_FRAME_LIMIT = 2**31 - 1


def rom_md5(name: str) -> str:
  """MD5 of a game's ROM, by which the emulator itself knows it.

  Raises:
    UsageError: ale-py is not installed or has no such game.
  """
  with open(atari_games.rom_path(atari_rom(name)), 'rb') as file:
    return hashlib.md5(file.read(), usedforsecurity=False).hexdigest()


def check_frames(task: TaskSpec) -> None:
  """Refuses a task whose frames no emulator gives.

  Raises:
    UsageError: they are neither uint8 [H, W, 3] nor [H, W, 1].
  """
  if (len(task.observation_shape) != 3
      or task.observation_shape[2] not in (1, 3)
      or task.observation_dtype != 'uint8'):
    raise UsageError(
        f'{task.name}: frames are {task.observation_dtype}'
        f'{list(task.observation_shape)}. Expected uint8 [H, W, 3] (RGB) or '
        '[H, W, 1] (grey).')


def drawn_noops(seed: int) -> int:
  """How many no-op frames a game begins with, 0..30; 0 is to be refused.

    noops = floor(r * 31 / 2^32),   r: the first number of MT19937(seed)

  It is the vector environment's own draw (std::uniform_int_distribution over
  std::mt19937, which draws again for one seed in a billion). The number of
  frames that it tells would not do: it has those of a game's start-up, too, one
  in Pooyan, 134 in NameThisGame.

  Args:
    seed: 0..2^31 - 1.
  """
  first = np.random.RandomState(seed).randint(0, 2**32, dtype=np.uint32)
  return int(first) * _NOOP_MAX >> 32


class AtariGames(GameBatch):
  """N games of one ROM.

  The frame of a step in which the game ended may hold stale pixels, since the
  frame skip stops early: it is good for no target.
  """

  def __init__(self, task: TaskSpec, num_games: int, separate: bool = False):
    """Initializes the emulators.

    Args:
      task: an Atari task; frames [H, W, 3] in RGB or [H, W, 1] in grey.
      num_games: N.
      separate: each game has an emulator batch of its own, so that idle ones
        rest. Otherwise one batch plays all games, idle ones too. A game is the
        same in both.

    Raises:
      UsageError: ale-py is missing, or the task is not one of Atari, or it has
        a mode and a difficulty (`emulator_games` plays those).
    """
    rom = atari_rom(task.name)
    from ale_py import vector_env
    check_frames(task)
    if task.mode is not None:
      raise UsageError(f'{task.name}: the vector environment has no modes. '
                       'Expected EmulatorGames to play it.')
    height, width, channels = task.observation_shape
    self._num_games = num_games
    size = 1 if separate else num_games
    self._groups = [slice(i, i + size) for i in range(0, num_games, size)]
    # Lives are compared by GameEnvironment: `episodic_life` would restart the
    # whole game at each lost life.
    self._emulators: List[Any] = [
        vector_env.AtariVectorEnv(
            rom, size, num_threads=min(size, len(os.sched_getaffinity(0))),
            max_num_frames_per_episode=_NO_FRAME_LIMIT,
            repeat_action_probability=task.sticky_actions,
            full_action_space=True, img_height=height, img_width=width,
            grayscale=channels == 1, stack_num=1, frameskip=task.frame_skip,
            noop_max=_NOOP_MAX, episodic_life=False, life_loss_info=False,
            reward_clipping=False, use_fire_reset=False)
        for _ in self._groups]
    self._frames = np.zeros([num_games, *task.observation_shape], np.uint8)
    self._lives = np.zeros([num_games], np.int32)
    self._noops = np.zeros([num_games], np.int32)
    self._started = False

  @property
  def num_games(self) -> int:
    return self._num_games

  @property
  def num_actions(self) -> int:
    """Actions that the emulators take, by the family's ids."""
    return len(self._emulators[0].ale.get_action_set())

  @property
  def noops(self) -> np.ndarray:
    """<int32>[N], emulator frames of no-op with which each game began."""
    return self._noops.copy()

  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    all_seeds = np.zeros([self._num_games], np.int64)
    all_seeds[chosen] = seeds
    self._noops[chosen] = [drawn_noops(int(seed)) for seed in seeds]
    for group, emulators in zip(self._groups, self._emulators):
      mask = chosen[group]
      if not mask.any():
        continue
      # The first reset has to be one of all games. A seeded reset loads the ROM
      # anew (about 0.09 s), which is what makes a game independent of the ones
      # before it.
      options = {'reset_mask': mask} if self._started else None
      frames, info = emulators.reset(seed=all_seeds[group][mask],
                                     options=options)
      self._keep(group, frames, info)
    self._started = True
    return self._frames.copy(), self._lives.copy(), self._noops > 0

  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    reward = np.zeros([self._num_games], np.float32)
    terminal = np.zeros([self._num_games], bool)
    truncated = np.zeros([self._num_games], bool)
    # A batch whose game is over would start a new one, unasked.
    playing = [(group, emulators) for group, emulators
               in zip(self._groups, self._emulators) if not idle[group].all()]
    for group, emulators in playing:
      emulators.send(actions[group])
    # Only now, so that all play at the same time, each in threads of its own.
    for group, emulators in playing:
      frames, reward[group], terminal[group], truncated[group], info = (
          emulators.recv())
      self._keep(group, frames, info)
    return GameStep(self._frames.copy(), reward, terminal, truncated,
                    self._lives.copy())

  def close(self) -> None:
    for emulators in self._emulators:
      emulators.close()

  def _keep(self, group: slice, frames: np.ndarray, info: Any) -> None:
    """Notes what a batch shows: frames [n, 1, H, W] or [n, 1, H, W, 3]."""
    self._frames[group] = frames.reshape(self._frames[group].shape)
    self._lives[group] = info['lives']
