"""Fresh targets for old data: values and searches of a target network."""

import dataclasses
from typing import Optional, Tuple

import tensorflow as tf

from xtra_tf import types
from xtra_tf.errors import UsageError
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import observations, replicas, schedules
from xtra_tf.planning.planner import Planner
from xtra_tf.targets import unroll_targets
from xtra_tf.targets.settings import DEFAULT_SETTINGS, TargetSettings

_REPLICA_SEEDS = 1_000_003  # between the seeds of two replicas


@dataclasses.dataclass(frozen=True)
class ReanalyzeRatios:
  """Which share of a batch's rows gets fresh targets; the rest has stored ones.

    rows = floor(ratio * B)

  The number of rows is static. EfficientZero's script reanalyzes 99 % of the
  policies (253 of 256 rows) and all values, XTRA's everything.
  Source: EfficientZero `core/reanalyze_worker.py` (`make_batch`),
  `config/atari/__init__.py` (`revisit_policy_search_rate`).

  Attributes:
    policy: rows whose states are searched; those left over are trained towards
      the visit counts of the search that chose their actions.
    value: rows that bootstrap from the network's value; those left over from
      the root value of that search.
  """
  policy: float = 1.0
  value: float = 1.0

  def __post_init__(self) -> None:
    """Refuses impossible numbers with a UsageError."""
    for field in dataclasses.fields(self):
      ratio = getattr(self, field.name)
      if not 0. <= ratio <= 1.:
        raise UsageError(f'The ratio of reanalyzed rows must be in 0..1, got '
                         f'{ratio} for `{field.name}`.')

  def rows(self, batch_size: int) -> Tuple[int, int]:
    """Rows of a batch with fresh policies, and with fresh values."""
    return int(batch_size * self.policy), int(batch_size * self.value)


