"""Targets of behaviour cloning: what was done."""

import tensorflow as tf

from xtra_tf import types


class ActionTargets:
  """The action that was played at the anchor, as the policy's target.

  Nothing else is a target: no value, no value prefix, no state after the
  anchor (K = 0). Axes: B batch, A actions.
  Source: the paper's section 3, a multi-task behaviour cloning policy, of which
  it says no more.
  """

  def __init__(self, *, stack: int, num_actions: int):
    """Remembers how windows are read.

    Args:
      stack: frames of a stacked observation; the anchor is row `stack - 1`.
      num_actions: A, of the task family.
    """
    self._anchor = stack - 1
    self._num_actions = num_actions

  def __call__(self, unroll: types.Unroll) -> types.Targets:
    """Targets of a batch.

    Args:
      unroll: a batch.

    Returns:
      The targets of K = 0; none in a row whose anchor is not real, for nothing
      was played there.
    """
    real = types.SCALARS.index('real')
    played = unroll.scalars[:, self._anchor:self._anchor + 1, real]
    action = unroll.action[:, self._anchor:self._anchor + 1]
    nothing = tf.zeros_like(played)
    none = nothing[:, :0]
    return types.Targets(
        value=nothing, value_prefix=none,
        policy=tf.one_hot(action, self._num_actions) * played[..., tf.newaxis],
        value_mask=nothing, value_prefix_mask=none, policy_mask=played,
        consistency_mask=none)
