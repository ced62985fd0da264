"""Takes what a finished run says into the folder of an experiment's results."""

import dataclasses
import os
from typing import Dict

from xtra_tf.errors import DataFileError
from xtra_tf.evaluation import results
from xtra_tf.evaluation.experiment_results import (
  ExperimentResult,
  ExperimentResults,
  RunCost,
)
from xtra_tf.experiments.experiment_plan import Job
from xtra_tf.runs import RunDirectory, StageDirectory, read_metrics


def collect(job: Job, root_dir: str, folder: ExperimentResults) -> None:
  """Copies a run's evaluations, thinned metrics and cost.

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
  if own:
    for record in results.read(stage.evaluations):
      folder.append_result(ExperimentResult(*key, False, record))
    folder.write_metrics(key, read_metrics(stage.metrics_file('learner')))
  facts = stage.read_done() or {}
  judged = [record for record in results.read(directory.results)
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
  """Whether a shared stage is done; its folder is named by its settings."""
  kind, _, task = job.stage.partition('/')
  stage: StageDirectory = RunDirectory(
      os.path.join(root_dir, job.name)).stage(kind, task or None)
  return stage.read_done() is not None
