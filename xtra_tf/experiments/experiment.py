"""An experiment: methods x targets x seeds, from gin to a folder of results."""

import datetime
import os
import shlex
import sys
from typing import Dict, List, Optional, Sequence

from rich.console import Console

from xtra_tf.errors import UsageError
from xtra_tf.evaluation.experiment_results import (
  ExperimentRecord,
  ExperimentResults,
)
from xtra_tf.experiments import experiment_plan
from xtra_tf.experiments.experiment_plan import Plan
from xtra_tf.experiments.experiment_runner import ExperimentRunner
from xtra_tf.experiments.experiment_view import plan_table
from xtra_tf.runs import check_free_space, provenance
from xtra_tf.runs.settings import (
  hide_private,
  hide_private_flags,
  settings_hash,
)


def parse_only(texts: Sequence[str]) -> Dict[str, List[str]]:
  """{field: names} of flags like `method=xtra,seed=0`.

  Raises:
    UsageError: a text of another form.
  """
  chosen: Dict[str, List[str]] = {}
  for text in texts:
    for part in text.split(','):
      field, separator, name = part.partition('=')
      if not separator or not field or not name:
        raise UsageError(f'--only is {text!r}. Expected FIELD=NAME, separated '
                         'by commas, e.g. --only=method=xtra,seed=0.')
      chosen.setdefault(field.strip(), []).append(name.strip())
  return chosen


def show_plan(gin_files: Sequence[str], bindings: Sequence[str],
              only: Sequence[str] = (), at_once: int = 1,
              console: Optional[Console] = None) -> None:
  """Prints what an experiment would take; nothing is run or written."""
  plan = experiment_plan.make_plan(gin_files, bindings)
  jobs = experiment_plan.select(plan, parse_only(only))
  (console or Console()).print(plan_table(jobs, at_once))


def run_experiment(results_dir: str, root_dir: str, *,
                   gin_files: Sequence[str], bindings: Sequence[str],
                   program: Sequence[str], at_once: int = 1,
                   only: Sequence[str] = ()) -> int:
  """Runs what is left of an experiment.

  Args:
    results_dir: where results are kept.
    root_dir: where the runs are.
    gin_files: the protocol's.
    bindings: applied after protocol, task set and method.
    program: command of an ordinary run.
    at_once: processes at a time.
    only: which runs, as of `parse_only`; all if empty.

  Returns:
    The exit code: 0, or that of the first run that failed.

  Raises:
    UserError: settings that cannot be, or a folder with other results.
  """
  plan = experiment_plan.make_plan(gin_files, bindings)
  jobs = experiment_plan.select(plan, parse_only(only))
  check_free_space(root_dir, int(max(job.cost.disk for job in jobs)))
  results = ExperimentResults(results_dir)
  results.begin(_record(plan, gin_files, bindings))
  runner = ExperimentRunner(jobs, root_dir, results, program, at_once)
  code = runner.run()
  console = Console()
  console.print(f'{runner.summary()}. {_finished(results, plan)}',
                soft_wrap=True, highlight=False, markup=False)
  return code


def _finished(results: ExperimentResults, plan: Plan) -> str:
  wanted = [job.key for job in plan.jobs.values() if job.key is not None]
  done = set(results.finished())
  return (f'{sum(key in done for key in wanted)} of {len(wanted)} runs of the '
          'experiment are finished.')


def _record(plan: Plan, gin_files: Sequence[str],
            bindings: Sequence[str]) -> ExperimentRecord:
  settings = hide_private(plan.bound)
  now = datetime.datetime.now(datetime.timezone.utc)
  return ExperimentRecord(
      name=plan.settings.name or _base_name(gin_files[-1]),
      gin_files=tuple(os.path.relpath(f) if os.path.isabs(f) else f
                      for f in gin_files), gin_bindings=tuple(bindings),
      methods=plan.methods, targets=plan.targets, seeds=plan.settings.seeds,
      settings=settings, settings_hash=settings_hash(settings),
      versions=provenance.versions(), machine=provenance.machine(),
      code=provenance.code_version(), command=_command(),
      started=now.isoformat(timespec='seconds'))


def _base_name(path: str) -> str:
  return os.path.splitext(os.path.basename(path))[0]


def _command() -> str:
  """As typed, with paths relative to the working directory."""
  arguments = []
  for text in sys.argv[1:]:
    name, separator, value = text.partition('=')
    if separator and os.path.isabs(value):
      value = os.path.relpath(value)
    arguments.append(name + separator + value)
  return hide_private_flags(shlex.join(
      ['python', '-m', 'launchers.experiment', *arguments]))
