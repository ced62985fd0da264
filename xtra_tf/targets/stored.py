"""Targets that are stored with the data: visit counts and state values."""

import tensorflow as tf

from xtra_tf import types
from xtra_tf.targets import unroll_targets
from xtra_tf.targets.settings import DEFAULT_SETTINGS, TargetSettings


class StoredTargets:
  """Reads the targets out of the window; no network is asked.

  For offline data, whose search statistics and values a teacher has written
  beside them once: policies are the stored visit counts, values the rewards
  that followed plus the stored value of the state after n steps. The data are
  fixed, so n does not shrink with age.
  Source: XTRA, section 3; XTRA `core/game_detach.py`, with the bootstrap of
  state t + k + n in place of the root value of state t + k, which counts the
  rewards twice. The settings can ask for the literal form.
  """

  def __init__(self, *, stack: int, unroll_steps: int, td_steps: int,
               discount: float, settings: TargetSettings = DEFAULT_SETTINGS):
    """Remembers how windows are read.

    Args:
      stack: frames of a stacked observation.
      unroll_steps: K.
      td_steps: n.
      discount: factor per agent step.
      settings: what is made of ends and of stored values.
    """
    self._geometry = unroll_targets.UnrollGeometry(
        stack, unroll_steps, td_steps, discount, settings)

  def __call__(self, unroll: types.Unroll) -> types.Targets:
    """Targets of a batch.

    Args:
      unroll: a batch whose scalars hold `bootstrap_value` in every row up to
        the last observed state (in the literal form `root_value`), and whose
        `search` holds visit counts where `has_search` is 1.

    Returns:
      The targets; no policy target where `has_search` is 0.

    Raises:
      ValueError: if the windows have another length.
    """
    geometry = self._geometry
    geometry.check(unroll)
    first = geometry.anchor
    last = first + geometry.unroll_steps + 1
    scalars = unroll.scalars[:, first:]
    has_search = scalars[..., types.SCALARS.index('has_search')]
    rows = unroll.action.shape[0]
    targets = unroll_targets.make_targets(
        unroll, geometry,
        state_value=scalars[..., types.SCALARS.index('bootstrap_value')],
        td_steps=tf.fill([rows], geometry.td_steps),
        policy=unroll.search[:, first:last],
        has_policy=has_search[:, :geometry.unroll_steps + 1] > 0.)
    if geometry.settings.stored_value == 'bootstrap':
      return targets
    root_value = scalars[..., types.SCALARS.index('root_value')]
    return targets._replace(value=unroll_targets.root_value_targets(
        unroll, geometry, root_value[:, :geometry.unroll_steps + 1]))
