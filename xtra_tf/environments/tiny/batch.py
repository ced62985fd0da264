"""N tiny games as a batch."""

from typing import Dict, List, Optional, Tuple, Type

import numpy as np

from xtra_tf.environments.game_batch import GameBatch, GameStep
from xtra_tf.environments.tiny import game
from xtra_tf.environments.tiny.catch import Catch
from xtra_tf.environments.tiny.collect import Collect
from xtra_tf.environments.tiny.cross import Cross
from xtra_tf.environments.tiny.dodge import Dodge
from xtra_tf.environments.tiny.paddle import Paddle
from xtra_tf.errors import UsageError, near_names
from xtra_tf.tasks import TaskSpec

GAMES: Dict[str, Type[game.TinyGame]] = {
    'tiny:catch': Catch, 'tiny:dodge': Dodge, 'tiny:collect': Collect,
    'tiny:paddle': Paddle, 'tiny:cross': Cross}


class TinyGames(GameBatch):
  """N games of one tiny task."""

  def __init__(self, task: TaskSpec, num_games: int):
    """Initializes the batch.

    Args:
      task: one of the tiny tasks.
      num_games: N.

    Raises:
      UsageError: an unknown task, or a spec that is not the registered one.
    """
    if task.name not in GAMES:
      raise UsageError(f'Unknown tiny task {task.name!r}. '
                       + near_names(task.name, GAMES))
    self._kind = GAMES[task.name]
    if (task.observation_shape != (game.SIZE,) * 3
        or task.observation_dtype != 'uint8'
        or task.legal_actions != self._kind.ACTIONS or task.frame_skip != 1
        or task.sticky_actions):
      raise UsageError(
          f'{task.name} cannot be played as {task}. Expected uint8 frames of '
          f'10 x 10 x 10, the actions {self._kind.ACTIONS}, no frame skip and '
          'no sticky actions.')
    self._num_games = num_games
    self._games: List[Optional[game.TinyGame]] = [None] * num_games

  @property
  def num_games(self) -> int:
    return self._num_games

  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    for slot, seed in zip(np.flatnonzero(chosen), seeds):
      self._games[slot] = self._kind(int(seed))
    return (self._frames(), np.zeros([self._num_games], np.int32),
            np.ones([self._num_games], bool))

  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    reward = np.zeros([self._num_games], np.float32)
    over = np.zeros([self._num_games], bool)
    for slot in np.flatnonzero(~idle):
      reward[slot], over[slot] = self._playing(slot).step(int(actions[slot]))
    return GameStep(self._frames(), reward, over, np.zeros_like(over),
                    np.zeros([self._num_games], np.int32))

  def scripted_actions(self) -> np.ndarray:
    """<int32>[N], what a strong player does in each game."""
    return np.array([self._playing(slot).scripted_action()
                     for slot in range(self._num_games)], np.int32)

  def _playing(self, slot: int) -> game.TinyGame:
    playing = self._games[slot]
    if playing is None:
      raise ValueError('No game has been started yet; call begin first.')
    return playing

  def _frames(self) -> np.ndarray:
    return np.stack([self._playing(slot).frame()
                     for slot in range(self._num_games)])
