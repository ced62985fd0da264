"""What an experiment is made of: its record and the lines of its files."""

import dataclasses
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Type, TypeVar

from xtra_tf.evaluation.results import ResultRecord

Line = TypeVar('Line', bound='RunLine')


class RunKey(NamedTuple):
  """One run of an experiment."""
  method: str  # name of the method's gin file
  target: str  # the target task's name
  seed: int  # of the run

  def __str__(self) -> str:
    return f'{self.method}, {self.target}, seed {self.seed}'


@dataclasses.dataclass(frozen=True)
class MethodRecord:
  """One method of an experiment.

  Attributes:
    name: its key in all other files.
    label: for people, e.g. `EfficientZero-L`.
    gin_files: that make it, read after the protocol's.
    stage: whose model is judged: `scratch`, `finetune`, `student`, ...
    differences: {setting: value} that the method binds otherwise than the
      protocol; what every two methods differ in.
  """
  name: str
  label: str
  gin_files: Tuple[str, ...]
  stage: str
  differences: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self) -> None:
    object.__setattr__(self, 'gin_files', tuple(self.gin_files))


@dataclasses.dataclass(frozen=True)
class TargetRecord:
  """One target task of an experiment.

  Attributes:
    name: the task's name, its key in all other files.
    task_set: gin file that names it and its source tasks; '' where the
      protocol itself does.
    sources: the source tasks, unless a method changes them.
  """
  name: str
  task_set: str = ''
  sources: Tuple[str, ...] = ()

  def __post_init__(self) -> None:
    object.__setattr__(self, 'sources', tuple(self.sources))


@dataclasses.dataclass(frozen=True)
class ExperimentRecord:
  """What an experiment is: experiment.json.

  Attributes:
    name: for people.
    gin_files: the protocol's.
    gin_bindings: given beside them.
    methods: in the order in which they are shown.
    targets: likewise.
    seeds: of the runs.
    settings: {name: value} of the protocol, as text.
    settings_hash: SHA-256 of all that must stay the same.
    versions: of Python and packages.
    machine: system, processor's model, processors, memory in bytes.
    code: commit of the checkout, and whether it was changed.
    command: as typed.
    started: UTC, ISO 8601.
  """
  name: str
  gin_files: Tuple[str, ...]
  gin_bindings: Tuple[str, ...]
  methods: Tuple[MethodRecord, ...]
  targets: Tuple[TargetRecord, ...]
  seeds: Tuple[int, ...]
  settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
  settings_hash: str = ''
  versions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  machine: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  code: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  command: str = ''
  started: str = ''

  def __post_init__(self) -> None:
    for name, kind in (('methods', MethodRecord), ('targets', TargetRecord)):
      object.__setattr__(self, name, tuple(
          kind(**item) if isinstance(item, dict) else item
          for item in getattr(self, name)))
    for name in ('gin_files', 'gin_bindings', 'seeds'):
      object.__setattr__(self, name, tuple(getattr(self, name)))

  def runs(self) -> List[RunKey]:
    """All runs that the experiment asks for."""
    return [RunKey(method.name, target.name, seed) for method in self.methods
            for target in self.targets for seed in self.seeds]

  def method(self, name: str) -> MethodRecord:
    """A method by its name.

    Raises:
      KeyError: there is none.
    """
    return {method.name: method for method in self.methods}[name]

  def identity(self) -> Dict[str, str]:
    """All that must stay the same for results to belong together, as text."""
    parts = {f'method {m.name}': json.dumps(
        [m.stage, list(m.gin_files), dict(sorted(m.differences.items()))])
             for m in self.methods}
    parts.update({f'target {t.name}': ', '.join((t.task_set, *t.sources))
                  for t in self.targets})
    return {**self.settings, **parts, 'name': self.name}


class RunLine:
  """A line of a file that belongs to one run."""

  method: str
  target: str
  seed: int

  @property
  def run(self) -> RunKey:
    """Whose line it is."""
    return RunKey(self.method, self.target, self.seed)

  def to_json(self) -> Dict[str, Any]:
    """The line's fields."""
    return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

  @classmethod
  def from_json(cls: Type[Line], fields: Mapping[str, Any]) -> Line:
    """The line of these fields; fields that are not known are left out."""
    known = {field.name for field in
             dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{k: v for k, v in fields.items() if k in known})


@dataclasses.dataclass(frozen=True)
class ExperimentResult(RunLine):
  """One evaluation of one run; its line holds the result's fields beside ours.

  Attributes:
    method: of the run.
    target: of the run.
    seed: of the run.
    final: the judged evaluation; False: one on the learning curve.
    result: the evaluation.
  """
  method: str
  target: str
  seed: int
  final: bool
  result: ResultRecord

  def to_json(self) -> Dict[str, Any]:
    """The line's fields, the result's among them."""
    return {'method': self.method, 'target': self.target, 'seed': self.seed,
            'final': self.final, **dataclasses.asdict(self.result)}

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> 'ExperimentResult':
    """The evaluation of a line."""
    known = {field.name for field in dataclasses.fields(ResultRecord)}
    return cls(fields['method'], fields['target'], fields['seed'],
               fields['final'], ResultRecord(
                   **{k: v for k, v in fields.items() if k in known}))


@dataclasses.dataclass(frozen=True)
class RunCost(RunLine):
  """What a finished run took.

  Attributes:
    method: of the run.
    target: of the run.
    seed: of the run.
    seconds: {stage: wall clock}, stages shared with other runs left out.
    updates: gradient steps of the judged stage.
    env_steps: environment steps of the judged stage.
    inherited: {stage: hash of the checkpoint or data} that the run took over
      from stages shared with other runs.
    shared_seconds: {stage: wall clock} of these stages, in the run that made
      them; not to be summed over runs.
  """
  method: str
  target: str
  seed: int
  seconds: Mapping[str, float]
  updates: int
  env_steps: int
  inherited: Mapping[str, str] = dataclasses.field(default_factory=dict)
  shared_seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RunFailure(RunLine):
  """An attempt at a run that ended in an error.

  Attributes:
    method: of the run.
    target: of the run.
    seed: of the run.
    exit_code: negative: the signal that ended the process.
    message: the last that it said.
    stage: what failed, e.g. `student`, where it was not the run itself.
    time: UTC, ISO 8601.
  """
  method: str
  target: str
  seed: int
  exit_code: int
  message: str
  stage: str = ''
  time: str = ''
