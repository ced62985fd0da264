"""Fresh targets for old data: values and searches of a target network."""

from typing import Optional

import tensorflow as tf

from xtra_tf import types
from xtra_tf.errors import UsageError
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import observations, schedules
from xtra_tf.planning.planner import Planner
from xtra_tf.targets import unroll_targets


class ReanalyzedTargets(tf.Module):
  """Values by the value head, policies by search, both of one network.

  All K + n + 1 states of a window are encoded once, in one batch: the first
  K + 1 are the roots of the searches, and any of them may be a bootstrap. The
  observations are not augmented and batch norm uses running statistics.
  Source: EfficientZero, section 4.3; `core/reanalyze_worker.py`.
  """

  def __init__(self, world_model: WorldModel, planner: Planner, *, stack: int,
               unroll_steps: int, td_steps: int, discount: float,
               noise_fraction: float = 0.25,
               off_policy_interval: Optional[float] = None, seed: int = 0,
               name: str = 'reanalyzed_targets'):
    """Binds the search to the network.

    Args:
      world_model: the target network, or a teacher.
      planner: what searches.
      stack: frames of a stacked observation.
      unroll_steps: K.
      td_steps: n.
      discount: factor per agent step.
      noise_fraction: of exploration noise at the roots; the official code has
        it in policy targets too.
      off_policy_interval: environment steps of age after which a row's n is
        one less; None for fixed data, whose n is constant.
      seed: of noise and ties. A counter, kept in checkpoints, goes into each
        call's seed as well.
      name: of the module.

    Raises:
      UsageError: impossible numbers.
    """
    super().__init__(name=name)
    self._geometry = unroll_targets.UnrollGeometry(
        stack, unroll_steps, td_steps, discount)
    if unroll_steps > world_model.prefix_horizon:
      raise UsageError(
          f'`unroll_steps` is {unroll_steps}, but the value prefix of '
          f'{world_model.name} starts anew after {world_model.prefix_horizon} '
          'steps, and its targets do not. Unroll fewer steps.')
    if not 0. <= noise_fraction <= 1.:
      raise UsageError('`noise_fraction` must be in 0..1, got '
                       f'{noise_fraction}.')
    if off_policy_interval is not None and off_policy_interval <= 0:
      raise UsageError('`off_policy_interval` must be above 0, or None, got '
                       f'{off_policy_interval}.')
    self._world_model = world_model
    self._search = planner.bind(world_model.simulator())
    self._noise_fraction = noise_fraction
    self._off_policy_interval = off_policy_interval
    self._seed = seed
    self._calls = tf.Variable(0, trainable=False, dtype=tf.int32, name='calls')

  def __call__(self, unroll: types.Unroll) -> types.Targets:
    """Targets of a batch; no gradient flows through them.

    Args:
      unroll: a batch of static size B.

    Returns:
      The targets.

    Raises:
      ValueError: if the windows have another length.
    """
    geometry = self._geometry
    geometry.check(unroll)
    rows = unroll.action.shape[0]
    outputs = self._encode(unroll.observation)
    # Offset-major: the first K + 1 blocks of B rows are the roots.
    num_roots = rows * (geometry.unroll_steps + 1)
    roots = tf.nest.map_structure(lambda x: x[:num_roots], outputs)
    legal_actions = tf.tile(unroll.legal_actions,
                            [geometry.unroll_steps + 1, 1])
    found = self._search(roots, legal_actions,
                         tf.constant(self._noise_fraction, tf.float32),
                         self._next_seed())
    return tf.nest.map_structure(tf.stop_gradient, unroll_targets.make_targets(
        unroll, geometry,
        state_value=_by_row(outputs.value, rows),
        td_steps=self._td_steps(unroll),
        policy=_by_row(found.target, rows),
        has_policy=tf.ones([rows, geometry.unroll_steps + 1], tf.bool)))

  def _encode(self, observation: tf.Tensor) -> types.ModelOutput:
    """All states of all windows, <...>[(K + n + 1) * B, ...] offset-major."""
    offsets = range(self._geometry.num_states)
    stacks = observations.window_stacks(observation, self._geometry.stack,
                                        offsets)
    return self._world_model.initial_inference(tf.concat(stacks, axis=0))

  def _td_steps(self, unroll: types.Unroll) -> tf.Tensor:
    if self._off_policy_interval is None:
      return tf.fill([unroll.age.shape[0]], self._geometry.td_steps)
    return schedules.td_steps(unroll.age, maximum=self._geometry.td_steps,
                              interval=self._off_policy_interval)

  def _next_seed(self) -> tf.Tensor:
    return tf.stack([self._seed, self._calls.assign_add(1)])


def _by_row(x: tf.Tensor, rows: int) -> tf.Tensor:
  """[P * B, ...] offset-major to [B, P, ...]."""
  by_offset = tf.reshape(x, [-1, rows, *x.shape[1:]])
  return tf.transpose(by_offset, [1, 0, *range(2, by_offset.shape.rank)])
