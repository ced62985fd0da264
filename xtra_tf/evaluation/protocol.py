"""How a model is evaluated."""

import dataclasses
from typing import Tuple

from xtra_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
  """The evaluation protocol; the defaults are those of the official code.

  Whole games, 1 to 30 no-ops at the start, the action with most visits, no root
  noise, raw scores (XTRA core/test.py). Actions are as sticky as the task's
  that was learned: not at all in the official code.

  Attributes:
    episodes: games played; game i starts from evaluation seed i, whatever the
      run, so that two models meet the same starts.
    max_episode_steps: agent steps after which a game is truncated (27 000, or
      108 000 emulator frames).
    batch_size: games played at once at most.
  """
  episodes: int = 32
  max_episode_steps: int = 27_000
  batch_size: int = 32

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f'EvaluationSettings.{field.name} is {value!r}. '
                         'Expected a whole number of at least 1.')


def search_sizes(batch_size: int) -> Tuple[int, ...]:
  """Batch sizes that a search is traced for: powers of two, descending.

  Args:
    batch_size: games played at once.

  Returns:
    E.g. (8, 4, 2, 1) for 5 to 8 games.
  """
  size = 1
  while size < batch_size:
    size *= 2
  sizes = []
  while size:
    sizes.append(size)
    size //= 2
  return tuple(sizes)
