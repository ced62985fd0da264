"""An experiment's runs, read from one or more folders of results.

Several folders are one experiment if their settings are equal: more seeds,
more targets, more methods of the same protocol, made elsewhere or later.
"""

import dataclasses
import math
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.errors import DataFileError, SettingsChangedError, UsageError
from xtra_tf.evaluation.experiment_records import (
  ExperimentRecord,
  ExperimentResult,
  MethodRecord,
  RunCost,
  RunFailure,
  RunKey,
  TargetRecord,
)
from xtra_tf.evaluation.experiment_results import ExperimentResults
from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.evaluation.run_files import StageFiles
from xtra_tf.runs import compare_settings


@dataclasses.dataclass(frozen=True)
class ComparedRun:
  """One run: a method on a target with a seed.

  Attributes:
    key: which run.
    final: the judged evaluation on the target; None: there is none.
    curve: evaluations on the target by environment steps, the last included.
    others: evaluations of other tasks, or of other stages than the judged one.
    files: the run's time series.
    cost: None where it was not recorded.
    failures: attempts that ended in an error, oldest first.
  """
  key: RunKey
  final: Optional[ResultRecord] = None
  curve: Tuple[ResultRecord, ...] = ()
  others: Tuple[ResultRecord, ...] = ()
  files: StageFiles = StageFiles('', '', None)
  cost: Optional[RunCost] = None
  failures: Tuple[RunFailure, ...] = ()

  @property
  def score(self) -> float:
    """Mean raw score of the judged games; NaN without them."""
    return mean_score(self.final) if self.final else math.nan

  def source_result(self, stage: str, source: str) -> Optional[ResultRecord]:
    """A stage's evaluation on a source task: the last, of most games."""
    found = [r for r in self.others
             if (r.stage.split('/')[0], r.task) == (stage, source)]
    return (max(found, key=lambda r: (r.step, len(r.seeds))) if found
            else None)

  @property
  def state(self) -> str:
    """`done`, `failed` or `missing`."""
    if self.final is not None:
      return 'done'
    return 'failed' if self.failures else 'missing'


@dataclasses.dataclass(frozen=True)
class Experiment:
  """All runs that were asked for, whether they are there or not.

  Attributes:
    paths: the folders.
    records: what each folder says of itself.
    methods: of all folders, in the order of the first that names them.
    targets: likewise.
    seeds: of all folders, ascending.
    runs: all that were asked for or found.
  """
  paths: Tuple[str, ...]
  records: Tuple[ExperimentRecord, ...]
  methods: Tuple[MethodRecord, ...]
  targets: Tuple[TargetRecord, ...]
  seeds: Tuple[int, ...]
  runs: Mapping[RunKey, ComparedRun]

  @property
  def name(self) -> str:
    """The experiment's, for people."""
    return ' + '.join(dict.fromkeys(record.name for record in self.records))

  def of(self, method: str, target: str) -> List[ComparedRun]:
    """The runs of a method on a target, by seed."""
    return sorted((run for run in self.runs.values()
                   if run.key[:2] == (method, target)),
                  key=lambda run: run.key.seed)

  def done(self, method: str, target: str) -> List[ComparedRun]:
    """Those of them that have a judged evaluation."""
    return [run for run in self.of(method, target) if run.final]

  def in_state(self, state: str) -> List[ComparedRun]:
    """All runs in a state; see `ComparedRun.state`."""
    return [run for run in self.runs.values() if run.state == state]

  def label(self, method: str) -> str:
    """What people call a method."""
    return next(m.label for m in self.methods if m.name == method)


def mean_score(record: ResultRecord) -> float:
  """Mean raw score of an evaluation's games."""
  return float(np.mean(record.returns))


def read_experiment(paths: Sequence[str]) -> Experiment:
  """Reads folders of results, and puts them together.

  Args:
    paths: one folder or more.

  Raises:
    UsageError: no folder, or one twice; a folder without an experiment.
    SettingsChangedError: folders of different settings; shows the difference.
    DataFileError: a damaged file, a score that is not finite, a run of a method
      or target that the experiment does not have, the same run twice with
      other scores.
  """
  if not paths:
    raise UsageError('No results are named. Expected at least one folder with '
                     'an experiment.json.')
  folders = [ExperimentResults(path) for path in paths]
  if len({folder.path for folder in folders}) < len(folders):
    raise UsageError('The same folder of results is named twice: '
                     f'{", ".join(paths)}. Expected different ones.')
  for folder in folders:
    if not folder.exists():
      raise UsageError(
          f'{folder.path} holds no results of an experiment: it has no '
          'experiment.json. Expected the --results_dir of an experiment.')
  records = [folder.record() for folder in folders]
  _check_settings(paths, records)
  methods = {m.name: m for record in records for m in record.methods}
  targets = {t.name: t for record in records for t in record.targets}
  asked = list(dict.fromkeys(run for record in records
                             for run in record.runs()))
  runs: Dict[RunKey, ComparedRun] = {}
  for folder in folders:
    for key, run in _read_folder(folder, methods, targets).items():
      runs[key] = _join(folder.path, runs[key], run) if key in runs else run
  for key in asked:
    runs.setdefault(key, ComparedRun(key))
  order = {name: n for n, name in enumerate([*methods, *targets])}
  runs = dict(sorted(runs.items(), key=lambda item: (
      order[item[0].target], order[item[0].method], item[0].seed)))
  return Experiment(
      tuple(paths), tuple(records), tuple(methods.values()),
      tuple(targets.values()), tuple(sorted({key.seed for key in runs})), runs)


