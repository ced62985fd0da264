"""Which processes an experiment is made of, and what they share.

A method's run has one process of its own: the stage that is judged. The stages
before it (source data, teachers, student) are jobs that all runs share whose
settings of these stages are the same, whatever their method or target.
"""

import dataclasses
import hashlib
import json
import os
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from xtra_tf.errors import UsageError, near_names
from xtra_tf.evaluation.experiment_results import (
  MethodRecord,
  RunKey,
  TargetRecord,
)
from xtra_tf.experiments import (
  configuration,
  experiment_costs,
  roles,
  stage_settings,
  stages,
)
from xtra_tf.experiments.experiment_costs import Cost
from xtra_tf.experiments.experiment_settings import (
  ExperimentSettings,
  MethodSettings,
)
from xtra_tf.experiments.roles import RunParts
from xtra_tf.runs import compare_settings
from xtra_tf.runs.run_directory import WITHOUT_TASK
from xtra_tf.runs.stage_directory import folder_name

_METHOD_FOLDERS = ('methods', 'ablations')
_SOURCES = 'xtra_tf.experiments.TaskSettings.num_sources'


@dataclasses.dataclass(frozen=True)
class Job:
  """One process.

  Attributes:
    name: its folder below --root_dir, which is its run's root_dir.
    stage: that it makes, e.g. `teacher/Alien`, `student`, `finetune/Krull`.
    gin_files: that the process is given.
    gin_bindings: likewise.
    seed: of the run.
    parents: names of the jobs whose stages it takes over, with these stages'
      kinds.
    updates: gradient steps, for its progress.
    cost: estimated.
    key: the run of the experiment that it is; None for a shared stage.
    settings: of its stage, for shared stages.
    source_games: {source task: games} that a shared stage's model is scored by.
  """
  name: str
  stage: str
  gin_files: Tuple[str, ...]
  gin_bindings: Tuple[str, ...]
  seed: int
  parents: Tuple[Tuple[str, str], ...]
  updates: int
  cost: Cost
  key: Optional[RunKey] = None
  settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
  source_games: Mapping[str, int] = dataclasses.field(default_factory=dict)

  @property
  def kind(self) -> str:
    """The stage's kind, e.g. `teacher`."""
    return self.stage.partition('/')[0]


class Plan(NamedTuple):
  """An experiment, resolved."""
  settings: ExperimentSettings
  methods: Tuple[MethodRecord, ...]
  targets: Tuple[TargetRecord, ...]
  bound: Dict[str, str]  # settings of the protocol
  jobs: Dict[str, Job]  # by name; a job's parents stand before it

  def ancestors(self, name: str) -> List[str]:
    """Names of all jobs that a job needs, in order."""
    found: Dict[str, None] = {}
    for parent, _ in self.jobs[name].parents:
      found.update(dict.fromkeys([*self.ancestors(parent), parent]))
    return list(found)


class _Variant(NamedTuple):
  """One method on one target: what gin says."""
  method: MethodRecord
  target: TargetRecord
  gin_files: Tuple[str, ...]
  parts: RunParts


def find_method(name: str) -> str:
  """The gin file of a method.

  Raises:
    UsageError: there is none; names near ones.
  """
  known = {}
  for file in configuration.known_gin_files():
    folder, base = os.path.split(file)
    if folder in _METHOD_FOLDERS:
      known[os.path.splitext(base)[0]] = file
  if name not in known:
    raise UsageError(f'There is no method {name!r}. {near_names(name, known)} '
                     f'Methods are the files of gin/{_METHOD_FOLDERS[0]} and '
                     f'gin/{_METHOD_FOLDERS[1]}.')
  return known[name]


