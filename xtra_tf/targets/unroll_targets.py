"""From a replay window to what an unroll is trained towards.

Axes: B batch, A actions, W rows of the window, K unroll steps, n bootstrap
steps. State k is the observation o_{t+k}; k = 0 is the anchor.
"""

import dataclasses
from typing import Callable, NamedTuple

import tensorflow as tf

from xtra_tf import types
from xtra_tf.errors import UsageError
from xtra_tf.numerics import returns
from xtra_tf.targets.settings import DEFAULT_SETTINGS, TargetSettings

TargetsFn = Callable[[types.Unroll], types.Targets]


@dataclasses.dataclass(frozen=True)
class UnrollGeometry:
  """How a window is read.

  Attributes:
    stack: frames of a stacked observation; the anchor is row `stack - 1`.
    unroll_steps: K.
    td_steps: n, the most rewards that a value target sums up.
    discount: factor per agent step.
    settings: what is made of ends.
  """
  stack: int
  unroll_steps: int
  td_steps: int
  discount: float
  settings: TargetSettings = DEFAULT_SETTINGS

  def __post_init__(self) -> None:
    """Refuses impossible numbers with a UsageError."""
    for name in ('stack', 'unroll_steps', 'td_steps'):
      if getattr(self, name) < 1:
        raise UsageError(f'`{name}` must be at least 1, got '
                         f'{getattr(self, name)}.')
    if not 0. < self.discount <= 1.:
      raise UsageError('`discount` must be above 0 and at most 1, got '
                       f'{self.discount}.')

  @property
  def anchor(self) -> int:
    """Row of the anchor."""
    return self.stack - 1

  @property
  def num_states(self) -> int:
    """States of a window, K + n + 1."""
    return self.unroll_steps + self.td_steps + 1

  def check(self, unroll: types.Unroll) -> None:
    """Raises ValueError if the batch's windows have another length."""
    expected = self.anchor + self.num_states
    if unroll.action.shape[1] != expected:
      raise ValueError(
          f'Windows must have {expected} rows (stack {self.stack}, '
          f'{self.unroll_steps} unroll steps, {self.td_steps} bootstrap '
          f'steps), got {unroll.action.shape[1]}.')


class WindowEnds(NamedTuple):
  """Where the episode segment of each window ends. M = K + n."""
  steps: tf.Tensor  # <int32>[B] actions from the anchor to the end, 0..M
  final: tf.Tensor  # <bool>[B] nothing follows: game over, a life lost
  reward: tf.Tensor  # <float32>[B, M] 0 past the end of the life
  own_reward: tf.Tensor  # <float32>[B, M] 0 past the end, of a block too


def find_ends(unroll: types.Unroll, geometry: UnrollGeometry) -> WindowEnds:
  """Reads the ends out of the window's scalars.

  State `steps` is the last that was observed. A segment that ends by a
  truncation, or where the data are cut, is not final: its last state has a
  value; unless the settings say that it is like a game over. A window inside of
  a segment ends in state M, not final either way.

  A row that is flagged truncated although a real one follows is the last of a
  block, into which the official code cuts its histories (see ReplayWriter); it
  ends the window like a game over, only that values see the rewards behind it.
  Source: EfficientZero `core/reanalyze_worker.py:81-90,368-376`.

  Args:
    unroll: a batch.
    geometry: how to read it.

  Returns:
    The ends.
  """
  first, last = geometry.anchor, geometry.anchor + geometry.num_states - 1
  def column(name: str, later: int = 0) -> tf.Tensor:
    return unroll.scalars[:, first + later:last + later,
                          types.SCALARS.index(name)]
  block_ends = column('truncated') * column('real', later=1)
  ended = tf.maximum(column('terminal'), column('life_loss'))
  if geometry.settings.truncation == 'terminal':
    # Where data break off, the row before is stored as truncated.
    ended = tf.maximum(ended, column('truncated') - block_ends)
  # Rows belong to the segment up to the first that is not real, or that ends
  # it; whatever comes after is another life's, or padding.
  lived = (tf.math.cumprod(column('real'), axis=1)
           * tf.math.cumprod(1. - ended, axis=1, exclusive=True))
  own = lived * tf.math.cumprod(1. - block_ends, axis=1, exclusive=True)
  final = own * tf.maximum(ended, block_ends)
  return WindowEnds(steps=tf.cast(tf.reduce_sum(own, axis=1), tf.int32),
                    final=tf.reduce_any(final > 0., axis=1),
                    reward=lived * column('reward'),
                    own_reward=own * column('reward'))


