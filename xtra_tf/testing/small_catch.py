"""Catch on a 5 x 3 board: the usual first task of a learning agent."""

from typing import Any, Dict, Optional, Tuple

import gymnasium
import numpy as np

ROWS, COLUMNS = 5, 3
# Two names for it, as a run wants a source task of the target's shapes.
TARGET_ID, SOURCE_ID = 'SmallCatch-v0', 'SmallCatchSource-v0'


class SmallCatch(gymnasium.Env):
  """A ball falls one row a step; a paddle at the bottom moves left and right.

  The ball starts in a random column, the paddle in the middle. After four
  steps the game is over: +1 if paddle and ball are in the same column, else
  -1. An observation is the ball's place on the board and the paddle's column,
  one-hot each. Random play reaches about -0.3, perfect play 1.
  The same game as in Osband et al., Behaviour Suite for Reinforcement Learning
  (2019), on a smaller board.
  """

  def __init__(self) -> None:
    self.observation_space = gymnasium.spaces.Box(
        0., 1., (ROWS * COLUMNS + COLUMNS,), np.float32)
    self.action_space = gymnasium.spaces.Discrete(3)  # left, stay, right

  def reset(self, *, seed: Optional[int] = None,
            options: Optional[Dict[str, Any]] = None
            ) -> Tuple[np.ndarray, Dict[str, Any]]:
    super().reset(seed=seed, options=options)
    self._row, self._paddle = 0, COLUMNS // 2
    self._ball = int(self.np_random.integers(COLUMNS))
    return self._observation(), {}

  def step(self, action: int
           ) -> Tuple[np.ndarray, float, bool, bool, Dict[str, Any]]:
    self._paddle = min(max(self._paddle + int(action) - 1, 0), COLUMNS - 1)
    self._row += 1
    over = self._row == ROWS - 1
    caught = 1. if self._paddle == self._ball else -1.
    return self._observation(), caught if over else 0., over, False, {}

  def _observation(self) -> np.ndarray:
    board = np.zeros([ROWS, COLUMNS], np.float32)
    board[self._row, self._ball] = 1.
    paddle = np.zeros([COLUMNS], np.float32)
    paddle[self._paddle] = 1.
    return np.concatenate([board.ravel(), paddle])


def register() -> None:
  """Makes the game known to gymnasium, under both names."""
  for name in (TARGET_ID, SOURCE_ID):
    if name not in gymnasium.registry:
      gymnasium.register(name, lambda **_: SmallCatch())
