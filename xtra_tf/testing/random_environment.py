"""An environment from nothing but a TaskSpec, for tests without Atari."""

import dataclasses
from typing import List, Optional, Tuple

import numpy as np

from xtra_tf.environments import seeding
from xtra_tf.environments.game_batch import GameBatch, GameStep
from xtra_tf.environments.game_environment import GameEnvironment
from xtra_tf.tasks import TaskSpec


@dataclasses.dataclass(frozen=True)
class Chances:
  """Probabilities per step, and the lives of a game."""
  terminal: float = 0.02
  truncated: float = 0.0
  life_loss: float = 0.05
  reward: float = 0.2
  lives: int = 3


class RandomGames(GameBatch):
  """N games of noise. A game is a function of its seed alone."""

  def __init__(self, task: TaskSpec, num_games: int,
               chances: Chances = Chances()):
    self._task = task
    self._chances = chances
    self._random: List[Optional[np.random.Generator]] = [None] * num_games
    self._lives = np.zeros([num_games], np.int32)
    self._frames = np.zeros([num_games, *task.observation_shape],
                            task.observation_dtype)

  @property
  def num_games(self) -> int:
    return len(self._random)

  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    for slot, seed in zip(np.flatnonzero(chosen), seeds):
      random = np.random.default_rng(int(seed))
      self._random[slot] = random
      self._lives[slot] = self._chances.lives
      self._draw(slot, random)
    return (self._frames.copy(), self._lives.copy(),
            np.ones([self.num_games], bool))

  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    reward = np.zeros([self.num_games], np.float32)
    terminal = np.zeros([self.num_games], bool)
    truncated = np.zeros([self.num_games], bool)
    for slot, random in enumerate(self._random):
      if idle[slot] or random is None:
        continue
      dice = random.random(4)
      if dice[0] < self._chances.reward:
        # More than 1, so that clipping shows.
        reward[slot] = random.choice([-5.0, 10.0])
      if dice[1] < self._chances.life_loss:
        self._lives[slot] -= 1
      terminal[slot] = (dice[2] < self._chances.terminal
                        or self._lives[slot] == 0 < self._chances.lives)
      truncated[slot] = dice[3] < self._chances.truncated
      self._draw(slot, random)
    return GameStep(self._frames.copy(), reward, terminal, truncated,
                    self._lives.copy())

  def _draw(self, slot: int, random: np.random.Generator) -> None:
    shape = self._task.observation_shape
    if self._task.observation_dtype == 'uint8':
      self._frames[slot] = random.integers(0, 256, shape)
    else:
      self._frames[slot] = random.normal(size=shape)


def random_environment(task: TaskSpec, *, num_envs: int, seed: int = 0,
                       training: bool = True, max_episode_steps: int = 27_000,
                       chances: Chances = Chances()) -> GameEnvironment:
  """Batched environments of noise with a task's frames, actions and rewards.

  Args:
    task: any spec; no such game need exist.
    num_envs: N.
    seed: as in `environments.load`.
    training: lost lives end an episode.
    max_episode_steps: agent steps after which a game is truncated.
    chances: how often something happens.
  """

  def seed_fn(slot: int, episode: int, attempt: int) -> int:
    if training:
      return seeding.episode_seed(seed, slot, episode, attempt)
    return seeding.evaluation_seed(slot + num_envs * episode, attempt)

  return GameEnvironment(
      task, RandomGames(task, num_envs, chances), seed_fn,
      life_loss_ends=training, max_episode_steps=max_episode_steps)
