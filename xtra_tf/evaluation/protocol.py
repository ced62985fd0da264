"""How a model is evaluated."""

import dataclasses
from typing import Tuple

from xtra_tf.errors import UsageError, near_names

# Stages whose models can play the source tasks.
SOURCE_STAGES = ('teacher', 'student', 'finetune')


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


@dataclasses.dataclass(frozen=True)
class SourceEvaluationSettings:
  """How models are judged on the source tasks that they were taught.

  Each teacher plays its own task, student and finetuned model play all of them,
  by the protocol of `EvaluationSettings` but with games of their own number.
  Not in the paper, which judges models on the target alone.

  Attributes:
    episodes: games of each model on each source task; 0: none.
    stages: of `SOURCE_STAGES`, whose models play.
  """
  episodes: int = 8
  stages: Tuple[str, ...] = SOURCE_STAGES

  def __post_init__(self) -> None:
    episodes = self.episodes
    if (isinstance(episodes, bool) or not isinstance(episodes, int)
        or episodes < 0):
      raise UsageError(f'SourceEvaluationSettings.episodes is {episodes!r}. '
                       'Expected a whole number of at least 0.')
    if isinstance(self.stages, str):
      raise UsageError(
          f'SourceEvaluationSettings.stages is the text {self.stages!r}. '
          f"Expected a tuple of names, e.g. ('{self.stages}',).")
    object.__setattr__(self, 'stages', tuple(self.stages))
    for name in self.stages:
      if name not in SOURCE_STAGES:
        raise UsageError(f'SourceEvaluationSettings.stages names {name!r}. '
                         f'{near_names(str(name), SOURCE_STAGES)}')

  def episodes_of(self, stage: str) -> int:
    """Games of a stage's model on each of its source tasks."""
    return self.episodes if stage in self.stages else 0


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
