"""Numbers of the gradient step; defaults are the paper's."""

import dataclasses
from typing import Optional

from xtra_tf.errors import UsageError, near_names

_CHOICES = {
    'value_scaling': ('odd', 'xtra'),
    'loss_reduction': ('batch_mean', 'per_task_sum'),
}


@dataclasses.dataclass(frozen=True)
class LearnerSettings:
  """What is minimised and how.

  Source: EfficientZero `config/atari/__init__.py`, `core/config.py`; XTRA uses
  the same values.

  Attributes:
    stack: S, frames in an observation.
    unroll_steps: K, steps that the model is unrolled; 0: none, what is learned
      are the policy and value of the root alone.
    support: the bins of value and value prefix are -support..support.
    value_prefix_coefficient: weight of the value prefix loss.
    value_coefficient: weight of the value loss.
    policy_coefficient: weight of the policy loss.
    consistency_coefficient: weight of the consistency loss; 0 leaves the
      projection and the encoding of future observations out.
    value_scaling: of value and prefix targets. `odd`: h(-x) = -h(x); `xtra`: as
      in XTRA `core/config.py:205-214`, wrong for negative numbers.
    loss_reduction: of several tasks' losses. `batch_mean`: the mean over the
      rows, as XTRA `core/train.py:401-427`; `per_task_sum`: the sum of the
      tasks' means, as the paper's section 2.2 writes it.
    gradient_scale: factor of the whole gradient before clipping; None for
      1 / unroll_steps, or 1 without a step.
    clip_norm: longest gradient that is let through.
    weight_decay: L2 coefficient, added to the clipped gradient.
    momentum: of SGD.
    learning_rate: after the warm-up.
    warmup_steps: gradient steps until `learning_rate`.
    decay_rate: factor of the learning rate every `decay_steps`.
    decay_steps: gradient steps.
    importance_initial: exponent of the importance weights at step 0.
    importance_final: exponent from step `importance_steps` on.
    importance_steps: gradient steps.
    importance_decay: of the moving average that importance weights are divided
      by.
    target_update_period: gradient steps between two target networks.
    shift: largest random shift of training images, pixels; 0 for none.
      Vector observations are never augmented.
    intensity: standard deviation of the random brightness; 0 for none.
  """
  stack: int = 4
  unroll_steps: int = 5
  support: int = 300
  value_prefix_coefficient: float = 1.0
  value_coefficient: float = 0.25
  policy_coefficient: float = 1.0
  consistency_coefficient: float = 2.0
  value_scaling: str = 'odd'
  loss_reduction: str = 'batch_mean'
  gradient_scale: Optional[float] = None
  clip_norm: float = 5.0
  weight_decay: float = 1e-4
  momentum: float = 0.9
  learning_rate: float = 0.2
  warmup_steps: int = 1000
  decay_rate: float = 0.1
  decay_steps: int = 100_000
  importance_initial: float = 0.4
  importance_final: float = 1.0
  importance_steps: int = 120_000
  importance_decay: float = 0.99
  target_update_period: int = 200
  shift: int = 4
  intensity: float = 0.05

  def __post_init__(self) -> None:
    for name in ('stack', 'support', 'decay_steps',
                 'importance_steps', 'target_update_period'):
      if getattr(self, name) < 1:
        raise UsageError(f'LearnerSettings.{name} is {getattr(self, name)}. '
                         'Expected at least 1.')
    for name in ('clip_norm', 'learning_rate', 'decay_rate'):
      if not getattr(self, name) > 0:
        raise UsageError(f'LearnerSettings.{name} is {getattr(self, name)}. '
                         'Expected more than 0.')
    for name in ('unroll_steps', 'value_prefix_coefficient',
                 'value_coefficient', 'policy_coefficient',
                 'consistency_coefficient', 'weight_decay', 'warmup_steps',
                 'importance_initial', 'importance_final', 'shift',
                 'intensity'):
      if not getattr(self, name) >= 0:
        raise UsageError(f'LearnerSettings.{name} is {getattr(self, name)}. '
                         'Expected 0 or more.')
    for name in ('momentum', 'importance_decay'):
      if not 0 <= getattr(self, name) < 1:
        raise UsageError(f'LearnerSettings.{name} is {getattr(self, name)}. '
                         'Expected at least 0 and less than 1.')
    for name, known in _CHOICES.items():
      if getattr(self, name) not in known:
        raise UsageError(
            f'LearnerSettings.{name} is {getattr(self, name)!r}. '
            f'{near_names(str(getattr(self, name)), known)}')

  @property
  def loss_scale(self) -> float:
    """Factor of the whole gradient before clipping."""
    if self.gradient_scale is None:
      return 1.0 / max(1, self.unroll_steps)
    return self.gradient_scale