def make_plan(gin_files: Sequence[str], bindings: Sequence[str]) -> Plan:
  """Resolves all settings of all runs, and what they share.

  Args:
    gin_files: the protocol's.
    bindings: applied after protocol, task set and method.

  Raises:
    UsageError: an unknown method, task or setting; targets that clash.
    IncompatibleDataError: tasks that cannot share a network.
  """
  configuration.parse(gin_files, bindings)
  settings = configuration.resolve(configuration.ExperimentSettings)
  bound = configuration.run_settings()
  files = {name: find_method(name) for name in settings.methods}
  task_sets = settings.task_sets or ('',)
  targets: List[TargetRecord] = []
  methods: Dict[str, MethodRecord] = {}
  variants: List[_Variant] = []
  for task_set in task_sets:
    base = (*gin_files, *([task_set] if task_set else []))
    targets.append(_target(base, bindings, task_set))
    before = configuration.run_settings()
    for name, file in files.items():
      variant = _variant(name, targets[-1], (*base, file), bindings, before)
      # The first target's: which settings a method binds depends on none.
      methods.setdefault(name, variant.method)
      variants.append(variant)
  _check_targets(targets)
  jobs: Dict[str, Job] = {}
  # Seeds outermost: what is there when time runs out can be compared.
  for seed in settings.seeds:
    for variant in variants:
      _add_run(jobs, variant, tuple(bindings), seed)
  return Plan(settings, tuple(methods.values()), tuple(targets), bound, jobs)


def _target(gin_files: Sequence[str], bindings: Sequence[str],
            task_set: str) -> TargetRecord:
  configuration.parse(gin_files, bindings)
  tasks = configuration.resolve(configuration.TaskSettings)
  return TargetRecord(tasks.target, task_set, tasks.used_sources)


def _check_targets(targets: Sequence[TargetRecord]) -> None:
  by_name: Dict[str, TargetRecord] = {}
  for target in targets:
    other = by_name.setdefault(target.name, target)
    if other is not target:
      raise UsageError(
          f'{other.task_set} and {target.task_set} both have the target '
          f'{target.name}. Expected each target once in an experiment; make '
          'two experiments, or a method that changes the source tasks.')


def _variant(name: str, target: TargetRecord, gin_files: Tuple[str, ...],
             bindings: Sequence[str], before: Mapping[str, str]) -> _Variant:
  configuration.parse(gin_files, bindings)
  try:
    method: MethodSettings = configuration.resolve(configuration.MethodSettings)
    parts = roles.resolve_parts(seed=0)
  except UsageError as error:
    raise UsageError(f'Method {name} ({gin_files[-1]}), target {target.name}: '
                     f'{error}') from error
  if method.stage != 'scratch' and not parts.sources:
    raise UsageError(
        f'Method {name} needs source tasks, and SOURCE_TASKS of '
        f'{target.task_set or gin_files[0]} is empty. Expected at least one.')
  changes = compare_settings(before, configuration.run_settings())
  differences = {change.name: change.new or '(not set)' for change in changes}
  record = MethodRecord(name, method.label, (gin_files[-1],), method.stage,
                        differences)
  return _Variant(record, target, gin_files, parts)


def _add_run(jobs: Dict[str, Job], variant: _Variant,
             bindings: Tuple[str, ...], seed: int) -> None:
  """Adds a run and whatever it needs that is not there yet."""
  parts = dataclasses.replace(variant.parts, seed=seed)
  variant = variant._replace(parts=parts)
  key = RunKey(variant.method.name, parts.target.name, seed)
  stage = variant.method.stage
  # What plays the target as it is has nothing to train.
  made = stage in WITHOUT_TASK
  before = [stage] if made else _all_needed(parts, stage)
  parents = [parent for kind in before
             for parent in _shared(jobs, variant, bindings, kind)]
  cost = experiment_costs.judging_cost(parts, stage)
  if not made:
    cost = experiment_costs.stage_cost(parts, stage).plus(cost).plus(
        experiment_costs.source_cost(parts, stage))
  name = '/'.join([key.method, folder_name(key.target), f'seed-{seed}'])
  jobs[name] = Job(
      name=name, gin_files=variant.gin_files, gin_bindings=bindings, seed=seed,
      stage=stage if made else f'{stage}/{key.target}',
      parents=tuple(parents), cost=cost, key=key,
      updates=0 if made else parts.stages[stage].stage.updates)


