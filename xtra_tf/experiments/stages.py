"""The stages of XTRA: source data, teachers, student, finetuning, control.

And a stage of comparison, behaviour cloning, that is run when it is named.

Each stage lives in its own folder of the run, goes on from its last manifest
and leaves a marker when it is done; a finished stage is not touched again.
"""

import dataclasses
import time
from typing import (
  Any,
  Callable,
  Dict,
  List,
  Mapping,
  NamedTuple,
  Optional,
  Sequence,
)

import tensorflow as tf

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import UsageError, near_names
from xtra_tf.experiments import (
  data_handshake,
  roles,
  stage_settings,
  teacher_targets,
)
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.settings import STAGES
from xtra_tf.experiments.training import train
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.experiments.transfer_settings import MODEL_PARTS
from xtra_tf.replay import SharedServer
from xtra_tf.runs import RunDirectory, StageDirectory
from xtra_tf.runs.run_directory import WITHOUT_TASK
from xtra_tf.tasks import TaskSpec
from xtra_tf.workers import LearnerGroup


class StageRun(NamedTuple):
  """What every stage gets."""
  parts: RunParts
  directory: RunDirectory
  task_data: Mapping[str, str]  # {task: folder} of data that the user brought
  shared: Optional[SharedServer] = None  # has the offline tasks' tables
  # Devices of the gradient step; one if left out.
  strategy: Optional[tf.distribute.Strategy] = None

  @property
  def group(self) -> LearnerGroup:
    """The processes of the strategy, and this one's place among them."""
    return LearnerGroup(self.strategy)


def check_selection(run: StageRun, only: Sequence[str],
                    with_teachers: bool = True) -> None:
  """Refuses a choice of stages that cannot be run, before the first of them.

  Args:
    run: the run.
    only: names of the stages that are asked for; none: all.
    with_teachers: False where a server has the teachers' targets.

  Raises:
    UsageError: a name that is no stage, stages without source tasks, or a stage
      that needs one that is neither asked for nor done.
  """
  for name in only:
    if name not in STAGES:
      raise UsageError(f'There is no stage {name!r}. '
                       f'{near_names(name, STAGES)}')
  if not run.parts.sources and set(only or STAGES) != {'scratch'}:
    raise UsageError(
        'SOURCE_TASKS is empty. Expected at least one offline task; without '
        'any, the stage `scratch` alone can be run (--stages=scratch).')
  for name in only:
    if all(d.read_done() is not None for d in _directories(run, name)):
      continue
    for before in needed(run.parts, name):
      if before in only or (before == 'teacher' and not with_teachers):
        continue
      for directory in _directories(run, before):
        if directory.read_done() is None:
          raise UsageError(
              f'The stage {name} needs {directory.name}, which is not done in '
              f'{run.directory.path}. Run it first, or with it: '
              f'--stages={before},{name}; or take it from another run: '
              f'--from_run={before}=DIR.')


def needed(parts: RunParts, name: str) -> Sequence[str]:
  """The stages whose results a stage starts from, one step back."""
  if name == 'finetune':
    transfer = parts.transfer
    return [*(['student'] if transfer.parts else []),
            *(['teacher'] if transfer.offline_tasks else [])]
  return {'teacher': ['data'], 'student': ['teacher'],
          'cloning': ['data']}.get(name, [])


def _directories(run: StageRun, name: str) -> List[StageDirectory]:
  """The folders of a stage: one, or one for each source task it is run for."""
  if name in WITHOUT_TASK:
    return [run.directory.stage(name)]
  if name in ('finetune', 'scratch'):
    return [run.directory.stage(name, run.parts.target.name)]
  return [run.directory.stage(name, task.name) for task in run.parts.sources
          if name != 'data' or task.name not in run.task_data]


def _nothing(name: str) -> None:
  del name


def run_stages(run: StageRun, chosen: Sequence[str],
               after_stage: Callable[[str], None] = _nothing) -> None:
  """Runs the chosen stages in their order; what is done is left as it is.

  Args:
    run: the run.
    chosen: names of stages.
    after_stage: called with the name of each chosen stage once it is done.
  """
  for name in STAGES:
    if name not in chosen:
      continue
    if name in _PER_SOURCE:
      for task in run.parts.sources:
        _PER_SOURCE[name](run, task)
    else:
      _ONCE_A_RUN[name](run)
    after_stage(name)


def data_folder(run: StageRun, task: TaskSpec) -> str:
  """Where a source task's episodes are: the user's folder, or the run's."""
  return run.task_data.get(
      task.name, run.directory.stage('data', task.name).episodes)


def open_data(run: StageRun, task: TaskSpec, with_teacher: bool) -> EpisodeLog:
  """A source task's log, with the teacher's targets beside it if asked."""
  log = data_handshake.open_log(
      data_folder(run, task), task, run.parts.allowed_differences)
  if run.parts.data_share < 1:
    log = log.with_share(run.parts.data_share)
  if not with_teacher:
    return log
  return teacher_targets.laid_over(
      run.parts, run.directory.stage('teacher', task.name), task, log)


def _offline_logs(run: StageRun) -> Dict[str, EpisodeLog]:
  """All source tasks' data; none where a server has them."""
  if run.shared is not None:
    return {}
  return {t.name: open_data(run, t, True) for t in run.parts.sources}


