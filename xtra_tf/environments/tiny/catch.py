"""Catch: a fruit falls, the basket at the bottom has to be below it."""

import numpy as np

from xtra_tf.environments.tiny import game


class Catch(game.TinyGame):
  """Five fruits fall straight down, one row a step.

  +1 for a fruit that lands in the basket (three cells wide), -1 for one that
  does not. Related to Paddle: be where the thing will land.
  """

  LENGTH = 5 * (game.SIZE - 1)
  ACTIONS = (game.NOOP, game.LEFT, game.RIGHT)

  def _start(self) -> None:
    self._basket = self._column(1, game.SIZE - 2)
    self._drop()

  def _drop(self) -> None:
    self._row, self._fruit = 0, self._column()

  def _advance(self, action: int) -> float:
    self._basket = game.inside(self._basket + game.MOVES[action][1], 1,
                               game.SIZE - 2)
    self._row += 1
    if self._row < game.SIZE - 1:
      return 0.0
    caught = abs(self._fruit - self._basket) <= 1
    self._drop()
    return 1.0 if caught else -1.0

  def _draw(self, planes: np.ndarray) -> None:
    planes[-1, self._basket - 1:self._basket + 2, game.PLAYER] = 255
    planes[self._row, self._fruit, game.PREY] = 255
    if self._row:
      planes[self._row - 1, self._fruit, game.PREY_TRAIL] = 255

  def scripted_action(self) -> int:
    return game.towards(self._basket, game.inside(self._fruit, 1,
                                                  game.SIZE - 2))
