"""Dodge: a rock four cells wide falls, the player must not be below it."""

import numpy as np

from xtra_tf.environments.tiny import game

_WIDTH = 4


class Dodge(game.TinyGame):
  """Nine rocks fall, one after the other, from a height of five rows.

  +1 for a rock that lands beside the player, -1 for one that hits. It is
  controlled like Catch, but it pays to be elsewhere.
  """

  LENGTH = 9 * 5
  ACTIONS = (game.NOOP, game.LEFT, game.RIGHT)

  def _start(self) -> None:
    self._player = self._column()
    self._drop()

  def _drop(self) -> None:
    # Rocks aim at the player, else standing in a corner would do.
    self._row = game.SIZE - 6
    left = self._player - int(self._random.integers(_WIDTH))
    self._rock = game.inside(left, 0, game.SIZE - _WIDTH)

  def _below(self, column: int) -> bool:
    return self._rock <= column < self._rock + _WIDTH

  def _advance(self, action: int) -> float:
    self._player = game.inside(self._player + game.MOVES[action][1])
    self._row += 1
    if self._row < game.SIZE - 1:
      return 0.0
    hit = self._below(self._player)
    self._drop()
    return -1.0 if hit else 1.0

  def _draw(self, planes: np.ndarray) -> None:
    planes[-1, self._player, game.PLAYER] = 255
    rock = slice(self._rock, self._rock + _WIDTH)
    planes[self._row, rock, game.HAZARD] = 255
    planes[self._row - 1, rock, game.HAZARD_TRAIL] = 255

  def scripted_action(self) -> int:
    if not self._below(self._player):
      return game.NOOP
    # The nearer way out, unless it is beyond the wall.
    left, right = self._rock - 1, self._rock + _WIDTH
    if left < 0 or (right < game.SIZE
                    and right - self._player < self._player - left):
      return game.RIGHT
    return game.LEFT
