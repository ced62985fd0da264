"""What an environment adapter has to offer: N games, stepped together.

A `GameBatch` knows one kind of game and nothing of time steps, seeds of a run,
life-loss episodes or limits; `GameEnvironment` makes a PyEnvironment of it.
"""

import abc
from typing import NamedTuple, Tuple

import numpy as np


class GameStep(NamedTuple):
  """What N games answered to one action each."""
  frames: np.ndarray  # <task dtype>[N, *frame], fresh memory
  raw_reward: np.ndarray  # <float32>[N], as the game gives it
  terminal: np.ndarray  # <bool>[N] the game is over
  truncated: np.ndarray  # <bool>[N] the game's own time limit has struck
  lives: np.ndarray  # <int32>[N] lives left; constant in games without lives


class GameBatch(abc.ABC):
  """N games of one task."""

  @property
  @abc.abstractmethod
  def num_games(self) -> int:
    """N."""

  @abc.abstractmethod
  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts new games in some slots, from their seeds alone.

    Args:
      chosen: <bool>[N] slots that get a new game; all of them the first time.
      seeds: <int64>[number of chosen slots], in the order of the slots.

    Returns:
      frames <task dtype>[N, *frame] (of the other slots: as they were),
      lives <int32>[N], and accepted <bool>[N]: false where the seed gave a
      start that the protocol does not want, so that another is to be drawn.
    """

  @abc.abstractmethod
  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    """Plays one action in every game.

    Args:
      actions: <int32>[N] ids of the task's family, legal ones.
      idle: <bool>[N] slots whose game is over. What is returned for them has no
        meaning; unless they rest for good, `begin` is called for them next.
    """

  def close(self) -> None:  # noqa: B027, most games hold nothing
    """Frees what the games hold."""
