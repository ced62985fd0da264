"""A teacher's targets beside its task's data: made once, known again, refused
where they are another teacher's, of other data or of other settings.
"""

import os
from typing import Any, Dict, List, Mapping

from absl import logging

from xtra_tf.episodes import OPTIONAL_COLUMNS, EpisodeLog, EpisodeLogWriter
from xtra_tf.episodes.schema import header_path, read_header
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.experiments import data_provenance, roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.settings import ReplaySettings, TeacherPassSettings
from xtra_tf.planning.planner import Planner
from xtra_tf.runs import (
  StageDirectory,
  StageProgress,
  differences,
  record_incident,
)
from xtra_tf.tasks import TaskSpec
from xtra_tf.variables import resolve_checkpoint, restore_world_model
from xtra_tf.workers import TeacherPass

_FOLDER = 'targets'


def conditions(planner: Planner, teacher_pass: TeacherPassSettings,
               replay: ReplaySettings, support: int) -> Dict[str, Any]:
  """The settings that decide what a teacher's targets say, whoever it is.

  Args:
    planner: of its searches; its discount is that of the values too.
    teacher_pass: of its pass over the data.
    replay: of its training.
    support: its values are within +-h^-1(support), see numerics/scaling.py.
  """
  return {
      'noise_fraction': teacher_pass.noise_fraction,
      'search': data_provenance.of_planner(planner),
      'training': {'unroll_steps': replay.unroll_steps,
                   'td_steps': replay.td_steps, 'support': support}}


def conditions_of(parts: RunParts) -> Dict[str, Any]:
  """`conditions` of a run."""
  return conditions(parts.planner, parts.teacher_pass,
                    parts.stages['teacher'].replay,
                    parts.description['config']['support'])


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
  return {
      'teacher': teacher.name, 'teacher_step': info.step,
      'teacher_weights': data_provenance.weights_digest(info),
      'data': log.digest(),
      'seed': parts.seed, 'batch_size': parts.teacher_pass.batch_size,
      **conditions_of(parts)}


def stale_fields(folder: str, expected: Mapping[str, Any],
                 found: Mapping[str, Any]) -> List[str]:
  """Where targets are not what they should be.

  Args:
    folder: of the targets, for a warning about what their header does not say:
      an earlier version has left it out, and it cannot be compared.
    expected: fields of `identity`.
    found: the provenance in their header.

  Returns:
    One phrase for each field that differs, with both values.
  """
  unsaid = [name for name in expected if name not in found]
  if unsaid:
    logging.warning(
        '%s does not say its %s: it is of an earlier version. It is used as it '
        'is.', folder, ', '.join(unsaid))
  return differences({name: value for name, value in expected.items()
                      if name in found}, found)


def served(log: EpisodeLog, folder: str,
           expected: Mapping[str, Any]) -> EpisodeLog:
  """A task's data with targets that are to be served, whoever made them.

  Args:
    log: the data.
    folder: of the targets.
    expected: `conditions` of the server's settings.

  Raises:
    IncompatibleDataError: they are of other data or settings, or of another
      teacher than the one in whose folder they are.
    DataFileError: they are missing, damaged, or of other episodes.
  """
  expected = {'data': log.digest(), **expected}
  teacher = StageDirectory(os.path.dirname(os.path.abspath(folder)))
  if os.path.isdir(teacher.manifests):  # else they were copied without it
    info = resolve_checkpoint(teacher.path)
    expected.update(teacher_step=info.step,
                    teacher_weights=data_provenance.weights_digest(info))
  phrases = stale_fields(folder, expected, read_header(folder).provenance)
  if phrases:
    raise IncompatibleDataError(
        f'The targets in {folder} for {log.task.name} are stale. '
        f'{"; ".join(phrases)}. Expected the data and teacher that they were '
        'made with and gin files that say the same, or targets made anew.')
  return log.with_overlay(folder)


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
  phrases = stale_fields(folder, identity(parts, teacher, log),
                         read_header(folder).provenance)
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
    Facts about the pass and the data, for the stage's marker.
  """
  expected = identity(parts, teacher, log)
  folder = teacher.folder(_FOLDER)
  if os.path.exists(header_path(folder)):
    phrases = differences(expected, read_header(folder).provenance)
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
  returns = log.returns()
  return {'teacher_rows': summary.rows,
          'teacher_agreement': summary.agreement,
          'teacher_root_value': summary.mean_root_value,
          'data_games': len(returns),
          'data_mean_return': float(returns.mean()) if len(returns) else None}
