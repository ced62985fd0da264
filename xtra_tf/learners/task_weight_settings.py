"""How task weights are measured, and what is done with them."""

import dataclasses
from typing import Any, Optional, Tuple

from xtra_tf.errors import UsageError, near_names

_CHOICES = {
    'measure': ('official', 'paper', 'constant'),
    'use': ('sampling', 'loss'),
    'clock': ('gradient_steps', 'env_steps'),
    'passes': ('joint', 'by_task'),
}


@dataclasses.dataclass(frozen=True)
class TaskWeightSettings:
  """When gradients are compared, what counts as agreement, what follows.

  Source: XTRA `core/train.py:325-427`; paper, section 2.2.

  Attributes:
    start: when the first window opens, on the `clock`; all weights are 1 until
      it has closed.
    period: T, from one window's start to the next's, on the `clock`.
    window: N, length of a window, on the `clock`. Every gradient step of a
      window is measured.
    clock: what the three count: `gradient_steps` (official), or `env_steps` of
      the target, taken as many to a gradient step as the stage plays.
    measure: what a window makes of its cosines. `official`: the smoothed share
      of them above `threshold`, rounded; `paper`: their mean, 0 if that is
      negative; `constant`: nothing, all weights stay 1, while cosines are
      measured and logged all the same.
    threshold: a cosine above it is a hit of the `official` measure.
    use: how weights act. `sampling`: the offline rows of a batch are drawn from
      the tables in proportion to them; `loss` (official): every task has its
      rows in every batch, and their loss is multiplied by the weight. The
      expected gradient is the same.
    parts: of the world model, whose gradients are compared, e.g.
      ('representation', 'dynamics'); None: all.
    passes: how the tasks' gradients are had. `joint`, official: one forward
      pass of all rows and a backward pass a task, each as long as that of a
      whole step. `by_task`: a forward and a backward pass of each task's rows
      alone, about one and a half plain steps; but batch norm then sees one task
      at a time, so that gradients, and the update, are not quite those of a
      plain step.
    gradient_clamp: largest element of the gradients that are compared; None:
      they are compared as they are. Official: 5 (`core/pcgrad_amp.py:87`).
  """
  start: int = 10_000
  period: int = 5_000
  window: int = 500
  clock: str = 'gradient_steps'
  measure: str = 'official'
  threshold: float = 0.1
  use: str = 'sampling'
  parts: Optional[Tuple[str, ...]] = None
  passes: str = 'joint'
  gradient_clamp: Optional[float] = None

  def __post_init__(self) -> None:
    self._check('start', _is_count(self.start, 0), f'0 or more {self.clock}')
    self._check('period', _is_count(self.period, 2), f'2 or more {self.clock}')
    self._check('window',
                _is_count(self.window, 1) and self.window < self.period,
                'at least 1 and less than the period, which is '
                f'{self.period} {self.clock}')
    self._check('threshold', -1 <= self.threshold <= 1,
                'a cosine, between -1 and 1')
    self._check('gradient_clamp',
                self.gradient_clamp is None or self.gradient_clamp > 0,
                'more than 0, or None')
    for name, known in _CHOICES.items():
      value = getattr(self, name)
      if value not in known:
        raise UsageError(f'TaskWeightSettings.{name} is {value!r}. '
                         f'{near_names(str(value), known)}')
    self._check_parts()

  def _check_parts(self) -> None:
    if self.parts is None:
      return
    self._check('parts', isinstance(self.parts, (tuple, list)) and self.parts,
                "a tuple of names, e.g. ('representation', 'dynamics'), or "
                'None for all')
    # Gin may bind a list; a tuple is hashable and cannot be changed.
    object.__setattr__(self, 'parts', tuple(self.parts))
    self._check('parts', len(set(self.parts)) == len(self.parts),
                'distinct names')

  def _check(self, name: str, valid: Any, expected: str) -> None:
    if not valid:
      raise UsageError(f'TaskWeightSettings.{name} is {getattr(self, name)!r}. '
                       f'Expected {expected}.')

  def in_gradient_steps(self, updates_per_env_step: float,
                        start_env_steps: int) -> 'TaskWeightSettings':
    """The same settings with a clock of gradient steps.

    With e environment steps before the first gradient step and r gradient steps
    per environment step after it, environment step s is gradient step
    max(0, s - e) * r. It goes on so behind the stage's last environment step,
    so that a window that is open then closes.

    Args:
      updates_per_env_step: r.
      start_env_steps: e.

    Raises:
      UsageError: a window shorter than a gradient step, or as long as the
        period.
    """
    if self.clock == 'gradient_steps':
      return self
    ratio = updates_per_env_step
    start, period, window = (
        round(ratio * max(0, self.start - start_env_steps)),
        round(ratio * self.period), round(ratio * self.window))
    if not 1 <= window < period:
      raise UsageError(
          f'TaskWeightSettings.window and period are {self.window} and '
          f'{self.period} environment steps, of which each is {ratio} gradient '
          f'steps: windows of {window} every {period} gradient steps. Expected '
          'a window of at least 1, and a longer period.')
    return dataclasses.replace(self, clock='gradient_steps', start=start,
                               period=period, window=window)


def _is_count(value: Any, least: int) -> bool:
  """Gin binds any literal: a count may come as text or as a fraction."""
  return (isinstance(value, int) and not isinstance(value, bool)
          and value >= least)
