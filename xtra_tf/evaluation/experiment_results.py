"""The folder of an experiment's results: many runs, raw and fit to be kept.

    experiment.json   what was asked for: methods, targets, seeds, settings
    results.jsonl     one line per evaluation, every episode's score
    metrics/          one thinned time series per run
    costs.jsonl       one line per finished run
    failures.jsonl    one line per run that ended in an error

Lines are only ever appended, and are on disk when a function returns. Nothing
here names a host, a user or an absolute path.
"""

import dataclasses
import json
import os
from typing import Any, Dict, Iterable, List, Mapping, Type

from xtra_tf.errors import DataFileError, SettingsChangedError
from xtra_tf.evaluation.experiment_records import (
  ExperimentRecord,
  ExperimentResult,
  Line,
  MethodRecord,
  RunCost,
  RunFailure,
  RunKey,
  TargetRecord,
)
from xtra_tf.evaluation.thinning import thin_metrics
from xtra_tf.runs import (
  compare_settings,
  make_folder,
  read_json,
  read_metrics,
  storage_error,
  write_bytes,
  write_json,
)
from xtra_tf.runs.stage_directory import folder_name

__all__ = ['ExperimentRecord', 'ExperimentResult', 'ExperimentResults',
           'MethodRecord', 'RunCost', 'RunFailure', 'RunKey', 'TargetRecord']

_FORMAT = 1


class ExperimentResults:
  """The folder; see the module.

  Attributes:
    path: the folder.
  """

  def __init__(self, path: str):
    """Initializes; nothing is made on the disk."""
    self.path = os.path.abspath(path)
    self._record_file = os.path.join(self.path, 'experiment.json')
    self._results = os.path.join(self.path, 'results.jsonl')
    self._costs = os.path.join(self.path, 'costs.jsonl')
    self._failures = os.path.join(self.path, 'failures.jsonl')

  def exists(self) -> bool:
    """Whether an experiment has begun here."""
    return os.path.isfile(self._record_file)

  def record(self) -> ExperimentRecord:
    """What the experiment is.

    Raises:
      DataFileError: there is none, or it is damaged.
    """
    fields = read_json(self._record_file)
    try:
      if fields.pop('format') != _FORMAT:
        raise ValueError(f'expected format {_FORMAT}')
      return ExperimentRecord(**fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
      raise DataFileError(self._record_file,
                          f'is no record of an experiment: {error}.') from error

  def begin(self, record: ExperimentRecord) -> None:
    """Makes the folder, or goes on with one of the same settings.

    Seeds may be added; so may methods and targets. What is there keeps its
    settings.

    Args:
      record: of the experiment as asked for now.

    Raises:
      SettingsChangedError: the folder holds results of other settings; shows
        the difference.
    """
    if self.exists():
      old, new = self.record().identity(), record.identity()
      record = dataclasses.replace(record, started=self.record().started)
      changes = [change for change in compare_settings(old, new)
                 if not (change.old is None and change.name.startswith(
                     ('method ', 'target ')))]
      if changes:
        lines = '\n'.join(f'  {change}' for change in changes)
        raise SettingsChangedError(
            f'{self.path} holds results of other settings:\n{lines}\n'
            f'Expected the settings that they were made with, found '
            f'{len(changes)} changed. Take them back, or choose another '
            '--results_dir.')
    make_folder(self.path)
    write_json(self._record_file,
               {'format': _FORMAT, **dataclasses.asdict(record)})

  def results(self) -> List[ExperimentResult]:
    """All evaluations, oldest first."""
    return _read(self._results, ExperimentResult)

  def append_result(self, line: ExperimentResult) -> bool:
    """Adds an evaluation; an identical repeat is kept once.

    Returns:
      Whether a line was added.

    Raises:
      DataFileError: the same evaluation of the same run has other scores.
    """
    for number, other in enumerate(self.results()):
      if (other.run, other.final, other.result.key[1:]) != (
          line.run, line.final, line.result.key[1:]):
        continue
      if other.result.returns == line.result.returns:
        return False
      raise DataFileError(
          self._results, f'{line.run} at step {line.result.step} is there '
          f'already, with other scores: found {list(other.result.returns)}, '
          f'got {list(line.result.returns)}.', record=number,
          hint='A run is evaluated once. Choose another --results_dir for '
          'runs that were made anew.')
    _append(self._results, line.to_json())
    return True

  def costs(self) -> List[RunCost]:
    """What the finished runs took; one line each."""
    return _read(self._costs, RunCost)

  def append_cost(self, line: RunCost) -> None:
    """Adds what a run took, unless it is there."""
    if line.run not in {other.run for other in self.costs()}:
      _append(self._costs, line.to_json())

  def failures(self) -> List[RunFailure]:
    """All attempts that failed, oldest first."""
    return _read(self._failures, RunFailure)

  def append_failure(self, line: RunFailure) -> None:
    """Adds a failed attempt."""
    _append(self._failures, line.to_json())

  def finished(self) -> List[RunKey]:
    """The runs whose judged evaluation and cost are here."""
    judged = {line.run for line in self.results() if line.final}
    return [line.run for line in self.costs() if line.run in judged]

  def unfinished_failures(self) -> List[RunFailure]:
    """The last failure of each run that has not been finished since."""
    done = set(self.finished())
    last = {line.run: line for line in self.failures()}
    return [line for run, line in last.items() if run not in done]

  def metrics_file(self, run: RunKey) -> str:
    """Path of a run's time series."""
    return os.path.join(
        self.path, 'metrics',
        f'{run.method}.{folder_name(run.target)}.{run.seed}.jsonl')

  def write_metrics(self, run: RunKey,
                    rows: Iterable[Mapping[str, Any]]) -> None:
    """Keeps a run's time series, thinned.

    Args:
      run: whose.
      rows: as of `runs.read_metrics`, of any number of files.
    """
    path = self.metrics_file(run)
    make_folder(os.path.dirname(path))
    write_bytes(path, b''.join(map(_encode, thin_metrics(list(rows)))))

  def metrics(self, run: RunKey) -> List[Dict[str, Any]]:
    """A run's thinned time series, in order of steps; none without a file."""
    path = self.metrics_file(run)
    return read_metrics(path) if os.path.exists(path) else []


def _encode(fields: Mapping[str, Any]) -> bytes:
  return (json.dumps(fields, allow_nan=False) + '\n').encode()


def _append(path: str, fields: Mapping[str, Any]) -> None:
  make_folder(os.path.dirname(path))
  line = _encode(fields)
  try:
    with open(path, 'ab+') as file:
      file.seek(0)
      # What a crash left behind the last line end.
      file.truncate(file.read().rfind(b'\n') + 1)
      file.write(line)
      file.flush()
      os.fsync(file.fileno())
  except OSError as error:
    raise storage_error(path, error, len(line)) from error


def _read(path: str, kind: Type[Line]) -> List[Line]:
  """Lines of a file, without a torn last one."""
  if not os.path.exists(path):
    return []
  with open(path, 'rb') as file:
    lines = file.read().split(b'\n')[:-1]
  found = []
  for number, line in enumerate(lines):
    try:
      found.append(kind.from_json(json.loads(line)))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError,
            ValueError) as error:
      raise DataFileError(path, f'is damaged: {repr(error)[:300]}.',
                          record=number,
                          hint='Restore the file from a copy.') from error
  return found
