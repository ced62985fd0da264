"""Paddle: a ball bounces off walls and ceiling and must not be missed."""

from typing import Tuple

import numpy as np

from xtra_tf.environments.tiny import game

_BOTTOM = game.SIZE - 1


class Paddle(game.TinyGame):
  """The ball flies diagonally; walls, ceiling and paddle reflect it.

  +1 for a return (the paddle is three cells wide), -1 for a miss, after which
  the next ball is served from the top. Related to Catch: same player, same
  thing to meet, but it flies aslant and bounces.
  """

  LENGTH = 5 * _BOTTOM  # three arrivals if all are returned, five if none is
  ACTIONS = (game.NOOP, game.LEFT, game.RIGHT)

  def _start(self) -> None:
    self._paddle = self._column(1, game.SIZE - 2)
    self._serve()

  def _serve(self) -> None:
    self._row, self._ball = 0, self._column()
    self._down = 1
    self._right = 1 if self._random.integers(2) else -1
    self._trail = (self._row, self._ball)

  def _advance(self, action: int) -> float:
    self._paddle = game.inside(self._paddle + game.MOVES[action][1], 1,
                               game.SIZE - 2)
    self._trail = (self._row, self._ball)
    self._row, self._down = _bounce(self._row, self._down)
    self._ball, self._right = _bounce(self._ball, self._right)
    if self._row < _BOTTOM:
      return 0.0
    if abs(self._ball - self._paddle) <= 1:
      return 1.0
    self._serve()
    return -1.0

  def _draw(self, planes: np.ndarray) -> None:
    planes[-1, self._paddle - 1:self._paddle + 2, game.PLAYER] = 255
    planes[self._row, self._ball, game.PREY] = 255
    # A served ball has no trail: its direction shows after the first step.
    if self._trail != (self._row, self._ball):
      planes[self._trail[0], self._trail[1], game.PREY_TRAIL] = 255

  def scripted_action(self) -> int:
    row, down, ball, right = self._row, self._down, self._ball, self._right
    while True:  # fly ahead to the next arrival
      row, down = _bounce(row, down)
      ball, right = _bounce(ball, right)
      if row == _BOTTOM:
        break
    return game.towards(self._paddle, game.inside(ball, 1, game.SIZE - 2))


def _bounce(position: int, direction: int) -> Tuple[int, int]:
  """One step along an axis; at its ends the direction turns."""
  if not 0 <= position + direction < game.SIZE:
    direction = -direction
  return position + direction, direction
