"""Cross: from the bottom to the top, over five roads with cars."""

import numpy as np

from xtra_tf.environments.tiny import game

_ROADS = (2, 3, 5, 6, 8)  # rows
_START = game.SIZE - 1
_COLUMN = game.SIZE // 2
# Rows that an action moves the player; FIRE leaps over a row.
_STEPS = {game.NOOP: 0, game.UP: -1, game.DOWN: 1, game.FIRE: -2}


class Cross(game.TinyGame):
  """+1 for reaching the top, -1 for a collision; both lead back to the bottom.

  Two cars a road, five cells apart, one cell a step, each road in its own
  direction. The walker keeps to one column. Unrelated to Catch: another
  player's place, other actions, other things to meet.
  """

  LENGTH = 50
  ACTIONS = (game.NOOP, game.UP, game.DOWN, game.FIRE)

  def _start(self) -> None:
    self._walker = _START
    self._cars = [self._column() for _ in _ROADS]
    self._directions = [1 if self._random.integers(2) else -1 for _ in _ROADS]

  def _hit(self, walker: int, ahead: int) -> bool:
    """Whether a car is where the walker is, so many steps from now."""
    if walker not in _ROADS:
      return False
    road = _ROADS.index(walker)
    car = self._cars[road] + ahead * self._directions[road]
    return (car - _COLUMN) % (game.SIZE // 2) == 0

  def _advance(self, action: int) -> float:
    self._walker = game.inside(self._walker + _STEPS[action])
    self._cars = [(car + direction) % game.SIZE
                  for car, direction in zip(self._cars, self._directions)]
    if self._walker == 0:
      self._walker = _START
      return 1.0
    if self._hit(self._walker, ahead=0):
      self._walker = _START
      return -1.0
    return 0.0

  def _draw(self, planes: np.ndarray) -> None:
    planes[self._walker, _COLUMN, game.PLAYER] = 255
    planes[0, _COLUMN, game.GOAL] = 255
    for row, car, direction in zip(_ROADS, self._cars, self._directions):
      planes[row, :, game.ROAD] = 255
      for cell in (car, car + game.SIZE // 2):
        planes[row, cell % game.SIZE, game.HAZARD] = 255
        planes[row, (cell - direction) % game.SIZE, game.HAZARD_TRAIL] = 255

  def scripted_action(self) -> int:
    for action in (game.FIRE, game.UP, game.NOOP):
      if not self._hit(game.inside(self._walker + _STEPS[action]), ahead=1):
        return action
    return game.DOWN
