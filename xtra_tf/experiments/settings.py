"""What a run can be told, beyond the parts' own settings.

Frozen dataclasses, filled by gin (`xtra_tf.experiments.<Class>.<field>`). A
stage reads its settings inside a gin scope, that of its name: `teacher/...`
(`SCOPE_OF`).
"""

import dataclasses
import math
from typing import Any, Optional, Tuple

from xtra_tf.episodes.schema import NEGOTIABLE
from xtra_tf.errors import UsageError, near_names
from xtra_tf.experiments.fidelity import DEFAULT_PROFILE, PROFILES
from xtra_tf.tasks import CODECS, TaskSpec, get_task

# In the order in which they run.
STAGES = ('data', 'teacher', 'student', 'cloning', 'finetune', 'scratch')
# What a run is made of unless stages are asked for by name: cloning is a method
# of comparison and nothing starts from it.
MAIN_STAGES = ('data', 'teacher', 'student', 'finetune', 'scratch')
# A stage reads its settings in the scope of its name, but for cloning: it is a
# student of other targets, of the same length, batch and optimizer.
SCOPE_OF = {**{name: name for name in MAIN_STAGES}, 'cloning': 'student'}

ACTION_HEADS = ('family', 'task')
OFFLINE_COMPOSITIONS = ('one_of_each', 'random')
WARM_UP_TARGETS = ('none', 'uniform')
# What data may differ in from the run, if it is allowed by name: fields of a
# task, and two that are known from a log's provenance.
ALLOWABLE = (*NEGOTIABLE, 'discount', 'rom_md5')


def _check_counts(settings: Any, names: Tuple[str, ...],
                  least: int = 1) -> None:
  """Gin binds any literal: a count may come as text or as a fraction."""
  for name in names:
    value = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
      raise UsageError(f'{type(settings).__name__}.{name} is {value!r}. '
                       f'Expected at least {least}, a whole number.')


def _check_boundaries(settings: Any) -> None:
  """Two shares of a stage, the first not behind the second."""
  boundaries = settings.temperature_boundaries
  # Gin may bind a list; a tuple is hashable and cannot be changed.
  if isinstance(boundaries, (tuple, list)):
    object.__setattr__(settings, 'temperature_boundaries', tuple(boundaries))
    if len(boundaries) == 2 and 0 <= boundaries[0] <= boundaries[1] <= 1:
      return
  raise UsageError(
      f'StageSettings.temperature_boundaries is {boundaries}. Expected two '
      'shares of the updates, rising from 0 to 1, e.g. (0.5, 0.75).')


@dataclasses.dataclass(frozen=True)
class ProfileSettings:
  """Which fidelity profile the run has; docs/fidelity.md.

  The name alone changes nothing: it is bound by the profile's gin file, with
  all the switches.

  Attributes:
    name: one of `fidelity.PROFILES`.
  """
  name: str = DEFAULT_PROFILE

  def __post_init__(self) -> None:
    if self.name not in PROFILES:
      raise UsageError(f'There is no fidelity profile {self.name!r}. '
                       f'{near_names(str(self.name), PROFILES)}')


def _check_choice(settings: Any, name: str, choices: Tuple[Any, ...]) -> None:
  value = getattr(settings, name)
  if not any(value == choice and type(value) is type(choice)
             for choice in choices):
    raise UsageError(
        f'{type(settings).__name__}.{name} is {value!r}. Expected one of '
        f'{", ".join(map(repr, choices))}.')


