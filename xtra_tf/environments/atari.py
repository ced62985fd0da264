"""Atari games, by ale-py's vector environment.

Preprocessing is the official one (EfficientZero core/utils.py,
config/atari/env_wrapper.py): every action for `frame_skip` emulator frames, the
pixelwise maximum of the last two, area resize, 1 to 30 no-op frames at the
start, no FIRE on reset.
"""

import os
from typing import Any, Tuple

import numpy as np

from xtra_tf.environments.game_batch import GameBatch, GameStep
from xtra_tf.errors import UsageError
from xtra_tf.tasks import TaskSpec, atari_rom

# The vector environment draws 0..noop_max - 1 no-ops. A draw of 0 is refused,
# which leaves 1..30 with equal chances.
_NOOP_MAX = 31
# Games are truncated by the agent steps that GameEnvironment counts.
_NO_FRAME_LIMIT = 2**31 - 1


class AtariGames(GameBatch):
  """N games of one ROM.

  The frame of a step in which the game ended may hold stale pixels, since the
  frame skip stops early: it is good for no target.
  """

  def __init__(self, task: TaskSpec, num_games: int):
    """Initializes the emulators.

    Args:
      task: an Atari task; frames [H, W, 3] in RGB or [H, W, 1] in grey.
      num_games: N.

    Raises:
      UsageError: ale-py is missing, or the task is not one of Atari.
    """
    rom = atari_rom(task.name)
    from ale_py import vector_env
    if (len(task.observation_shape) != 3
        or task.observation_shape[2] not in (1, 3)
        or task.observation_dtype != 'uint8'):
      raise UsageError(
          f'{task.name}: frames are {task.observation_dtype}'
          f'{list(task.observation_shape)}. Expected uint8 [H, W, 3] (RGB) or '
          '[H, W, 1] (grey).')
    height, width, channels = task.observation_shape
    self._num_games = num_games
    self._frame_shape = task.observation_shape
    # Lives are compared by GameEnvironment: `episodic_life` would restart the
    # whole game at each lost life.
    self._emulators: Any = vector_env.AtariVectorEnv(
        rom, num_games,
        num_threads=min(num_games, len(os.sched_getaffinity(0))),
        max_num_frames_per_episode=_NO_FRAME_LIMIT,
        repeat_action_probability=task.sticky_actions,
        full_action_space=True, img_height=height, img_width=width,
        grayscale=channels == 1, stack_num=1, frameskip=task.frame_skip,
        noop_max=_NOOP_MAX, episodic_life=False,
        life_loss_info=False, reward_clipping=False, use_fire_reset=False)
    self._noops = np.zeros([num_games], np.int32)
    self._started = False

  @property
  def num_games(self) -> int:
    return self._num_games

  @property
  def num_actions(self) -> int:
    """Actions that the emulators take, by the family's ids."""
    return len(self._emulators.ale.get_action_set())

  @property
  def noops(self) -> np.ndarray:
    """<int32>[N], emulator frames of no-op with which each game began."""
    return self._noops.copy()

  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    # The first reset has to be one of all games. A seeded reset loads the ROM
    # anew (about 0.09 s), which is what makes a game independent of the ones
    # before it.
    options = {'reset_mask': chosen} if self._started else None
    frames, info = self._emulators.reset(seed=seeds, options=options)
    self._started = True
    self._noops[chosen] = info['episode_frame_number'][chosen]
    return self._frames(frames), info['lives'], self._noops > 0

  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    del idle  # The vector environment restarts them unasked.
    frames, reward, terminal, truncated, info = self._emulators.step(actions)
    return GameStep(self._frames(frames), reward.astype(np.float32), terminal,
                    truncated, info['lives'])

  def close(self) -> None:
    self._emulators.close()

  def _frames(self, frames: np.ndarray) -> np.ndarray:
    """[N, 1, H, W] or [N, 1, H, W, 3] -> [N, H, W, C], without a copy."""
    return frames.reshape(self._num_games, *self._frame_shape)
