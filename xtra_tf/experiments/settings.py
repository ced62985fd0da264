"""What a run can be told, beyond the parts' own settings.

Frozen dataclasses, filled by gin (`xtra_tf.experiments.<Class>.<field>`). A
stage reads its settings inside the gin scope of its name: `teacher/...`.
"""

import dataclasses
from typing import Any, Tuple

from xtra_tf.errors import UsageError

# Gin scopes, in the order in which the stages run.
STAGES = ('data', 'teacher', 'student', 'finetune', 'scratch')


def _check_counts(settings: Any, names: Tuple[str, ...],
                  least: int = 1) -> None:
  """Gin binds any literal: a count may come as text or as a fraction."""
  for name in names:
    value = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
      raise UsageError(f'{type(settings).__name__}.{name} is {value!r}. '
                       f'Expected at least {least}, a whole number.')


@dataclasses.dataclass(frozen=True)
class TaskSettings:
  """Which tasks, and what their frames are like.

  Attributes:
    target: name of the task to finetune on.
    sources: names of the offline tasks.
    resolution: pixels a side of an Atari frame.
    grayscale: one channel instead of RGB.
    stack: number of frames that the model sees at once (Atari; tiny tasks
      have one).
  """
  target: str
  sources: Tuple[str, ...]
  resolution: int = 96
  grayscale: bool = False
  stack: int = 4

  def __post_init__(self) -> None:
    if isinstance(self.sources, str):
      raise UsageError(f'SOURCE_TASKS is the text {self.sources!r}. Expected a '
                       f"tuple of names, e.g. ('{self.sources}',).")
    # Gin may bind a list; a tuple is hashable and cannot be changed.
    object.__setattr__(self, 'sources', tuple(self.sources))
    if self.target in self.sources:
      raise UsageError(
          f'The target {self.target} is also a source task. Expected a target '
          f'that is not among SOURCE_TASKS, found sources '
          f'{", ".join(self.sources)}.')
    if len(set(self.sources)) != len(self.sources):
      raise UsageError(f'A source task is named twice: '
                       f'{", ".join(self.sources)}. Expected distinct names.')
    if not self.sources:
      raise UsageError('SOURCE_TASKS is empty. Expected at least one offline '
                       'task; for EfficientZero from scratch alone see the '
                       'stage `scratch`.')


@dataclasses.dataclass(frozen=True)
class ReplaySettings:
  """The replay tables and the windows that are sampled from them.

  Attributes:
    max_size: items in a table at most, the oldest go first.
    priority_exponent: alpha of prioritized replay; 0 samples uniformly.
    unroll_steps: K, steps that the model is unrolled in training.
    td_steps: n, rewards before the value target bootstraps.
  """
  max_size: int = 1_000_000
  priority_exponent: float = 0.6
  unroll_steps: int = 5
  td_steps: int = 5

  def __post_init__(self) -> None:
    _check_counts(self, ('max_size', 'unroll_steps', 'td_steps'))
    if not self.priority_exponent >= 0:
      raise UsageError(f'ReplaySettings.priority_exponent is '
                       f'{self.priority_exponent}. Expected 0 or more.')


@dataclasses.dataclass(frozen=True)
class StageSettings:
  """One stage's length and pace.

  Attributes:
    updates: gradient steps.
    batch_size: rows of a batch. In finetuning: rows of the target; the offline
      tasks add as many again.
    env_steps: environment steps of an online stage, 0 for an offline one.
    updates_per_env_step: gradient steps per environment step (official: 1).
    start_env_steps: environment steps before the first gradient step.
    num_envs: environments played at once.
    random_warm_up: the steps before training are played at random
      (EfficientZero) instead of by search (XTRA's student).
    off_policy_interval: environment steps of age that shorten the bootstrap
      horizon by one; 0 keeps it constant, as for fixed data.
    reanalyze_noise_fraction: root noise in reanalyzing searches.
    acting_update_period: updates after which the actor gets new weights.
    save_interval: updates between saves.
    log_interval: updates that one row of metrics averages.
    evaluation_interval: updates between evaluations while training; 0: none.
    evaluation_episodes: episodes of such an evaluation.
    max_episode_steps: agent steps after which a training game is truncated.
  """
  updates: int
  batch_size: int = 256
  env_steps: int = 0
  updates_per_env_step: float = 1.0
  start_env_steps: int = 2000
  num_envs: int = 8
  random_warm_up: bool = False
  off_policy_interval: int = 0
  reanalyze_noise_fraction: float = 0.25
  acting_update_period: int = 100
  save_interval: int = 10_000
  log_interval: int = 20
  evaluation_interval: int = 0
  evaluation_episodes: int = 4
  max_episode_steps: int = 27_000

  def __post_init__(self) -> None:
    _check_counts(self, (
        'updates', 'batch_size', 'num_envs', 'save_interval', 'log_interval',
        'acting_update_period', 'evaluation_episodes', 'max_episode_steps'))
    _check_counts(self, ('env_steps', 'start_env_steps', 'off_policy_interval',
                         'evaluation_interval'), least=0)
    if self.updates_per_env_step <= 0:
      raise UsageError(f'StageSettings.updates_per_env_step is '
                       f'{self.updates_per_env_step}. Expected more than 0.')
    if self.env_steps and self.start_env_steps > self.env_steps:
      raise UsageError(
          f'StageSettings.start_env_steps is {self.start_env_steps}, more than '
          f"the stage's {self.env_steps} environment steps: training would "
          'never begin. Expected at most as many.')


@dataclasses.dataclass(frozen=True)
class TeacherPassSettings:
  """The teacher's one pass over its task's data, after its training.

  Attributes:
    batch_size: observations searched at once.
    noise_fraction: root noise of the searches that make policy targets.
  """
  batch_size: int = 256
  noise_fraction: float = 0.25

  def __post_init__(self) -> None:
    _check_counts(self, ('batch_size',))
    if not 0 <= self.noise_fraction <= 1:
      raise UsageError(f'TeacherPassSettings.noise_fraction is '
                       f'{self.noise_fraction}. Expected 0 to 1.')


def quotas(batch_size: int, num_sources: int, with_target: bool
           ) -> Tuple[int, ...]:
  """How many rows of a batch each task has.

  The offline tasks share `batch_size` rows equally, the remainder of the
  division going to the first of them, so that the batch size is the same for
  any number of tasks. In finetuning the target has `batch_size` rows besides.

  Args:
    batch_size: rows.
    num_sources: m, offline tasks.
    with_target: whether a target task comes first (finetuning).

  Returns:
    Rows per task, the target's first where there is one.
  """
  if batch_size < num_sources:
    raise UsageError(
        f'A batch of {batch_size} rows cannot be shared by {num_sources} '
        'offline tasks. Expected at least one row a task.')
  shares = tuple(batch_size // num_sources + (index < batch_size % num_sources)
                 for index in range(num_sources))
  return ((batch_size,) if with_target else ()) + shares
