"""A teacher's targets beside its task's data: made once, known again, refused
where they are another teacher's, of other data or of other settings.
"""

import os
from typing import Any, Dict

from absl import logging

from xtra_tf.episodes import OPTIONAL_COLUMNS, EpisodeLog, EpisodeLogWriter
from xtra_tf.episodes.schema import header_path, read_header
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.experiments import data_provenance, roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.runs import StageDirectory, StageProgress, record_incident
from xtra_tf.tasks import TaskSpec
from xtra_tf.variables import resolve_checkpoint, restore_world_model
from xtra_tf.workers import TeacherPass

_FOLDER = 'targets'


def identity(parts: RunParts, teacher: StageDirectory,
             log: EpisodeLog) -> Dict[str, Any]:
  """All that a teacher's targets depend on, as kept in their header.

  Args:
    parts: settings of the run.
    teacher: the teacher's stage; trained.
    log: its task's data.

  Raises:
    CheckpointError: the stage has no whole save.
  """
  info = resolve_checkpoint(teacher.path)
  settings = parts.teacher_pass
  return {
      'teacher': teacher.name, 'teacher_step': info.step,
      'teacher_weights': data_provenance.weights_digest(info),
      'data': log.digest(),
      'seed': parts.seed, 'batch_size': settings.batch_size,
      'noise_fraction': settings.noise_fraction,
      'search': data_provenance.of_planner(parts.planner)}


def laid_over(parts: RunParts, teacher: StageDirectory, task: TaskSpec,
              log: EpisodeLog) -> EpisodeLog:
  """A task's data with its teacher's targets.

  Args:
    parts: settings of the run.
    teacher: the teacher's stage; done.
    task: of the data.
    log: the data.

  Raises:
    IncompatibleDataError: the targets are another teacher's, of other data or
      of other settings; each difference is named with both values.
    DataFileError: they are missing, damaged, or of other episodes.
  """
  folder = teacher.folder(_FOLDER)
  found = read_header(folder).provenance
  if 'teacher_weights' not in found:
    logging.warning('%s does not say which weights it was made with: it is of '
                    'an earlier version. It is used as it is.', folder)
    return log.with_overlay(folder)
  phrases = data_provenance.differences(identity(parts, teacher, log), found)
  if phrases:
    raise IncompatibleDataError(
        f"The teacher's targets in {folder} for {task.name} are stale. "
        f'{"; ".join(phrases)}. Expected the teacher, data and settings that '
        f'they were made with, or targets made anew: delete {teacher.done} and '
        'run the stage `teacher` again, which does not train it again.')
  return log.with_overlay(folder)


def store(parts: RunParts, teacher: StageDirectory, task: TaskSpec,
          log: EpisodeLog) -> Dict[str, Any]:
  """The teacher's pass over its data; an interrupted one is gone on with.

  An interrupted pass loses at most the episode that it was at, and what is
  stored in the end is what an uninterrupted one would have stored. Stale
  targets are made anew, which is noted as an incident.

  Args:
    parts: settings of the run.
    teacher: the teacher's stage; trained.
    task: of the data.
    log: the data.

  Returns:
    Facts about the pass, for the stage's marker.
  """
  expected = identity(parts, teacher, log)
  folder = teacher.folder(_FOLDER)
  if os.path.exists(header_path(folder)):
    phrases = data_provenance.differences(
        expected, read_header(folder).provenance)
    if phrases:
      record_incident(teacher.logs, 'stale-targets', folder=_FOLDER,
                      differences=phrases)
      teacher.fresh_folder(_FOLDER)
  else:
    teacher.fresh_folder(_FOLDER)
  model = roles.build_model(
      parts, parts.seed, roles.describe_model(parts, 'teacher', [task]))
  restore_world_model(model, teacher.path)
  settings = parts.teacher_pass
  teacher_pass = TeacherPass(
      model.initial_inference, parts.planner.bind(model.simulator()), task,
      settings.batch_size, settings.noise_fraction, parts.seed)
  # Of the data's own description, from which the run's may differ.
  writer = EpisodeLogWriter(folder, log.task, OPTIONAL_COLUMNS, overlay=True,
                            provenance=expected, drop_open=True)
  done = EpisodeLog(folder)
  with StageProgress(f'Teacher targets: {task.name}', total=log.num_rows,
                     unit='rows', start=done.num_rows) as progress:
    summary = teacher_pass.run(log, writer, progress.update, done)
  writer.close()
  return {'teacher_rows': summary.rows,
          'teacher_agreement': summary.agreement,
          'teacher_root_value': summary.mean_root_value}
