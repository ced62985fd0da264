"""The numbers of a tree search."""

import dataclasses
import math

from xtra_tf.errors import UsageError, near_names

TIE_BREAKS = ('random', 'lowest')
MIN_MAX_REWARDS = ('parent', 'previous_node')
ROOT_VALUE_DIVISORS = ('simulations', 'simulations_plus_one')


@dataclasses.dataclass(frozen=True)
class SearchSettings:
  """Settings of EfficientZero's search; the defaults are the paper's.

  Source: EfficientZero, appendix A; `config/atari/__init__.py`.
  """
  num_simulations: int = 50
  discount: float = 0.997**4  # per agent step of four frames
  pb_c_base: float = 19652.
  pb_c_init: float = 1.25
  value_delta_max: float = 0.01  # least range by which Q is normalised
  dirichlet_alpha: float = 0.3  # of the exploration noise at the root
  # Equal scores: an action drawn with the search's seed, or the lowest one.
  tie_break: str = 'random'
  # Whose prefix the range of Q subtracts: each node's true parent's, or, as
  # `cnode.cpp` has it, that of the node which a walk over the tree met before.
  min_max_reward: str = 'parent'
  # What root values are divided by. `cnode.cpp` counts a visit of value 0 that
  # the root begins with.
  root_value_divisor: str = 'simulations'

  def __post_init__(self) -> None:
    if self.num_simulations < 1:
      raise UsageError('`num_simulations` must be at least 1, got '
                       f'{self.num_simulations}.')
    if not 0. < self.discount <= 1.:
      raise UsageError('`discount` must be above 0 and at most 1, got '
                       f'{self.discount}.')
    for name in ('pb_c_base', 'value_delta_max', 'dirichlet_alpha'):
      value = getattr(self, name)
      if not (value > 0. and math.isfinite(value)):
        raise UsageError(f'`{name}` must be a finite number above 0, got '
                         f'{value}.')
    if not (self.pb_c_init >= 0. and math.isfinite(self.pb_c_init)):
      raise UsageError('`pb_c_init` must be a finite number, 0 or above, got '
                       f'{self.pb_c_init}.')
    for name, what, known in (
        ('tie_break', 'tie break', TIE_BREAKS),
        ('min_max_reward', 'min_max_reward', MIN_MAX_REWARDS),
        ('root_value_divisor', 'root_value_divisor', ROOT_VALUE_DIVISORS)):
      value = getattr(self, name)
      if value not in known:
        raise UsageError(f'There is no {what} {value!r}. '
                         f'{near_names(str(value), known)}')

  @property
  def root_visits(self) -> int:
    """What the sum of the values backed up to the root is divided by."""
    extra = self.root_value_divisor == 'simulations_plus_one'
    return self.num_simulations + extra