def once(run: StageRun, directory: StageDirectory,
         body: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
  """Runs a stage unless its marker says that it is done.

  Of several learners all run it, and the chief alone writes.
  """
  group, done = run.group, directory.read_done()
  # A file system may show the marker to some later than to others.
  if group.chief_says(done is not None):
    return done or {}
  if not group.is_chief:
    result = body()
    group.wait()
    return result
  name = directory.name
  stage_settings.write(run.parts, directory, run.task_data)
  begun = time.monotonic()
  run.directory.record_stage(name, 'running')
  result = body()
  seconds = time.monotonic() - begun
  run.directory.record_stage(name, 'done', seconds=seconds)
  directory.write_done(result)
  group.wait()
  return result


def source_data_plan(run: StageRun, task: TaskSpec) -> TrainingPlan:
  """EfficientZero from scratch on a source game."""
  return TrainingPlan(
      stage='data', title=f'Source data: {task.name}',
      directory=run.directory.stage('data', task.name), tasks=(task,),
      rows=(run.parts.stages['data'].stage.batch_size,), targets='reanalyzed',
      logs={}, online=True)


def finetuning_plan(run: StageRun) -> TrainingPlan:
  """The student on the target, together with the offline tasks."""
  parts, transfer = run.parts, run.parts.transfer
  crossing = transfer.offline_tasks
  return TrainingPlan(
      stage='finetune', title=f'Finetuning: {parts.target.name}',
      directory=run.directory.stage('finetune', parts.target.name),
      tasks=roles.stage_tasks(parts, 'finetune'),
      rows=roles.batch_rows(parts, 'finetune', with_target=True),
      targets='finetuning' if crossing else 'reanalyzed', online=True,
      weighted=crossing, logs=_offline_logs(run) if crossing else {},
      shared=run.shared if crossing else None,
      initial_weights=(run.directory.stage('student').path
                       if transfer.parts else None),
      initial_parts=(None if set(transfer.parts) == set(MODEL_PARTS)
                     else transfer.parts),
      frozen=transfer.frozen)


def scratch_plan(run: StageRun) -> TrainingPlan:
  """EfficientZero from scratch on the target."""
  parts = run.parts
  return TrainingPlan(
      stage='scratch', title=f'From scratch: {parts.target.name}',
      directory=run.directory.stage('scratch', parts.target.name),
      tasks=(parts.target,), rows=(parts.stages['scratch'].stage.batch_size,),
      targets='reanalyzed', logs={}, online=True)


def make_source_data(run: StageRun, task: TaskSpec) -> None:
  """Plays a source game with EfficientZero from scratch; keeps its replay."""
  if task.name in run.task_data:
    return
  parts = dataclasses.replace(run.parts, seed=run.parts.seed_of('data'))
  once(run, run.directory.stage('data', task.name), lambda: train(
      parts, source_data_plan(run, task), run.strategy))


def train_teacher(run: StageRun, task: TaskSpec) -> None:
  """Trains a teacher on one table, then stores what it says of its data."""
  directory = run.directory.stage('teacher', task.name)

  def body() -> Dict[str, Any]:
    log = open_data(run, task, with_teacher=False)
    plan = TrainingPlan(
        stage='teacher', title=f'Teacher: {task.name}', directory=directory,
        tasks=(task,), rows=(run.parts.stages['teacher'].stage.batch_size,),
        targets='reanalyzed', logs={task.name: log})
    result = train(run.parts, plan, run.strategy)
    if not run.group.is_chief:
      return result
    return {**result, **teacher_targets.store(run.parts, directory, task, log)}

  once(run, directory, body)


def distil_student(run: StageRun) -> None:
  """Distils the teachers into one student, uniformly over the tables."""
  parts, directory = run.parts, run.directory.stage('student')
  plan_rows = roles.batch_rows(parts, 'student', with_target=False)

  def body() -> Dict[str, Any]:
    return train(parts, TrainingPlan(
        stage='student', title='Student', directory=directory,
        tasks=parts.sources, rows=plan_rows, targets='stored',
        logs=_offline_logs(run), shared=run.shared), run.strategy)

  once(run, directory, body)


def clone_behaviour(run: StageRun) -> None:
  """Trains a policy on the actions of all source tasks, in equal parts.

  The method of comparison for the student's zero-shot play (paper, section 3).
  """
  parts, directory = run.parts, run.directory.stage('cloning')
  rows = roles.batch_rows(parts, 'cloning', with_target=False)

  def body() -> Dict[str, Any]:
    return train(parts, TrainingPlan(
        stage='cloning', title='Behaviour cloning', directory=directory,
        tasks=parts.sources, rows=rows, targets='actions',
        logs={t.name: open_data(run, t, False) for t in parts.sources}),
        run.strategy)

  once(run, directory, body)


def finetune(run: StageRun) -> None:
  """Finetunes the student on the target together with the offline tasks.

  With less of it where `TransferSettings` says so.
  """
  once(run, run.directory.stage('finetune', run.parts.target.name),
        lambda: train(run.parts, finetuning_plan(run), run.strategy))


def train_from_scratch(run: StageRun) -> None:
  """The control: EfficientZero from scratch on the target."""
  once(run, run.directory.stage('scratch', run.parts.target.name),
        lambda: train(run.parts, scratch_plan(run), run.strategy))


_PER_SOURCE: Dict[str, Callable[[StageRun, TaskSpec], None]] = {
    'data': make_source_data, 'teacher': train_teacher}
_ONCE_A_RUN: Dict[str, Callable[[StageRun], None]] = {
    'student': distil_student, 'cloning': clone_behaviour,
    'finetune': finetune, 'scratch': train_from_scratch}
