"""The stages of XTRA: source data, teachers, student, finetuning, control.

Each stage lives in its own folder of the run, goes on from its last manifest
and leaves a marker when it is done; a finished stage is not touched again.
"""

import time
from typing import Any, Callable, Dict, Mapping, NamedTuple

from xtra_tf.episodes import OPTIONAL_COLUMNS, EpisodeLog, EpisodeLogWriter
from xtra_tf.experiments import roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.settings import quotas
from xtra_tf.experiments.training import TrainingPlan, train
from xtra_tf.runs import RunDirectory, StageDirectory, StageProgress
from xtra_tf.tasks import TaskSpec
from xtra_tf.variables import restore_world_model
from xtra_tf.workers import TeacherPass


class StageRun(NamedTuple):
  """What every stage gets."""
  parts: RunParts
  directory: RunDirectory
  task_data: Mapping[str, str]  # {task: folder} of data that the user brought


def data_folder(run: StageRun, task: TaskSpec) -> str:
  """Where a source task's episodes are: the user's folder, or the run's."""
  return run.task_data.get(
      task.name, run.directory.stage('data', task.name).episodes)


def open_data(run: StageRun, task: TaskSpec, with_teacher: bool) -> EpisodeLog:
  """A source task's log, with the teacher's targets beside it if asked."""
  log = EpisodeLog(data_folder(run, task), expected_task=task)
  return log.with_overlay(_targets_folder(run, task)) if with_teacher else log


def _targets_folder(run: StageRun, task: TaskSpec) -> str:
  return run.directory.stage('teacher', task.name).folder('targets')


def _once(run: StageRun, directory: StageDirectory,
          body: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
  """Runs a stage unless its marker says that it is done."""
  done = directory.read_done()
  if done is not None:
    return done
  name = directory.name
  begun = time.monotonic()
  run.directory.record_stage(name, 'running')
  result = body()
  seconds = time.monotonic() - begun
  run.directory.record_stage(name, 'done', seconds=seconds)
  directory.write_done(result)
  return result


def make_source_data(run: StageRun, task: TaskSpec) -> None:
  """Plays a source game with EfficientZero from scratch; keeps its replay."""
  if task.name in run.task_data:
    return
  directory = run.directory.stage('data', task.name)
  plan = TrainingPlan(
      stage='data', title=f'Source data: {task.name}', directory=directory,
      tasks=(task,), rows=(run.parts.stages['data'].stage.batch_size,),
      targets='reanalyzed', logs={}, online=True)
  _once(run, directory, lambda: train(run.parts, plan))


def train_teacher(run: StageRun, task: TaskSpec) -> None:
  """Trains a teacher on one table, then stores what it says of its data."""
  directory = run.directory.stage('teacher', task.name)

  def body() -> Dict[str, Any]:
    log = open_data(run, task, with_teacher=False)
    plan = TrainingPlan(
        stage='teacher', title=f'Teacher: {task.name}', directory=directory,
        tasks=(task,), rows=(run.parts.stages['teacher'].stage.batch_size,),
        targets='reanalyzed', logs={task.name: log})
    result = train(run.parts, plan)
    return {**result, **store_teacher_targets(run, task, log)}

  _once(run, directory, body)


def store_teacher_targets(run: StageRun, task: TaskSpec,
                          log: EpisodeLog) -> Dict[str, Any]:
  """The teacher's pass over its data; made anew if it was interrupted."""
  directory = run.directory.stage('teacher', task.name)
  folder = directory.fresh_folder('targets')
  settings = run.parts.teacher_pass
  model = roles.build_model(run.parts, run.parts.seed)
  restore_world_model(model, directory.path)
  teacher = TeacherPass(
      model.initial_inference, run.parts.planner.bind(model.simulator()), task,
      settings.batch_size, settings.noise_fraction, run.parts.seed)
  writer = EpisodeLogWriter(
      folder, task, OPTIONAL_COLUMNS, overlay=True,
      provenance={'teacher': f'teacher/{task.name}', 'seed': run.parts.seed})
  with StageProgress(f'Teacher targets: {task.name}', total=log.num_rows,
                     unit='rows') as progress:
    summary = teacher.run(log, writer, progress.update)
  writer.close()
  return {'teacher_rows': summary.rows,
          'teacher_agreement': summary.agreement,
          'teacher_root_value': summary.mean_root_value}


def distil_student(run: StageRun) -> None:
  """Distils the teachers into one student, uniformly over the tables."""
  parts, directory = run.parts, run.directory.stage('student')
  plan_rows = quotas(parts.stages['student'].stage.batch_size,
                     len(parts.sources), with_target=False)

  def body() -> Dict[str, Any]:
    return train(parts, TrainingPlan(
        stage='student', title='Student', directory=directory,
        tasks=parts.sources, rows=plan_rows, targets='stored',
        logs={t.name: open_data(run, t, True) for t in parts.sources}))

  _once(run, directory, body)


def finetune(run: StageRun) -> None:
  """Finetunes the student on the target together with the offline tasks."""
  parts = run.parts
  directory = run.directory.stage('finetune', parts.target.name)
  rows = quotas(parts.stages['finetune'].stage.batch_size,
                len(parts.sources), with_target=True)

  def body() -> Dict[str, Any]:
    return train(parts, TrainingPlan(
        stage='finetune', title=f'Finetuning: {parts.target.name}',
        directory=directory, tasks=(parts.target, *parts.sources), rows=rows,
        targets='finetuning', online=True, weighted=True,
        initial_weights=run.directory.stage('student').path,
        logs={t.name: open_data(run, t, True) for t in parts.sources}))

  _once(run, directory, body)


def train_from_scratch(run: StageRun) -> None:
  """The control: EfficientZero from scratch on the target."""
  parts = run.parts
  directory = run.directory.stage('scratch', parts.target.name)

  def body() -> Dict[str, Any]:
    return train(parts, TrainingPlan(
        stage='scratch', title=f'From scratch: {parts.target.name}',
        directory=directory, tasks=(parts.target,),
        rows=(parts.stages['scratch'].stage.batch_size,),
        targets='reanalyzed', logs={}, online=True))

  _once(run, directory, body)
