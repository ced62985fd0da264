"""Runs an experiment's jobs: what is done is left, what fails is recorded."""

import datetime
import os
import signal
import time
from typing import Any, Dict, List, Optional, Sequence

from xtra_tf.errors import DataFileError, Stopped
from xtra_tf.evaluation.experiment_results import (
  ExperimentResults,
  RunFailure,
  RunKey,
)
from xtra_tf.experiments import configuration, run_collection
from xtra_tf.experiments import experiment_view as view_lib
from xtra_tf.experiments.experiment_plan import Job
from xtra_tf.experiments.experiment_view import ExperimentView
from xtra_tf.experiments.job_processes import Ended, JobProcesses
from xtra_tf.runs.progress import format_time

_POLL_SECONDS = 0.2
_MESSAGE_LENGTH = 500


class Interruption:
  """Makes SIGTERM and SIGINT a `Stopped`, once; a context manager.

  A second signal, while the processes are being ended, changes nothing.
  """

  _SIGNALS = (signal.SIGINT, signal.SIGTERM)

  def __init__(self) -> None:
    self._before: Dict[int, Any] = {}
    self._is_over = False

  def __enter__(self) -> 'Interruption':
    for number in self._SIGNALS:
      # Also where a shell had them ignored (`&`): the processes inherit that.
      self._before[number] = signal.signal(number, self._interrupt)
    return self

  def __exit__(self, *error: Any) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _interrupt(self, number: int, frame: Any) -> None:
    del frame
    if not self._is_over:
      self._is_over = True
      raise Stopped(number)


class ExperimentRunner:
  """Jobs in their order, as many at a time as told."""

  def __init__(self, jobs: Sequence[Job], root_dir: str,
               results: ExperimentResults, program: Sequence[str],
               at_once: int):
    """Initializes the runner; nothing is started yet.

    Args:
      jobs: a job's parents stand before it.
      root_dir: of the experiment; each job has a folder below it.
      results: takes what the runs say; it has begun.
      program: command of an ordinary run, to which flags are added.
      at_once: processes at a time.
    """
    self._jobs = {job.name: job for job in jobs}
    self._root_dir = os.path.abspath(root_dir)
    self._results = results
    self._program = list(program)
    self._processes = JobProcesses(at_once)
    self._view = ExperimentView(jobs, self._root_dir)
    self._exit_codes: List[int] = []

  def run(self) -> int:
    """Runs what is left.

    Returns:
      0 if all runs are finished, else the exit code of the first failure.
    """
    with Interruption(), self._view:
      self._find_done()
      try:
        while self._advance():
          self._view.tick()
          time.sleep(_POLL_SECONDS)
      finally:
        self._processes.stop()
    return next((code if code > 0 else 1 for code in self._exit_codes), 0)

  def summary(self) -> str:
    """How many jobs ended in which state."""
    return self._view.summary()

  def log_of(self, name: str) -> str:
    """Path of what a job's process has said."""
    return os.path.join(self._root_dir, name, 'logs', 'console.log')

  def _find_done(self) -> None:
    finished = set(self._results.finished())
    for name, job in self._jobs.items():
      if (run_collection.is_made(job, self._root_dir) if job.key is None
          else job.key in finished):
        self._view.set(name, view_lib.DONE, 'earlier', quiet=True)

  def _advance(self) -> bool:
    """Deals with what has ended, starts what can be; whether work is left."""
    for ended in self._processes.ended():
      self._end(ended)
    for name, job in self._jobs.items():
      if not self._processes.has_room:
        break
      if self._view.states[name] == view_lib.WAITING and self._is_ready(job):
        self._processes.start(name, self._command(job), self.log_of(name))
        self._view.set(name, view_lib.RUNNING)
    return bool(self._processes.names)

  def _is_ready(self, job: Job) -> bool:
    return all(self._view.states[parent] == view_lib.DONE
               for parent, _ in job.parents)

  def _command(self, job: Job) -> List[str]:
    """An ordinary run of one stage that takes over the stages before it."""
    return [
        *self._program, f'--root_dir={os.path.join(self._root_dir, job.name)}',
        *(f'--gin_file={name}' for name in job.gin_files),
        *(f'--gin_bindings={binding}' for binding in job.gin_bindings),
        *configuration.trust_flags(),
        f'--seed={job.seed}', f'--stages={job.kind}',
        *(f'--from_run={kind}={os.path.join(self._root_dir, parent)}'
          for parent, kind in job.parents),
        *(['--noevaluate'] if job.key is None else [])]

  def _end(self, ended: Ended) -> None:
    job = self._jobs[ended.name]
    code, message = ended.exit_code, ended.message
    if code == 0 and job.key is not None:
      try:
        run_collection.collect(job, self._root_dir, self._results)
      except DataFileError as error:
        code, message = error.exit_code, str(error)
    if code:
      self._fail(job, code, message)
      return
    self._view.set(job.name, view_lib.DONE, f'in {format_time(ended.seconds)}'
                   + self._score(job.key))

  def _score(self, key: Optional[RunKey]) -> str:
    """The judged mean return, for the eye."""
    for line in self._results.results() if key else []:
      if line.run == key and line.final:
        returns = line.result.returns
        return (f', return {sum(returns) / len(returns):,.4g} over '
                f'{len(returns)} games')
    return ''

  def _fail(self, job: Job, code: int, message: str) -> None:
    """Records a failure for each run that it concerns; the rest goes on."""
    self._exit_codes.append(code)
    # Results name no place of this machine.
    message = message.replace(self._root_dir + os.sep, '')[:_MESSAGE_LENGTH]
    self._view.set(job.name, view_lib.FAILED, f'exit code {code}: {message} '
                   f'({os.path.relpath(self.log_of(job.name))})')
    now = datetime.datetime.now(datetime.timezone.utc)
    for name, other in self._jobs.items():
      concerned = name == job.name or self._needs(other, job.name)
      if concerned and other.key is not None:
        self._results.append_failure(RunFailure(
            *other.key, code, message, stage=job.stage,
            time=now.isoformat(timespec='seconds')))
      if concerned and name != job.name:
        self._view.set(name, view_lib.BLOCKED, f'needs {job.name}')

  def _needs(self, job: Job, name: str) -> bool:
    return any(parent == name or self._needs(self._jobs[parent], name)
               for parent, _ in job.parents)
