"""What an experiment compares: methods, targets, seeds."""

import dataclasses
from typing import Any, Tuple

from xtra_tf.errors import UsageError, near_names
from xtra_tf.experiments.settings import STAGES

# Stages whose model can be judged on the target.
JUDGED = tuple(name for name in STAGES if name not in ('data', 'teacher'))


def _as_tuple(settings: Any, name: str, example: str) -> None:
  value = getattr(settings, name)
  if not isinstance(value, (tuple, list)):
    raise UsageError(f'{type(settings).__name__}.{name} is {value!r}. '
                     f'Expected a tuple, e.g. {example}.')
  object.__setattr__(settings, name, tuple(value))
  if len(set(value)) != len(value):
    raise UsageError(f'{type(settings).__name__}.{name} names one twice: '
                     f'{", ".join(map(str, value))}. Expected distinct ones.')


@dataclasses.dataclass(frozen=True)
class ExperimentSettings:
  """What is run: every method on every target with every seed.

  Attributes:
    name: of the experiment, for people.
    methods: names of files in gin/methods or gin/ablations.
    task_sets: gin files that name a target and its source tasks each; none:
      the protocol's own.
    seeds: of the runs.
  """
  name: str = ''
  methods: Tuple[str, ...] = ()
  task_sets: Tuple[str, ...] = ()
  seeds: Tuple[int, ...] = (0,)

  def __post_init__(self) -> None:
    _as_tuple(self, 'methods', "('xtra', 'efficientzero')")
    _as_tuple(self, 'task_sets', "('tasksets/alien_from_mazes.gin',)")
    _as_tuple(self, 'seeds', '(0, 1, 2)')
    for seed in self.seeds:
      if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f'ExperimentSettings.seeds names {seed!r}. Expected '
                         'whole numbers, 0 or more.')
    if not self.methods or not self.seeds:
      raise UsageError(
          'ExperimentSettings.methods or seeds is empty: there is nothing to '
          'run. Expected at least one of each, in the protocol or by '
          '--gin_bindings.')


@dataclasses.dataclass(frozen=True)
class MethodSettings:
  """What a method is called, and which stage's model is judged.

  Attributes:
    label: for tables and figures.
    stage: one of `JUDGED`; the stages that it needs are run before it.
  """
  label: str
  stage: str

  def __post_init__(self) -> None:
    if self.stage not in JUDGED:
      raise UsageError(f'MethodSettings.stage is {self.stage!r}. '
                       f'{near_names(str(self.stage), JUDGED)}')