def make_targets(unroll: types.Unroll, geometry: UnrollGeometry,
                 state_value: tf.Tensor, td_steps: tf.Tensor,
                 policy: tf.Tensor, has_policy: tf.Tensor) -> types.Targets:
  """Puts the targets of a batch together.

    value[k] = sum_{j < h} g^j * r[k + j] + g^h * state_value[k + h]
    prefix[k] = sum_{j < k} r[j]

  with h = min(td_steps, actions from k to the end). After a final state (game
  over, life lost) value targets are 0 and prefixes stay constant, and both
  are trained: the end is absorbing; unless the settings mask what is behind it.
  Its own value is 0 as well, whatever `state_value` says. Before any other end
  the bootstrap moves to the last observed state, and states after it have no
  targets.
  Source: EfficientZero `core/reanalyze_worker.py`; consistency masks as in
  `core/train.py`.

  Args:
    unroll: a batch.
    geometry: how to read it.
    state_value: <float32>[B, K + n + 1] value of each state of the window;
      what stands after the last observed state is not read.
    td_steps: <int32>[B] bootstrap steps of each row, 1..n.
    policy: <float32>[B, K + 1, A] weights, at best visit counts.
    has_policy: <bool>[B, K + 1] whether `policy` is a target. No state in
      which no action was taken has one.

  Returns:
    The targets.
  """
  ends = find_ends(unroll, geometry)
  value, value_mask = _values(ends, geometry, state_value, td_steps)
  step = tf.range(geometry.unroll_steps + 1)[tf.newaxis]
  observed = tf.cast(step <= ends.steps[:, tf.newaxis], tf.float32)
  acted = step < ends.steps[:, tf.newaxis]
  total = tf.reduce_sum(policy, axis=-1)
  policy_mask = tf.cast(acted & has_policy & (total > 0.), tf.float32)
  distribution = tf.math.divide_no_nan(policy, total[..., tf.newaxis])
  return types.Targets(
      value=value,
      value_prefix=returns.value_prefixes(
          ends.own_reward[:, :geometry.unroll_steps]),
      policy=distribution * policy_mask[..., tf.newaxis],
      value_mask=value_mask,
      value_prefix_mask=value_mask[:, 1:],
      policy_mask=policy_mask,
      consistency_mask=observed[:, 1:])


def _values(ends: WindowEnds, geometry: UnrollGeometry,
            state_value: tf.Tensor,
            td_steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Value targets and their mask, <float32>[B, K + 1] each."""
  step = tf.range(geometry.unroll_steps + 1)[tf.newaxis]
  left = tf.maximum(ends.steps[:, tf.newaxis] - step, 0)
  taken = tf.minimum(td_steps[:, tf.newaxis], left)
  final = ends.final[:, tf.newaxis]
  # `taken == left` reaches the end, or starts past it.
  ended = final & (taken == left)
  bootstrap = tf.gather(state_value, step + taken, batch_dims=1)
  # Chosen and not multiplied: what stands past the end may be anything.
  bootstrap = tf.where(ended, 0., bootstrap)
  # Past an end that is not final there is no target.
  known = step <= ends.steps[:, tf.newaxis]
  if geometry.settings.past_the_end == 'absorbing':
    known = final | known
  bootstrap = tf.where(known, bootstrap, 0.)
  # At the end of a block the sum has all its rewards and no bootstrap.
  counted = tf.where(ended & (left > 0), td_steps[:, tf.newaxis], taken)
  value = returns.n_step_values(ends.reward, bootstrap, counted,
                                geometry.discount)
  return value, tf.cast(known, tf.float32)


def root_value_targets(unroll: types.Unroll, geometry: UnrollGeometry,
                       root_value: tf.Tensor) -> tf.Tensor:
  """Value targets of XTRA's offline rows, which count the next rewards twice.

    value[k] = root_value[k] + sum_{j < h} g^j * r[k + j]

  with h = min(n, actions from k to the end of the life), and 0 from a final
  state on.
  Source: XTRA `core/game_detach.py:208-219`, literally; `make_targets` has the
  right form and the masks.

  Args:
    unroll: a batch.
    geometry: how to read it.
    root_value: <float32>[B, K + 1] of each state's own search.

  Returns:
    <float32>[B, K + 1]; 0 where there is no target.
  """
  ends = find_ends(unroll, geometry)
  step = tf.range(geometry.unroll_steps + 1)[tf.newaxis]
  left = ends.steps[:, tf.newaxis] - step
  # The last state of a segment that is not final was seen, and has a value.
  known = (left > 0) | ((left == 0) & ~ends.final[:, tf.newaxis])
  # Rewards past the end of the life are 0; those past a block's count.
  rewards = returns.n_step_values(
      ends.reward, tf.zeros_like(root_value),
      tf.where(left > 0, geometry.td_steps, 0), geometry.discount)
  return rewards + tf.where(known, root_value, 0.)
