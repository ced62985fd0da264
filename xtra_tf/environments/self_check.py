"""Is the emulator of this machine the one that everything here relies on?"""

import hashlib
from typing import List, Tuple

import numpy as np

from xtra_tf.environments.atari import AtariGames
from xtra_tf.errors import UserError
from xtra_tf.tasks import ATARI_ACTIONS, TaskSpec, get_task

# Breakout from seed 3, always FIRE: the ball is missed 25 steps later.
_GAME = 'Breakout'
_SEED = 3
_FIRE = 1
_CHECKED_STEP = 10
# First 16 hex digits of the SHA-256 of the 96 x 96 RGB frame after step 10,
# by ale-py 0.12.1. It covers ROM, seeding, no-ops, frame skip and resize.
_FRAME_DIGEST = '7355d267bb2607d7'
_MAX_STEPS_TO_LIFE_LOSS = 60


def check_atari() -> List[str]:
  """Plays a few steps and compares them with what was recorded.

  Returns:
    One sentence per problem; empty if Atari games can be relied on.
  """
  try:
    task = get_task(_GAME)
    games = AtariGames(task, 1)
  except UserError as error:
    return [str(error)]
  except (ImportError, OSError) as error:
    return [f'ale-py cannot start {_GAME}: {error}. Expected ale-py 0.12.1 '
            'with its ROMs; install requirements.lock anew.']
  try:
    return [*check_actions(games), *check_frames(games),
            *check_life_loss_is_no_reset(games, task)]
  finally:
    games.close()


def check_actions(games: AtariGames) -> List[str]:
  """The emulator takes the family's 18 action ids."""
  if games.num_actions == len(ATARI_ACTIONS):
    return []
  return [f'The emulator takes {games.num_actions} actions. Expected '
          f'{len(ATARI_ACTIONS)}, so that ids mean the same in every game.']


def check_frames(games: AtariGames, expected: str = _FRAME_DIGEST) -> List[str]:
  """A fixed seed and fixed actions give the recorded frame."""
  frames = _begin(games)
  for _ in range(_CHECKED_STEP):
    frames = games.step(*_fire()).frames
  found = hashlib.sha256(frames.tobytes()).hexdigest()[:16]
  if found == expected:
    return []
  return [f'Frame {_CHECKED_STEP} of {_GAME} with seed {_SEED} has the digest '
          f'{found}. Expected {expected} (ale-py 0.12.1): games of this '
          'machine are not the ones recorded elsewhere.']


def check_life_loss_is_no_reset(games: AtariGames,
                                task: TaskSpec) -> List[str]:
  """Plays until a life is lost and three steps more: the game must go on."""
  _begin(games)
  lives = games.step(*_fire()).lives[0]
  for _ in range(_MAX_STEPS_TO_LIFE_LOSS):
    step = games.step(*_fire())
    if step.lives[0] < lives:
      break
  else:
    return [f'{task.name}: no life was lost in {_MAX_STEPS_TO_LIFE_LOSS} '
            'steps. Expected one after about 25.']
  ended = bool(step.terminal[0])
  for _ in range(3):
    after = games.step(*_fire())
    ended |= bool(after.terminal[0])
  if ended or after.lives[0] != step.lives[0]:
    return [f'{task.name}: the emulator restarts the game when a life is lost '
            f'({lives} lives, then {step.lives[0]}, three steps later '
            f'{after.lives[0]}; ended: {ended}). Expected the game to go on.']
  return []


def _begin(games: AtariGames) -> np.ndarray:
  frames, _, _ = games.begin(np.ones([1], bool), np.array([_SEED]))
  return frames


def _fire() -> Tuple[np.ndarray, np.ndarray]:
  return np.array([_FIRE], np.int32), np.zeros([1], bool)