def _all_needed(parts: RunParts, kind: str) -> List[str]:
  """Kinds of all stages behind one, in the order in which they are made."""
  found: List[str] = []
  for before in stages.needed(parts, kind):
    for name in (*_all_needed(parts, before), before):
      if name not in found:
        found.append(name)
  return found


def _shared(jobs: Dict[str, Job], variant: _Variant,
            bindings: Tuple[str, ...], kind: str) -> List[Tuple[str, str]]:
  """Adds the jobs of a shared kind of stage; (name, kind) of each."""
  parts = variant.parts
  if kind in WITHOUT_TASK:
    needed = [parent for before in _all_needed(parts, kind)
              for parent in _shared(jobs, variant, bindings, before)]
    return [(_add_shared(jobs, variant, kind, bindings, needed), kind)]
  added = []
  for task in parts.sources:
    needed = []
    if kind != 'data':
      needed = [parent for before in _all_needed(parts, kind) for parent in
                _shared(jobs, _of_one_source(variant, task.name), bindings,
                        before)]
    # Alone, so that the process makes nothing else.
    alone = (*bindings, f"SOURCE_TASKS = ('{task.name}',)",
             f'{_SOURCES} = None')
    added.append((_add_shared(jobs, variant, f'{kind}/{task.name}', alone,
                              needed), kind))
  return added


def _of_one_source(variant: _Variant, name: str) -> _Variant:
  parts = variant.parts
  return variant._replace(parts=dataclasses.replace(
      parts, sources=tuple(t for t in parts.sources if t.name == name)))


def _add_shared(jobs: Dict[str, Job], variant: _Variant, stage: str,
                bindings: Tuple[str, ...],
                parents: Sequence[Tuple[str, str]]) -> str:
  parts = variant.parts
  settings = stage_settings.of_stage(parts, stage, {})
  digest = hashlib.sha256(
      json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
  kind, _, task = stage.partition('/')
  what = f'{kind}.{folder_name(task)}' if task else kind
  name = f'shared/{what}.seed-{parts.seed_of(kind)}.{digest}'
  if name not in jobs:
    games = parts.source_evaluation.episodes_of(kind)
    played = [task] if task else [source.name for source in parts.sources]
    jobs[name] = Job(
        name=name, stage=stage, gin_files=variant.gin_files,
        gin_bindings=bindings, seed=parts.seed_of(kind),
        parents=tuple(parents),
        updates=parts.stages[kind].stage.updates,
        cost=experiment_costs.stage_cost(parts, kind).plus(
            experiment_costs.source_cost(parts, kind)), settings=settings,
        source_games=dict.fromkeys(played, games) if games else {})
  return name


def select(plan: Plan, only: Mapping[str, Sequence[str]]) -> List[Job]:
  """The jobs of the chosen runs and what they need, in order.

  Args:
    plan: of the experiment.
    only: {'method', 'target' or 'seed': names}; empty: all runs.

  Raises:
    UsageError: a field or name that there is not.
  """
  known = {'method': [m.name for m in plan.methods],
           'target': [t.name for t in plan.targets],
           'seed': [str(seed) for seed in plan.settings.seeds]}
  for field, names in only.items():
    if field not in known:
      raise UsageError(f'--only names {field!r}. {near_names(field, known)}')
    for name in names:
      if name not in known[field]:
        raise UsageError(f'--only names the {field} {name}, which this '
                         f'experiment has not. '
                         f'{near_names(name, known[field])}')
  chosen: Dict[str, Job] = {}
  for job in plan.jobs.values():
    if job.key is None or any(
        str(getattr(job.key, field)) not in names
        for field, names in only.items()):
      continue
    for name in (*plan.ancestors(job.name), job.name):
      chosen[name] = plan.jobs[name]
  return list(chosen.values())
