"""Builds the roles of a stage: tasks, models, planner, targets, agent, actor.

Together with `stages.py` this is the composition root: the only place that
knows all packages. Everything here takes settings that were resolved before
the first stage began, so that a mistake costs no time.
"""

import dataclasses
import functools
import json
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.evaluation.protocol import (
  EvaluationSettings,
  SourceEvaluationSettings,
)
from xtra_tf.experiments import (
  action_heads,
  configuration,
  profiles,
  stage_parts,
  weighting,
)
from xtra_tf.experiments.settings import (
  STAGES,
  ReplaySettings,
  TeacherPassSettings,
  quotas,
)
from xtra_tf.experiments.stage_parts import StageParts
from xtra_tf.experiments.transfer_settings import TransferSettings
from xtra_tf.learners import (
  TaskWeights,
  TaskWeightSettings,
  WorldModelAgent,
)
from xtra_tf.models import build_world_model
from xtra_tf.models.world_model import WorldModel
from xtra_tf.planning import PRIOR, PriorPlanner
from xtra_tf.planning.planner import Planner
from xtra_tf.policies import PlanningPolicy, RandomPolicy
from xtra_tf.replay import (
  Composition,
  IndexedTables,
  ReplayTables,
  ReverbTables,
  SharedServer,
  SharedTables,
  TableSpec,
  WindowSpec,
)
from xtra_tf.targets import (
  ActionTargets,
  ReanalyzedTargets,
  ReanalyzeRatios,
  StoredTargets,
  TargetsByRows,
  TargetsFn,
)
from xtra_tf.tasks import TaskSpec


@dataclasses.dataclass(frozen=True)
class RunParts:
  """All settings of a run, resolved and checked before anything starts."""
  target: TaskSpec
  sources: Tuple[TaskSpec, ...]
  stages: Dict[str, StageParts]
  teacher_pass: TeacherPassSettings
  task_weights: TaskWeightSettings
  evaluation: EvaluationSettings
  planner: Planner
  description: Dict[str, Any]  # of the world model, as in model.json
  seed: int
  allowed_differences: Tuple[str, ...] = ()  # as of TaskSettings
  transfer: TransferSettings = TransferSettings()
  data_share: float = 1.  # of each source task's steps
  data_seed: Optional[int] = None  # of the stage `data`; None: as the others
  source_evaluation: SourceEvaluationSettings = SourceEvaluationSettings()

  def seed_of(self, kind: str) -> int:
    """The seed that a kind of stage starts from."""
    if kind == 'data' and self.data_seed is not None:
      return self.data_seed
    return self.seed

  def task_index(self, name: str) -> int:
    """Position of a task in the run's list: target first, then sources."""
    return [t.name for t in (self.target, *self.sources)].index(name)


def resolve_parts(seed: int) -> RunParts:
  """Reads all settings out of gin and checks that they fit each other.

  Args:
    seed: of the run.

  Raises:
    UsageError: an unknown task, a missing or impossible setting.
    IncompatibleDataError: tasks of different frames or action sets.
  """
  tasks = configuration.resolve(configuration.TaskSettings)
  specs = [tasks.spec(name) for name in (tasks.target, *tasks.used_sources)]
  check_same_shapes(specs)
  target = specs[0]
  model = configuration.resolve(
      configuration.EfficientZeroConfig,
      observation_shape=stacked_shape(target), num_actions=target.num_actions)
  description = {'family': 'efficientzero', 'config': model.to_json(),
                 'task': target.fingerprint(), 'codec': target.codec,
                 'profile': profiles.recorded_name()}
  stages = {name: stage_parts.resolve(name, target.stack, model.support)
            for name in STAGES}
  transfer = configuration.resolve(configuration.TransferSettings)
  task_weights = weighting.resolve(
      stages['finetune'].stage, stages['finetune'].replay, transfer)
  action_heads.check({name: parts.stage for name, parts in stages.items()},
                     target, specs[1:])
  _try_to_build(json.dumps(description['config'], sort_keys=True))
  return RunParts(
      target=target, sources=tuple(specs[1:]), stages=stages,
      teacher_pass=configuration.resolve(configuration.TeacherPassSettings),
      task_weights=task_weights,
      evaluation=configuration.resolve(configuration.EvaluationSettings),
      planner=configuration.resolve(configuration.MctsPlanner),
      description=description, seed=seed,
      allowed_differences=tasks.allowed_differences,
      transfer=transfer,
      data_share=tasks.data_share, data_seed=tasks.data_seed,
      source_evaluation=configuration.resolve(
          configuration.SourceEvaluationSettings))


@functools.lru_cache(maxsize=None)
def _try_to_build(config: str) -> None:
  """Impossible sizes are refused here, not hours later."""
  build_world_model({'family': 'efficientzero', 'config': json.loads(config)})


