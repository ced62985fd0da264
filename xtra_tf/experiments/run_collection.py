"""Takes what a finished run says into the folder of an experiment's results."""

import dataclasses
import os
from typing import Any, Dict, List

from xtra_tf.errors import DataFileError
from xtra_tf.evaluation import results
from xtra_tf.evaluation.experiment_results import (
  ExperimentResult,
  ExperimentResults,
  RunCost,
)
from xtra_tf.evaluation.thinning import thin_metrics
from xtra_tf.experiments.experiment_plan import Job
from xtra_tf.runs import RunDirectory, StageDirectory, read_metrics

# Points of the student's agreement with its teachers.
_STUDENT_ROWS = 100
# What the student's series are called beside those of the judged stage.
_OF_STUDENT = {f'transfer/{name}/': f'student/{name}/'
               for name in ('agreement', 'teacher_kl')}
# Facts of a teacher's stage, by the tag that holds them.
_OF_TEACHER = {'teacher/action_played': 'teacher_agreement',
               'data/mean_return': 'data_mean_return'}


def collect(job: Job, root_dir: str, folder: ExperimentResults) -> None:
  """Copies a run's evaluations, thinned metrics and cost.

  Evaluations on source tasks are copied too, whichever stage's model played;
  of the stages before the judged one, the agreement of the student with its
  teachers while it was distilled, and what each teacher's data are like.

  Args:
    job: whose process has ended well.
    root_dir: of the experiment.
    folder: takes the lines; what is there already is not added again.

  Raises:
    DataFileError: the run lacks its judged evaluation, or files are damaged.
  """
  key = job.key
  assert key is not None
  directory = RunDirectory(os.path.join(root_dir, job.name))
  kind, _, task = job.stage.partition('/')
  stage = directory.stage(kind, task or None)
  own = kind in {name.partition('/')[0] for name in directory.record['stages']}
  rows = _before(directory)
  if own:
    for record in results.read(stage.evaluations):
      folder.append_result(ExperimentResult(*key, False, record))
    rows += read_metrics(stage.metrics_file('learner'))
  if rows:
    folder.write_metrics(key, rows)
  facts = stage.read_done() or {}
  evaluated = results.read(directory.results)
  for record in evaluated:
    if record.task != key.target:
      folder.append_result(ExperimentResult(
          *key, False, dataclasses.replace(record, recording='')))
  judged = [record for record in evaluated
            if (record.stage, record.task, record.step) == (
                kind, key.target, facts.get('updates'))]
  if not judged:
    raise DataFileError(directory.results, f'holds no evaluation of {kind} on '
                        f'{key.target} at step {facts.get("updates")}.')
  # Recordings stay with the run.
  folder.append_result(ExperimentResult(
      *key, True, dataclasses.replace(judged[-1], recording='')))
  folder.append_cost(RunCost(
      *key, seconds=_seconds(directory), updates=int(facts['updates']),
      env_steps=int(facts.get('env_steps', 0)),
      inherited=_inherited(directory), shared_seconds=_shared(directory)))


def _before(directory: RunDirectory) -> List[Dict[str, Any]]:
  """Rows of metrics about the stages that a run has taken over."""
  rows: List[Dict[str, Any]] = []
  constants: Dict[str, float] = {}
  for name in directory.record.get('inherited', {}):
    kind, _, task = name.partition('/')
    stage = directory.stage(kind, task or None)
    if kind == 'teacher':
      facts = stage.read_done() or {}
      constants.update({f'{tag}/{task}': facts[fact] for tag, fact
                        in _OF_TEACHER.items() if facts.get(fact) is not None})
    elif kind == 'student' and os.path.isfile(stage.metrics_file('learner')):
      rows += thin_metrics(_renamed(read_metrics(
          stage.metrics_file('learner'))), _STUDENT_ROWS)
  if constants:
    rows.insert(0, {'step': 0, 'env_steps': 0, 'time': 0., **constants})
  return rows


def _renamed(rows: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
  """The series of a student that reports draw, under their names there."""
  renamed = []
  for row in rows:
    tags = {new + tag[len(old):]: value for tag, value in row.items()
            for old, new in _OF_STUDENT.items() if tag.startswith(old)}
    renamed.append({**{name: row[name] for name in (
        'step', 'env_steps', 'time')}, **tags})
  return renamed


def _seconds(directory: RunDirectory) -> Dict[str, float]:
  return {name: stage['seconds']
          for name, stage in directory.record['stages'].items()}


def _inherited(directory: RunDirectory) -> Dict[str, str]:
  return {name: stage['digest']
          for name, stage in directory.record.get('inherited', {}).items()}


def _shared(directory: RunDirectory) -> Dict[str, float]:
  """Seconds of the stages that were taken over, in the runs that made them."""
  found: Dict[str, float] = {}
  for name, stage in directory.record.get('inherited', {}).items():
    path = os.path.join(directory.path, stage['folder'])
    depth = os.path.join(*(['..'] * (1 + name.count('/'))))
    parent = RunDirectory(os.path.normpath(os.path.join(path, depth)))
    if os.path.isfile(parent.run_json):
      found[name] = parent.record['stages'].get(name, {}).get('seconds', 0.)
  return found


def is_made(job: Job, root_dir: str) -> bool:
  """Whether a shared stage is done and scored on the source tasks.

  Its folder is named by its settings.
  """
  kind, _, task = job.stage.partition('/')
  stage: StageDirectory = RunDirectory(
      os.path.join(root_dir, job.name)).stage(kind, task or None)
  facts = stage.read_done()
  if facts is None:
    return False
  scored = {(record.task, len(record.seeds)) for record
            in results.read(stage.evaluations)
            if record.step == facts.get('updates')}
  return set(job.source_games.items()) <= scored
