"""What finetuning takes over from pretraining, and what it leaves as it is."""

import dataclasses
from typing import Any, Tuple

from xtra_tf.errors import UsageError, near_names

# Parts of a world model that finetuning can take over from the student.
MODEL_PARTS = ('representation', 'dynamics', 'prediction', 'projection')


@dataclasses.dataclass(frozen=True)
class TransferSettings:
  """What finetuning takes over from pretraining.

  Source: the paper's section 3, ablations and analysis.

  Attributes:
    parts: of the student's network, with which finetuning begins; the others
      begin anew. None at all: without pretraining.
    offline_tasks: whether finetuning learns from the offline tasks too; False:
      without cross-task, all rows of a batch are the target's.
    frozen: of `parts`, those that finetuning does not change: they have no
      gradient, no weight decay and no update of running statistics. They are
      used in inference mode in the forward pass, too, which normalises by the
      statistics that the student has learned and not by those of the batch:
      their output is the pretrained one, whatever else is in the batch, and
      the same in training as when playing. Gradients flow through them to what
      stands before.
  """
  parts: Tuple[str, ...] = MODEL_PARTS
  offline_tasks: bool = True
  frozen: Tuple[str, ...] = ()

  def __post_init__(self) -> None:
    _check_parts(self, 'parts')
    _check_parts(self, 'frozen')
    if not isinstance(self.offline_tasks, bool):
      raise UsageError(
          f'TransferSettings.offline_tasks is {self.offline_tasks!r}. Expected '
          'one of True, False.')
    if not self.parts and not self.offline_tasks:
      raise UsageError(
          'TransferSettings has neither parts nor offline_tasks. Expected one '
          'of them at least: without both, nothing is transferred, which is '
          'the stage `scratch`.')
    random = [part for part in self.frozen if part not in self.parts]
    if random:
      raise UsageError(
          f'TransferSettings.frozen names {", ".join(random)}, which is not '
          f'transferred: parts are {", ".join(self.parts) or "none"}. Expected '
          'parts that come from the student; others would stay random.')
    if len(self.frozen) == len(MODEL_PARTS):
      raise UsageError(
          f'TransferSettings.frozen names all parts, {", ".join(self.frozen)}: '
          'finetuning would change nothing. Expected some of them; the student '
          'as it is, is the method zero_shot.')


def _check_parts(settings: Any, field: str) -> None:
  """Distinct names of parts, as a tuple."""
  value = getattr(settings, field)
  name = f'TransferSettings.{field}'
  if isinstance(value, str):
    raise UsageError(f'{name} is the text {value!r}. '
                     f"Expected a tuple of names, e.g. ('{value}',).")
  # Gin may bind a list; a tuple is hashable and cannot be changed.
  object.__setattr__(settings, field, tuple(value))
  for part in value:
    if part not in MODEL_PARTS:
      raise UsageError(f'{name} names {part!r}. '
                       f'{near_names(str(part), MODEL_PARTS)}')
  if len(set(value)) != len(value):
    raise UsageError(f'{name} names a part twice: {", ".join(value)}. '
                     'Expected distinct names.')