def check_same_shapes(specs: Sequence[TaskSpec]) -> None:
  """Refuses tasks that one network cannot take together."""
  first = specs[0]
  for spec in specs[1:]:
    for field in ('observation_shape', 'observation_dtype', 'num_actions',
                  'stack', 'codec'):
      expected, found = getattr(first, field), getattr(spec, field)
      if expected != found:
        raise IncompatibleDataError(
            f'{first.name} and {spec.name} cannot share a network: {field} '
            f'is {expected} and {found}. Expected the same for all tasks of a '
            'run.')


def stacked_shape(task: TaskSpec) -> Tuple[int, ...]:
  """Shape of a scaled observation: frames stacked in the last axis."""
  *space, channels = task.observation_shape
  return (*space, channels * task.stack)


def window_spec(task: TaskSpec, replay: ReplaySettings,
                planner: Planner) -> WindowSpec:
  """The windows that one run's tables hold."""
  return WindowSpec(
      stack=task.stack, unroll_steps=replay.unroll_steps,
      td_steps=replay.td_steps, observation_shape=task.observation_shape,
      observation_dtype=task.observation_dtype,
      target_shape=planner.target_shape(task.num_actions))


def table_specs(tasks: Sequence[TaskSpec], settings: StageParts,
                online: bool) -> Tuple[TableSpec, ...]:
  """One table per task.

  The played task's table serves once it has half of the steps before training:
  a data set draws its first batches ahead, as soon as it may, and these should
  not come from the first few steps alone.
  """
  first = max(1, settings.stage.start_env_steps // 2) if online else 1
  replay = settings.replay
  return tuple(
      TableSpec(name=task.name, max_size=replay.max_size,
                priority_exponent=replay.priority_exponent,
                min_size=1 if index else first)
      for index, task in enumerate(tasks))


def acting_specs(task: TaskSpec) -> Tuple[ts.TimeStep, Any]:
  """TF-Agents' time-step and action specs of a task's environments."""
  observation = {
      'frame': tensor_spec.TensorSpec(
          task.observation_shape, tf.as_dtype(task.observation_dtype), 'frame'),
      'legal_actions': tensor_spec.TensorSpec(
          (task.num_actions,), tf.bool, 'legal_actions')}
  action = tensor_spec.BoundedTensorSpec(
      (), tf.int32, 0, task.num_actions - 1, 'action')
  return ts.time_step_spec(observation), action


def replay_tables(parts: RunParts, name: str, tasks: Sequence[TaskSpec],
                  online: bool, seed: int,
                  shared: Optional[SharedServer] = None) -> ReplayTables:
  """A stage's tables, empty but for those that are another server's.

  Args:
    parts: of the run.
    name: of the stage.
    tasks: in index order.
    online: the first task is played.
    seed: decides what is drawn without Reverb.
    shared: the server whose tables are shared.

  Returns:
    The tables.
  """
  settings = parts.stages[name]
  specs = table_specs(tasks, settings, online)
  window = window_spec(tasks[0], settings.replay, parts.planner)
  length = settings.replay.block_length
  if shared is not None:
    return SharedTables(specs, window, length, shared)
  if settings.replay.with_replacement:
    return ReverbTables(specs, window, length)
  return IndexedTables(specs, window, length, seed,
                       prefetch=0 if settings.replay.repeatable else 1)


def batch_composition(settings: StageParts, rows: Sequence[int], online: bool,
                      seed: int, by_weight: bool = False) -> Composition:
  """How a stage's batches are made up.

  Args:
    settings: of the stage.
    rows: of each task.
    online: the first task is played; it has a sub-batch in every batch.
    seed: of the draws, where the offline tasks are drawn.
    by_weight: the offline tasks share their rows by their weights.

  Returns:
    The composition.
  """
  offline = tuple(range(1 if online else 0, len(rows)))
  drawn = settings.replay.offline_composition == 'random'
  return Composition(tuple(rows), mixed=offline if drawn else (),
                     weighted=offline if by_weight else (), seed=seed)


def batch_rows(parts: RunParts, name: str, with_target: bool
               ) -> Tuple[int, ...]:
  """Rows of each task in a batch of a stage that has all offline tasks."""
  settings = parts.stages[name]
  if with_target and not parts.transfer.offline_tasks:
    return (settings.stage.batch_size,)
  return quotas(settings.stage.batch_size, len(parts.sources), with_target,
                equal=settings.replay.offline_composition == 'random')


def stage_tasks(parts: RunParts, name: str) -> Tuple[TaskSpec, ...]:
  """The tasks of a stage that a run has once, in index order."""
  offline = parts.sources if parts.transfer.offline_tasks else ()
  return {'student': parts.sources, 'cloning': parts.sources,
          'scratch': (parts.target,),
          'finetune': (parts.target, *offline)}[name]


def describe_model(parts: RunParts, name: str, tasks: Sequence[TaskSpec]
                   ) -> Dict[str, Any]:
  """model.json of a stage whose tasks share one network."""
  description = parts.description
  if name == 'cloning':
    description = {**description, 'acting': PRIOR}
  ids = action_heads.action_ids(name, parts.stages[name].stage, tasks)
  if ids is None:
    return description
  config = {**description['config'], 'action_ids': list(ids)}
  return {**description, 'config': config}


def acting_planner(parts: RunParts, name: str) -> Planner:
  """How a stage's model plays: by search, or by its policy as it is."""
  return PriorPlanner() if name == 'cloning' else parts.planner


def build_model(parts: RunParts, seed: int,
                description: Optional[Mapping[str, Any]] = None) -> WorldModel:
  """A world model with all its variables; the seed decides their values.

  Args:
    parts: of the run.
    seed: of the initial weights.
    description: of a stage's model; that of the whole family if left out.

  Returns:
    The model.
  """
  model = build_world_model(description or parts.description, seed=seed)
  model.build_variables()
  return model


def planning_policy(parts: RunParts, task: TaskSpec, model: WorldModel, *,
                    greedy: bool, seed: int,
                    planner: Optional[Planner] = None) -> PlanningPolicy:
  """A policy that searches with a model, by the run's planner or another.

  Raises:
    IncompatibleDataError: the model does not know the task's actions.
  """
  model.check_plays(task.name, task.legal_actions)
  time_step_spec, action_spec = acting_specs(task)
  return PlanningPolicy(time_step_spec, action_spec, model,
                        planner or parts.planner, task.stack, greedy=greedy,
                        seed=seed)


def random_policy(task: TaskSpec, seed: int) -> RandomPolicy:
  """A policy that plays legal actions uniformly at random."""
  time_step_spec, action_spec = acting_specs(task)
  return RandomPolicy(time_step_spec, action_spec, seed=seed)


def reanalyzed_targets(parts: RunParts, name: str, model: WorldModel,
                       task: TaskSpec, seed: Optional[int] = None) -> TargetsFn:
  """Targets by the target network: searched policies, bootstrapped values.

  Args:
    parts: of the run.
    name: of the stage.
    model: the target network.
    task: whose windows they are.
    seed: of the searches; the run's if None.
  """
  settings = parts.stages[name]
  return ReanalyzedTargets(
      model, parts.planner, stack=task.stack,
      unroll_steps=settings.replay.unroll_steps,
      td_steps=settings.replay.td_steps,
      discount=configuration.discount_of(parts.planner),
      noise_fraction=settings.stage.reanalyze_noise_fraction,
      off_policy_interval=settings.stage.off_policy_interval or None,
      ratios=ReanalyzeRatios(
          policy=settings.stage.policy_reanalyze_ratio,
          value=settings.stage.value_reanalyze_ratio),
      seed=parts.seed if seed is None else seed, settings=settings.targets)


def stored_targets(parts: RunParts, name: str, task: TaskSpec) -> TargetsFn:
  """Targets that the teacher's pass has stored beside the data."""
  settings = parts.stages[name]
  return StoredTargets(
      stack=task.stack, unroll_steps=settings.replay.unroll_steps,
      td_steps=settings.replay.td_steps,
      discount=configuration.discount_of(parts.planner),
      settings=settings.targets)


def action_targets(task: TaskSpec) -> TargetsFn:
  """The actions that were played."""
  return ActionTargets(stack=task.stack, num_actions=task.num_actions)


def finetuning_targets(parts: RunParts, model: WorldModel,
                       rows: Sequence[int]) -> TargetsFn:
  """The target's rows are reanalyzed, the offline rows use stored targets."""
  task = parts.target
  return TargetsByRows([
      (0, rows[0], reanalyzed_targets(parts, 'finetune', model, task)),
      (rows[0], sum(rows), stored_targets(parts, 'finetune', task))])


def build_agent(parts: RunParts, name: str, *, model: WorldModel,
                target_model: Optional[WorldModel], policy: PlanningPolicy,
                targets: TargetsFn, rows: Sequence[int],
                train_step: tf.Variable,
                collect_policy: Optional[PlanningPolicy] = None,
                task_weights: Optional[TaskWeights] = None) -> WorldModelAgent:
  """The agent whose `train` is one gradient step of a stage.

  The policies are saved with it: how often they were asked, and the weights
  that the actor has.
  """
  time_step_spec, action_spec = acting_specs(parts.target)
  return WorldModelAgent(
      time_step_spec, action_spec, policy=policy,
      collect_policy=collect_policy or policy,
      world_model=model, target_world_model=target_model, targets=targets,
      settings=parts.stages[name].learner, quotas=rows,
      task_weights=task_weights, train_step=train_step, seed=parts.seed)


def legal_masks(tasks: Sequence[TaskSpec]) -> np.ndarray:
  """bool[T, A]."""
  return np.stack([task.legal_mask() for task in tasks])
