"""Five tiny tasks on a 10 x 10 board, for tests and for a first look.

They share one frame (10 planes of 0 or 255), one palette and six actions. What
a task means to another is by design: `catch` and `paddle` are related (meet a
falling thing with a basket that moves left and right), `collect` and `cross`
walk on the board, and `catch` and `cross` have nothing in common: another
player, other actions, other things to meet. `dodge` is controlled like `catch`
and wants the opposite.
"""

from xtra_tf.environments.tiny.batch import GAMES, TinyGames
