"""Any gymnasium environment with discrete actions and an array observation."""

from typing import Any, Optional, Tuple

import numpy as np

from xtra_tf.environments.game_batch import GameBatch, GameStep
from xtra_tf.errors import UsageError
from xtra_tf.tasks import TaskSpec


class GymnasiumGames(GameBatch):
  """N environments `gymnasium.make(id)`, one after the other.

  The environment's own TimeLimit is a truncation. Its seed is what it makes of
  `reset(seed=...)`.
  """

  def __init__(self, task: TaskSpec, num_games: int,
               render_mode: Optional[str] = None):
    """Makes the environments.

    Args:
      task: named `gym:<id>`.
      num_games: N.
      render_mode: gymnasium's, for `render`.

    Raises:
      UsageError: the environment cannot be made, or the task expects another
        observation, other actions, or a frame skip.
    """
    import gymnasium
    if task.frame_skip != 1 or task.sticky_actions:
      raise UsageError(
          f'{task.name}: frame_skip is {task.frame_skip} and sticky_actions '
          f'{task.sticky_actions}. Expected 1 and 0: wrap the environment and '
          'register it under an id of its own.')
    self._task = task
    self._environments = [_make(task, render_mode) for _ in range(num_games)]
    actions = self._environments[0].action_space
    size = int(np.prod(self._environments[0].observation_space.shape or (0,)))
    if (not isinstance(actions, gymnasium.spaces.Discrete)
        or actions.n != task.num_actions
        or size != np.prod(task.observation_shape)):
      self.close()
      raise UsageError(
          f'{task.name} has actions {actions} and {size} numbers in an '
          f'observation. Its TaskSpec expects {task.num_actions} actions and '
          f'an observation of shape {list(task.observation_shape)}.')
    self._first_action = int(actions.start.item())
    self._frames = np.zeros([num_games, *task.observation_shape],
                            task.observation_dtype)

  @property
  def num_games(self) -> int:
    return len(self._environments)

  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    for slot, seed in zip(np.flatnonzero(chosen), seeds):
      observation, _ = self._environments[slot].reset(seed=int(seed))
      self._keep(slot, observation)
    lives = np.zeros([self.num_games], np.int32)
    return self._frames.copy(), lives, np.ones([self.num_games], bool)

  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    reward = np.zeros([self.num_games], np.float32)
    terminal = np.zeros([self.num_games], bool)
    truncated = np.zeros([self.num_games], bool)
    for slot in np.flatnonzero(~idle):
      observation, reward[slot], terminal[slot], truncated[slot], _ = (
          self._environments[slot].step(
              int(actions[slot]) + self._first_action))
      self._keep(slot, observation)
    return GameStep(self._frames.copy(), reward, terminal, truncated,
                    np.zeros([self.num_games], np.int32))

  def render(self, slot: int) -> np.ndarray:
    """uint8[H, W, 3], the environment's own picture of a slot.

    Raises:
      UsageError: a package that draws it is not installed.
    """
    import gymnasium
    try:
      return np.asarray(self._environments[slot].render(), np.uint8)
    except (gymnasium.error.Error, ImportError) as error:
      raise UsageError(f'{self._task.name} cannot be drawn: {error}') from error

  def close(self) -> None:
    for environment in self._environments:
      environment.close()

  def _keep(self, slot: int, observation: np.ndarray) -> None:
    self._frames[slot] = np.asarray(observation).reshape(
        self._task.observation_shape)


def _make(task: TaskSpec, render_mode: Optional[str]) -> Any:
  """One gymnasium.Env.

  Raises:
    UsageError: there is no such environment, it lacks a package, or it has no
      such render mode.
  """
  import gymnasium
  env_id = task.name[len('gym:'):]
  try:
    environment = gymnasium.make(env_id)
    if render_mode is None:
      return environment
    # Only now: a constructor without a `render_mode` would refuse the argument.
    modes = list(environment.metadata.get('render_modes') or [])
    environment.close()
    if render_mode in modes:
      return gymnasium.make(env_id, render_mode=render_mode)
  except (gymnasium.error.Error, ImportError) as error:
    raise UsageError(f'gymnasium cannot make {env_id!r}: {error}') from error
  raise UsageError(f'{task.name} cannot be drawn: it offers the render modes '
                   f'{modes}. Expected {render_mode} among them.')