@dataclasses.dataclass(frozen=True)
class TaskSettings:
  """Which tasks, and what their frames are like.

  Attributes:
    target: name of the task to finetune on.
    sources: names of the offline tasks; none for the stage `scratch` alone.
    resolution: pixels a side of an Atari frame.
    grayscale: one channel instead of RGB.
    stack: number of frames that the model sees at once (Atari; tiny tasks
      have one).
    codec: what an Atari frame goes through before anyone sees it: `lossless`
      (nothing), or `jpeg` as in the official code.
    sticky_actions: probability that an Atari game repeats the last action
      instead (official: 0; the DQN replay data: 0.25).
    allowed_differences: of `ALLOWABLE`, in what offline data may differ from
      the tasks; anything else that differs is refused.
    num_sources: how many of `sources`, the first of them, are used; None: all.
    data_share: share of each source task's steps that are used, in whole
      episodes spread evenly over its data.
    data_seed: of the source data that a run plays itself; None: the run's
      seed. With one, runs of all seeds learn from the same data.
  """
  target: str
  sources: Tuple[str, ...]
  resolution: int = 96
  grayscale: bool = False
  stack: int = 4
  codec: str = 'lossless'
  sticky_actions: float = 0.
  allowed_differences: Tuple[str, ...] = ()
  num_sources: Optional[int] = None
  data_share: float = 1.0
  data_seed: Optional[int] = None

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
    _check_choice(self, 'codec', CODECS)
    sticky = self.sticky_actions
    if (isinstance(sticky, bool) or not isinstance(sticky, (int, float))
        or not 0 <= sticky < 1):
      raise UsageError(f'TaskSettings.sticky_actions is {sticky!r}. Expected a '
                       'probability, 0 <= p < 1.')
    allowed = self.allowed_differences
    if isinstance(allowed, str):
      raise UsageError(f'TaskSettings.allowed_differences is the text '
                       f"{allowed!r}. Expected a tuple, e.g. ('{allowed}',).")
    object.__setattr__(self, 'allowed_differences', tuple(allowed))
    for name in self.allowed_differences:
      if name not in ALLOWABLE:
        raise UsageError(
            f'TaskSettings.allowed_differences names {name!r}. Expected some '
            f'of {", ".join(ALLOWABLE)}: in nothing else may data differ from '
            'the run.')
    if not 0 < self.data_share <= 1:
      raise UsageError(f'TaskSettings.data_share is {self.data_share!r}. '
                       'Expected more than 0 and at most 1.')
    seed = self.data_seed
    if seed is not None and (
        isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
      raise UsageError(f'TaskSettings.data_seed is {seed!r}. Expected a whole '
                       'number, 0 or more, or None.')
    self._check_num_sources()

  def spec(self, name: str) -> TaskSpec:
    """A task as these settings want it played and seen.

    Raises:
      UsageError: as of `tasks.get_task`.
    """
    return get_task(name, resolution=self.resolution, grayscale=self.grayscale,
                    stack=self.stack, codec=self.codec,
                    sticky_actions=float(self.sticky_actions))

  def _check_num_sources(self) -> None:
    count = self.num_sources
    if count is None:
      return
    if isinstance(count, bool) or not isinstance(count, int) or not (
        1 <= count <= len(self.sources)):
      raise UsageError(
          f'TaskSettings.num_sources is {count!r}. Expected 1 to '
          f'{len(self.sources)}, as SOURCE_TASKS names '
          f'{", ".join(self.sources) or "none"}; or None for all.')

  @property
  def used_sources(self) -> Tuple[str, ...]:
    """The source tasks that are used."""
    return self.sources[:self.num_sources]


@dataclasses.dataclass(frozen=True)
class ReplaySettings:
  """The replay tables and the windows that are sampled from them.

  Attributes:
    max_size: items in a table at most, the oldest go first. An offline set of
      more steps goes through the table over and over while training.
    samples_per_step: how often a step of such a set is sampled on the average
      before it goes.
    priority_exponent: alpha of prioritized replay; 0 samples uniformly.
    unroll_steps: K, steps that the model is unrolled in training.
    td_steps: n, rewards before the value target bootstraps.
    block_length: real rows after which the official code cuts a life into
      blocks, whose ends act as terminals; 0: lives are whole (official: 400).
    with_replacement: a batch may hold a window twice (Reverb samples so); False
      draws each at most once, by an index in this process.
    repeatable: a batch is drawn when it is asked for, none ahead, and a run
      that is gone on with draws the same ones as if it had never stopped: it
      ends in the same weights, bit for bit on a CPU with as many threads. What
      was played since the last save is played again. Needs with_replacement
      False.
    offline_composition: `one_of_each` offline task's sub-batch in a step, or
      as many sub-batches of tasks drawn at `random`.
  """
  max_size: int = 1_000_000
  samples_per_step: float = 1.0
  priority_exponent: float = 0.6
  unroll_steps: int = 5
  td_steps: int = 5
  block_length: int = 0
  with_replacement: bool = True
  repeatable: bool = False
  offline_composition: str = 'one_of_each'

  def __post_init__(self) -> None:
    _check_counts(self, ('max_size', 'unroll_steps', 'td_steps'))
    _check_counts(self, ('block_length',), least=0)
    _check_choice(self, 'offline_composition', OFFLINE_COMPOSITIONS)
    _check_choice(self, 'with_replacement', (True, False))
    _check_choice(self, 'repeatable', (True, False))
    if self.repeatable and self.with_replacement:
      raise UsageError(
          'ReplaySettings.repeatable and with_replacement are both True. '
          "Expected with_replacement = False: Reverb's draws have no seed.")
    if not 0 < self.samples_per_step < math.inf:
      raise UsageError(f'ReplaySettings.samples_per_step is '
                       f'{self.samples_per_step}. Expected more than 0.')
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
    warm_up_target: policy target of steps played at random: `none`, so that
      these are reanalyzed first, or `uniform` over the legal actions.
    action_head: actions that the stage's network knows: all of the task
      `family`, or those of its `task`; all tasks of the stage must then have
      the same.
    off_policy_interval: environment steps of age that shorten the bootstrap
      horizon by one; 0 keeps it constant, as for fixed data.
    reanalyze_noise_fraction: root noise in reanalyzing searches.
    policy_reanalyze_ratio: share of a batch's reanalyzed rows whose policies
      are searched anew; the others keep the visits of the search that played
      them (EfficientZero's script: 0.99, XTRA's: 1).
    value_reanalyze_ratio: share of these rows that bootstrap from the target
      network; the others from that search's root value (official: 1).
    temperature_boundaries: when the visit temperature falls from 1 to 0.5 and
      to 0.25, shares of `updates`.
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
  warm_up_target: str = 'none'
  action_head: str = 'family'
  off_policy_interval: int = 0
  reanalyze_noise_fraction: float = 0.25
  policy_reanalyze_ratio: float = 1.0
  value_reanalyze_ratio: float = 1.0
  temperature_boundaries: Tuple[float, float] = (0.5, 0.75)
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
    _check_choice(self, 'warm_up_target', WARM_UP_TARGETS)
    _check_choice(self, 'action_head', ACTION_HEADS)
    if self.updates_per_env_step <= 0:
      raise UsageError(f'StageSettings.updates_per_env_step is '
                       f'{self.updates_per_env_step}. Expected more than 0.')
    for name in ('policy_reanalyze_ratio', 'value_reanalyze_ratio'):
      if not 0 <= getattr(self, name) <= 1:
        raise UsageError(f'StageSettings.{name} is {getattr(self, name)}. '
                         'Expected 0 to 1.')
    _check_boundaries(self)
    if self.env_steps:
      self._check_env_steps()

  def _check_env_steps(self) -> None:
    """Refuses a stage that would play fewer steps than it was told to."""
    if self.start_env_steps > self.env_steps:
      raise UsageError(
          f'StageSettings.start_env_steps is {self.start_env_steps}, more than '
          f"the stage's {self.env_steps} environment steps: training would "
          'never begin. Expected at most as many.')
    played = int(self.start_env_steps
                 + self.updates / self.updates_per_env_step)
    if played < self.env_steps:
      needed = math.ceil((self.env_steps - self.start_env_steps)
                         * self.updates_per_env_step)
      raise UsageError(
          f'StageSettings.env_steps is {self.env_steps}, but '
          f'{self.start_env_steps} steps before training and {self.updates} '
          f'updates, {self.updates_per_env_step} a step, play only {played}. '
          f'Expected at least {needed} updates, fewer updates_per_env_step, or '
          'fewer env_steps.')


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


def quotas(batch_size: int, num_sources: int, with_target: bool,
           equal: bool = False) -> Tuple[int, ...]:
  """How many rows of a batch each task has.

  The offline tasks share `batch_size` rows equally, the remainder of the
  division going to the first of them, so that the batch size is the same for
  any number of tasks. In finetuning the target has `batch_size` rows besides.

  Args:
    batch_size: rows.
    num_sources: m, offline tasks.
    with_target: whether a target task comes first (finetuning).
    equal: leaves the remainder of the division out, as the official code does
      (`config/atari/__init__.py`), so that sub-batches can change places.

  Returns:
    Rows per task, the target's first where there is one.
  """
  if batch_size < num_sources:
    raise UsageError(
        f'A batch of {batch_size} rows cannot be shared by {num_sources} '
        'offline tasks. Expected at least one row a task.')
  rest = 0 if equal else batch_size % num_sources
  shares = tuple(batch_size // num_sources + (index < rest)
                 for index in range(num_sources))
  return ((batch_size,) if with_target else ()) + shares
