"""What the tiny games share: the board, its planes, the clock."""

import abc
from typing import NamedTuple, Tuple

import numpy as np

SIZE = 10  # rows and columns of the board, and planes of a frame

# Planes of a frame. All games use one palette, so that what looks alike in two
# games means the same wherever the games are related.
PLAYER = 0
PREY = 1  # touching it pays
PREY_TRAIL = 2  # where the prey was one step ago, which shows its direction
HAZARD = 3  # touching it costs
HAZARD_TRAIL = 4
GOAL = 5
ROAD = 6
CLOCK = 9  # top row: tenths of the game that are left

NOOP, LEFT, UP, RIGHT, DOWN, FIRE = range(6)
# (rows, columns) that an action moves the player.
MOVES = {NOOP: (0, 0), LEFT: (0, -1), UP: (-1, 0), RIGHT: (0, 1),
         DOWN: (1, 0)}


class Outcome(NamedTuple):
  """What one action led to."""
  reward: float
  over: bool


class TinyGame(abc.ABC):
  """One tiny game: a 10 x 10 board, at most `LENGTH` steps, six actions.

  A frame shows all of the state that matters (movement by trails, the time
  left by the clock), so one frame is enough to play well.
  """

  LENGTH: int  # steps until the game is over
  ACTIONS: Tuple[int, ...]  # the legal ones

  def __init__(self, seed: int):
    """Starts a game that depends on its seed alone."""
    self._random = np.random.default_rng(seed)
    self._time = 0
    self._start()

  def step(self, action: int) -> Outcome:
    """Plays one action."""
    self._time += 1
    reward = self._advance(action)
    return Outcome(reward, self._time >= self.LENGTH)

  def frame(self) -> np.ndarray:
    """uint8[10, 10, 10] = [row, column, plane], 0 or 255."""
    planes = np.zeros([SIZE, SIZE, SIZE], np.uint8)
    self._draw(planes)
    left = -(-SIZE * (self.LENGTH - self._time) // self.LENGTH)
    planes[0, :left, CLOCK] = 255
    return planes

  @abc.abstractmethod
  def scripted_action(self) -> int:
    """What a strong player does here."""

  @abc.abstractmethod
  def _start(self) -> None:
    """Sets the board up."""

  @abc.abstractmethod
  def _advance(self, action: int) -> float:
    """Moves everything by one step; returns the reward."""

  @abc.abstractmethod
  def _draw(self, planes: np.ndarray) -> None:
    """Sets cells of a black frame to 255."""

  def _column(self, first: int = 0, last: int = SIZE - 1) -> int:
    """A random column in first..last."""
    return int(self._random.integers(first, last + 1))


def inside(value: int, first: int = 0, last: int = SIZE - 1) -> int:
  """The nearest cell of first..last."""
  return min(max(value, first), last)


def towards(column: int, target: int) -> int:
  """The action that moves from a column towards another."""
  if column == target:
    return NOOP
  return LEFT if target < column else RIGHT
