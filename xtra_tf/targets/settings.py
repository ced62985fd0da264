"""What targets make of ends and of stored values."""

import dataclasses

from xtra_tf.errors import UsageError, near_names

_CHOICES = {
    'past_the_end': ('absorbing', 'masked'),
    'truncation': ('bootstrap', 'terminal'),
    'stored_value': ('bootstrap', 'root_value'),
}


@dataclasses.dataclass(frozen=True)
class TargetSettings:
  """Points in which the official codes differ; docs/fidelity.md says why.

  Attributes:
    past_the_end: states behind a final one. `absorbing`: value 0 and no further
      reward are trained (XTRA `core/train.py:314-316`). `masked`: the final
      state is trained to value 0, those behind it to nothing (EfficientZero
      `core/train.py:163-165`).
    truncation: a segment that ends by a time limit, or where data break off.
      `bootstrap`: its last state has a value. `terminal`: like a game over, as
      in both official codes.
    stored_value: value target of stored rows. `bootstrap`: n rewards and the
      stored value of the state after them. `root_value`: the stored root value
      of the state itself, undiscounted, and n rewards, as XTRA
      `core/game_detach.py:208-219` has it.
  """
  past_the_end: str = 'absorbing'
  truncation: str = 'bootstrap'
  stored_value: str = 'bootstrap'

  def __post_init__(self) -> None:
    """Refuses unknown choices with a UsageError."""
    for name, known in _CHOICES.items():
      value = getattr(self, name)
      if value not in known:
        raise UsageError(f'TargetSettings.{name} is {value!r}. '
                         f'{near_names(str(value), known)}')


DEFAULT_SETTINGS = TargetSettings()
