"""Collect: walk to the coin; another one appears."""

from typing import Sequence, Tuple

import numpy as np

from xtra_tf.environments.tiny import game

Cell = Tuple[int, int]  # row, column


class Collect(game.TinyGame):
  """+1 for every coin reached within the time; two coins lie on the board.

  Related to Cross: walking on the board, upwards and downwards.
  """

  LENGTH = 40
  ACTIONS = (game.NOOP, game.LEFT, game.UP, game.RIGHT, game.DOWN)

  def _start(self) -> None:
    self._player = (game.SIZE // 2, game.SIZE // 2)
    self._coins = [self._place([]), self._place([])]

  def _place(self, taken: Sequence[Cell]) -> Cell:
    """A random free cell."""
    while True:
      cell = (self._column(), self._column())
      if cell != self._player and cell not in taken:
        return cell

  def _advance(self, action: int) -> float:
    down, right = game.MOVES[action]
    self._player = (game.inside(self._player[0] + down),
                    game.inside(self._player[1] + right))
    if self._player not in self._coins:
      return 0.0
    self._coins.remove(self._player)
    self._coins.append(self._place(self._coins))
    return 1.0

  def _draw(self, planes: np.ndarray) -> None:
    planes[self._player[0], self._player[1], game.PLAYER] = 255
    for row, column in self._coins:
      planes[row, column, game.PREY] = 255

  def scripted_action(self) -> int:
    row, column = self._player
    coin = min(self._coins, key=lambda c: abs(c[0] - row) + abs(c[1] - column))
    if coin[1] != column:
      return game.towards(column, coin[1])
    return game.UP if coin[0] < row else game.DOWN