def _check_settings(paths: Sequence[str],
                    records: Sequence[ExperimentRecord]) -> None:
  """Methods and targets may be added; what two folders share must be equal."""
  first = records[0].identity()
  for path, record in zip(paths[1:], records[1:]):
    changes = [change for change in compare_settings(first, record.identity())
               if change.name != 'name' and not (
                   None in (change.old, change.new)
                   and change.name.startswith(('method ', 'target ')))]
    if changes:
      lines = '\n'.join(f'  {change}' for change in changes[:20])
      raise SettingsChangedError(
          f'{path} holds results of other settings than {paths[0]}:\n{lines}\n'
          'Expected folders of one protocol, which may differ in methods, '
          f'targets and seeds; found {len(changes)} other differences. Make a '
          'report of each.')


def _read_folder(folder: ExperimentResults,
                 methods: Mapping[str, MethodRecord],
                 targets: Mapping[str, TargetRecord]
                 ) -> Dict[RunKey, ComparedRun]:
  """All runs of which a folder holds anything."""
  results: Dict[RunKey, List[ExperimentResult]] = {}
  for number, line in enumerate(folder.results()):
    _check_line(folder.path, number, line, methods, targets)
    results.setdefault(line.run, []).append(line)
  costs = {line.run: line for line in folder.costs()}
  failures: Dict[RunKey, List[RunFailure]] = {}
  for failure in folder.failures():
    failures.setdefault(failure.run, []).append(failure)
  runs = {}
  for key in {**results, **costs, **failures}:
    if key.method in methods and key.target in targets:
      runs[key] = _run(key, methods[key.method].stage, results.get(key, []),
                       folder.metrics(key), costs.get(key),
                       failures.get(key, []))
  return runs


def _check_line(path: str, number: int, line: ExperimentResult,
                methods: Mapping[str, MethodRecord],
                targets: Mapping[str, TargetRecord]) -> None:
  where = f'{path}/results.jsonl'
  for kind, name, known in (('method', line.method, methods),
                            ('target', line.target, targets)):
    if name not in known:
      raise DataFileError(
          where, f'a result of the {kind} {name!r}, which experiment.json does '
          f'not have. Expected one of: {", ".join(known)}.', record=number)
  if not np.all(np.isfinite(line.result.returns)):
    raise DataFileError(
        where, f'{line.run}: a score is not finite, found '
        f'{list(line.result.returns)}. Expected a number from each game.',
        record=number, hint='Evaluate the run again, or remove the line.')


def _run(key: RunKey, stage: str, lines: Sequence[ExperimentResult],
         rows: Sequence[Mapping[str, object]], cost: Optional[RunCost],
         failures: Sequence[RunFailure]) -> ComparedRun:
  """Sorts a run's evaluations into the judged one, the curve and the rest."""
  final = None
  curve: Dict[int, ResultRecord] = {}
  others: List[ResultRecord] = []
  for line in lines:
    result = line.result
    if line.final and result.task == key.target:
      final = result
    if result.task == key.target and _kind(result.stage) == _kind(stage):
      curve[result.env_steps] = result
    elif not (line.final and result.task == key.target):
      others.append(result)
  if final is not None:
    curve[final.env_steps] = final
  return ComparedRun(
      key, final, tuple(curve[step] for step in sorted(curve)), tuple(others),
      StageFiles(str(key), stage, key.target, rows=tuple(rows)), cost,
      tuple(failures))


def _kind(stage: str) -> str:
  """`finetune` of `finetune/Krull`."""
  return stage.split('/')[0]


def _join(path: str, first: ComparedRun, second: ComparedRun) -> ComparedRun:
  """The same run from two folders: equal scores once, others refused."""
  if first.final is None or second.final is None:
    better, worse = ((second, first) if first.final is None
                     else (first, second))
    return dataclasses.replace(better, failures=(*worse.failures,
                                                 *better.failures))
  if first.final.returns != second.final.returns:
    raise DataFileError(
        path, f'{first.key} is in two folders with other scores: '
        f'{list(first.final.returns)} and {list(second.final.returns)}.',
        hint='A run is made once; expected equal scores. Leave a folder out.')
  return first
