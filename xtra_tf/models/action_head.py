"""An action head smaller than the task family: some ids have a place in it.

EfficientZero numbers the actions of one game 0..A - 1 and its networks know no
others; here everything outside of a network speaks the family's ids.
"""

from typing import Sequence

import numpy as np
import tensorflow as tf

# Policy logit of an action that has no place in the head. Its probability is
# exactly 0 in float32, its product with a target of 0 is 0 and not NaN, and a
# target above 0 shows as a huge loss.
ABSENT_LOGIT = -1e6


class ActionHead:
  """Maps between the ids of a task family and the places of a smaller head.

  Source: EfficientZero `core/game.py` and `config/atari/model.py`, where the
  action plane is index / A and the policy has A logits.

  Attributes:
    size: N, actions that the network knows.
  """

  def __init__(self, action_ids: Sequence[int], num_actions: int):
    """Makes both tables.

    Args:
      action_ids: N distinct ids; place i of the head is action_ids[i].
      num_actions: A of the task family; ids are 0..A - 1.
    """
    self.size = len(action_ids)
    # An id without a place would otherwise be taken for another action.
    self._place_of_id = np.full([num_actions], np.nan, np.float32)
    self._place_of_id[list(action_ids)] = np.arange(self.size)
    # The last column is the one for absent actions.
    self._column_of_id = np.full([num_actions], self.size, np.int32)
    self._column_of_id[list(action_ids)] = np.arange(self.size)

  def places(self, action: tf.Tensor) -> tf.Tensor:
    """The place of each action, as a number for the action plane.

    Args:
      action: <int32>[B] ids.

    Returns:
      <float32>[B]; NaN for an id without a place, so that whatever is computed
      from it says so.
    """
    return tf.gather(tf.constant(self._place_of_id), action)

  def family_logits(self, logits: tf.Tensor) -> tf.Tensor:
    """Policy logits of all actions of the family.

    Args:
      logits: <float32>[B, N].

    Returns:
      <float32>[B, A], ABSENT_LOGIT where an action has no place.
    """
    padded = tf.pad(logits, [[0, 0], [0, 1]], constant_values=ABSENT_LOGIT)
    return tf.gather(padded, self._column_of_id, axis=1)