class ReanalyzedTargets(tf.Module):
  """Values by the value head, policies by search, both of one network.

  All K + n + 1 states of a window are encoded once, in one batch: the first
  K + 1 are the roots of the searches, and any of them may be a bootstrap. The
  observations are not augmented and batch norm uses running statistics.

  With ratios below 1 a fixed number of rows is reanalyzed and the others have
  what was stored when they were played. Rows in which a search is missing, as
  after a warm-up at random, are reanalyzed first. If there are more of them
  than that, the surplus has no policy target in the states without a search,
  and values of the network in place of those that were never stored.
  Rows that a reanalyzer has dealt with bring their targets; they are as it has
  made them, by the weights that it had.
  Source: EfficientZero, section 4.3; `core/reanalyze_worker.py`.
  """

  def __init__(self, world_model: WorldModel, planner: Planner, *, stack: int,
               unroll_steps: int, td_steps: int, discount: float,
               noise_fraction: float = 0.25,
               off_policy_interval: Optional[float] = None,
               ratios: ReanalyzeRatios = ReanalyzeRatios(), seed: int = 0,
               settings: TargetSettings = DEFAULT_SETTINGS,
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
      ratios: shares of the rows that are reanalyzed; all by default.
      seed: of noise and ties. A counter, kept in checkpoints, goes into each
        call's seed as well.
      settings: what is made of ends.
      name: of the module.

    Raises:
      UsageError: impossible numbers.
    """
    super().__init__(name=name)
    self._geometry = unroll_targets.UnrollGeometry(
        stack, unroll_steps, td_steps, discount, settings)
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
    self._ratios = ratios
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
    if unroll.targets:
      return unroll.targets
    rows = unroll.action.shape[0]
    outputs = self._encode(unroll.observation)
    # Offset-major: the first K + 1 blocks of B rows are the roots.
    num_roots = rows * (geometry.unroll_steps + 1)
    roots = tf.nest.map_structure(lambda x: x[:num_roots], outputs)
    state_value = _by_row(outputs.value, rows)
    searched_rows = None
    policy_rows, value_rows = self._ratios.rows(rows)
    if min(policy_rows, value_rows) < rows:
      order = _most_in_need_first(unroll, geometry)
      state_value = _with_stored_values(
          state_value, unroll, geometry, order[value_rows:])
      if policy_rows < rows:
        searched_rows = order[:policy_rows]
    policy, has_policy = self._policies(unroll, roots, searched_rows)
    return tf.nest.map_structure(tf.stop_gradient, unroll_targets.make_targets(
        unroll, geometry, state_value=state_value,
        td_steps=self._td_steps(unroll), policy=policy, has_policy=has_policy))

  def _policies(self, unroll: types.Unroll, roots: types.ModelOutput,
                chosen: Optional[tf.Tensor]) -> Tuple[tf.Tensor, tf.Tensor]:
    """Visit counts of the states t .. t + K, and where there are any.

    Args:
      unroll: a batch of B rows.
      roots: of all states, leading axis (K + 1) * B, offset-major.
      chosen: <int32>[R] rows to be searched, R may be 0; None: all.

    Returns:
      <float32>[B, K + 1, A] and <bool>[B, K + 1].
    """
    rows, states = unroll.action.shape[0], self._geometry.unroll_steps + 1
    if chosen is None:
      found = self._searched(roots, tf.tile(unroll.legal_actions, [states, 1]))
      return _by_row(found, rows), tf.ones([rows, states], tf.bool)
    policy = unroll.search[:, self._geometry.anchor:][:, :states]
    has_policy = _has_search(unroll, self._geometry)[:, :states]
    count = chosen.shape[0]
    if not count:
      return policy, has_policy
    index = tf.reshape(
        rows * tf.range(states)[:, tf.newaxis] + chosen[tf.newaxis], [-1])
    found = self._searched(
        tf.nest.map_structure(lambda x: tf.gather(x, index), roots),
        tf.tile(tf.gather(unroll.legal_actions, chosen), [states, 1]))
    place = chosen[:, tf.newaxis]
    return (tf.tensor_scatter_nd_update(policy, place, _by_row(found, count)),
            tf.tensor_scatter_nd_update(
                has_policy, place, tf.ones([count, states], tf.bool)))

  def _searched(self, roots: types.ModelOutput,
                legal_actions: tf.Tensor) -> tf.Tensor:
    """Visit counts of one search, <float32>[leading axis of roots, A]."""
    return self._search(roots, legal_actions,
                        tf.constant(self._noise_fraction, tf.float32),
                        self._next_seed()).target

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
    calls = self._calls + 1
    replicas.assign([self._calls], [calls])
    # Rows on other replicas get other numbers.
    return tf.stack([self._seed + _REPLICA_SEEDS * replicas.index(), calls])


def _by_row(x: tf.Tensor, rows: int) -> tf.Tensor:
  """[P * B, ...] offset-major to [B, P, ...]."""
  by_offset = tf.reshape(x, [-1, rows, *x.shape[1:]])
  return tf.transpose(by_offset, [1, 0, *range(2, by_offset.shape.rank)])


def _has_search(unroll: types.Unroll,
                geometry: unroll_targets.UnrollGeometry) -> tf.Tensor:
  """<bool>[B, K + n + 1], whether the states hold a stored search."""
  column = types.SCALARS.index('has_search')
  return unroll.scalars[:, geometry.anchor:, column] > 0.


def _most_in_need_first(unroll: types.Unroll,
                        geometry: unroll_targets.UnrollGeometry) -> tf.Tensor:
  """The rows of a batch in the order in which they are reanalyzed.

  Rows with a state in which an action was taken without a search come first;
  otherwise the order stays. Without such rows the first ones of the batch are
  reanalyzed, as in the official code.

  Returns:
    <int32>[B].
  """
  states = geometry.unroll_steps + 1
  steps = unroll_targets.find_ends(unroll, geometry).steps
  acted = tf.range(states)[tf.newaxis] < steps[:, tf.newaxis]
  searched = _has_search(unroll, geometry)[:, :states]
  complete = tf.reduce_all(searched | ~acted, axis=1)
  return tf.argsort(tf.cast(complete, tf.int32), stable=True)


def _with_stored_values(state_value: tf.Tensor, unroll: types.Unroll,
                        geometry: unroll_targets.UnrollGeometry,
                        stored_rows: tf.Tensor) -> tf.Tensor:
  """State values, for some rows those of the searches that were stored.

  The final observation of a segment was searched too, although nothing was
  played there, if the state before it was.

  Args:
    state_value: <float32>[B, K + n + 1] the network's.
    unroll: the batch.
    geometry: how to read it.
    stored_rows: <int32>[R] rows that are not reanalyzed.

  Returns:
    <float32>[B, K + n + 1]; the network's value where none is stored.
  """
  def column(name: str) -> tf.Tensor:
    return unroll.scalars[:, geometry.anchor:, types.SCALARS.index(name)]
  searched = _has_search(unroll, geometry)
  before = tf.pad(searched[:, :-1], [[0, 0], [1, 0]])
  known = searched | (before & (column('real') == 0.))
  stored = tf.where(known, column('root_value'), state_value)
  return tf.tensor_scatter_nd_update(
      state_value, stored_rows[:, tf.newaxis], tf.gather(stored, stored_rows))
