"""How an experiment was made: runs, failures, costs, settings, versions."""

from typing import Any, Dict, List, Optional, Tuple

from xtra_tf.evaluation import formatting
from xtra_tf.evaluation.experiment_runs import ComparedRun, Experiment
from xtra_tf.evaluation.formatting import MISSING, Table


def _names(experiment: Experiment, run: ComparedRun) -> List[str]:
  return [run.key.target, experiment.label(run.key.method), str(run.key.seed)]


def runs(experiment: Experiment) -> Table:
  """Every run that was asked for or found, and what became of it."""
  rows = []
  for run in experiment.runs.values():
    final, cost = run.final, run.cost
    rows.append([
        *_names(experiment, run), run.state,
        formatting.score(run.score),
        *((str(len(final.returns)), str(sum(final.truncated)),
           formatting.number(final.env_steps), formatting.number(final.step))
          if final else (MISSING,) * 4),
        formatting.duration(sum(cost.seconds.values())) if cost else MISSING])
  return Table('runs', (
      'Target', 'Method', 'Seed', 'State', 'Score', 'Games', 'Truncated',
      'Environment steps', 'Gradient steps', 'Own wall clock'), rows, 4)


def games(experiment: Experiment) -> Table:
  """Every game of every judged evaluation, for whoever wants other numbers."""
  rows = []
  for run in experiment.runs.values():
    if run.final is not None:
      final = run.final
      for seed, score, length, cut in zip(final.seeds, final.returns,
                                          final.lengths, final.truncated):
        rows.append([*_names(experiment, run), str(seed),
                     formatting.score(score), str(length),
                     'yes' if cut else 'no'])
  return Table('games', ('Target', 'Method', 'Seed', 'Seed of the game',
                         'Raw score', 'Agent steps', 'Truncated'), rows, 2)


def failures(experiment: Experiment) -> Optional[Table]:
  """Every attempt that ended in an error; None without."""
  rows = []
  for run in experiment.runs.values():
    for failure in run.failures:
      rows.append([
          *_names(experiment, run), failure.stage or MISSING,
          str(failure.exit_code), failure.time or MISSING, failure.message,
          'finished since' if run.final else 'not finished'])
  if not rows:
    return None
  return Table('failures', ('Target', 'Method', 'Seed', 'Stage', 'Exit code',
                            'Time (UTC)', 'Last message', 'Since then'), rows,
               8)


def missing(experiment: Experiment) -> List[str]:
  """Runs that were asked for and have no judged evaluation, as words."""
  found: Dict[Tuple[str, str], Dict[str, List[str]]] = {}
  for run in experiment.runs.values():
    if run.final is None:
      found.setdefault(run.key[:2], {}).setdefault(run.state, []).append(
          str(run.key.seed))
  items = []
  for (method, target), states in found.items():
    for state, seeds in states.items():
      many = 's' if len(seeds) > 1 else ''
      what = f'{"were" if many else "was"} not run'
      if state == 'failed':
        what = 'failed'
      items.append(f'{experiment.label(method)} on {target}: seed{many} '
                   f'{formatting.listing(seeds)} {what}.')
  return items


def costs(experiment: Experiment) -> Table:
  """Wall clock by method, and of the stages that runs share, each once."""
  rows, total = [], 0.
  for method in experiment.methods:
    found = [run.cost for run in experiment.runs.values()
             if run.key.method == method.name and run.cost]
    seconds = [sum(cost.seconds.values()) for cost in found]
    total += sum(seconds)
    rows.append([
        method.label, str(len(found)),
        formatting.duration(sum(seconds)) if found else MISSING,
        formatting.duration(sum(seconds) / len(found)) if found else MISSING,
        _counts([cost.env_steps for cost in found]),
        _counts([cost.updates for cost in found])])
  runs_made = sum(int(row[1]) for row in rows)
  for kind, parts in _shared_seconds(experiment).items():
    total += sum(parts)
    rows.append([f'shared: {kind}', str(len(parts)),
                 formatting.duration(sum(parts)),
                 formatting.duration(sum(parts) / len(parts)), '', ''])
  rows.append(['all', str(runs_made),
               formatting.duration(total), '', '', ''])
  return Table('costs', (
      'Method or stage', 'Runs', 'Wall clock', 'A run, mean',
      'Environment steps a run',
      'Gradient steps a run'), rows)


def _shared_seconds(experiment: Experiment) -> Dict[str, List[float]]:
  """{kind of stage: seconds of each of the different ones} that runs share."""
  found = {(stage, cost.inherited.get(stage, '')): seconds
           for run in experiment.runs.values() for cost in [run.cost] if cost
           for stage, seconds in cost.shared_seconds.items()}
  kinds: Dict[str, List[float]] = {}
  for (stage, _), seconds in found.items():
    kinds.setdefault(stage.split('/')[0], []).append(seconds)
  return kinds


def _counts(values: List[int]) -> str:
  different = sorted(set(values))
  if not different:
    return MISSING
  if len(different) == 1:
    return f'{different[0]:,}'
  return f'{different[0]:,} to {different[-1]:,}'


def differences(experiment: Experiment) -> Table:
  """What each method binds otherwise than the protocol."""
  return Table('methods', ('Method', 'Judged model', 'Gin files',
                           'Settings of its own'), [
      [method.label, method.stage, '\n'.join(method.gin_files) or MISSING,
       '\n'.join(f'{name} = {value}' for name, value in sorted(
           method.differences.items())) or 'none']
      for method in experiment.methods], 4)


def targets(experiment: Experiment) -> Table:
  """The targets and their source tasks."""
  return Table('targets', ('Target', 'Source tasks', 'Gin file'), [
      [target.name, formatting.listing(target.sources) or MISSING,
       target.task_set or MISSING] for target in experiment.targets], 3)


def versions(experiment: Experiment) -> Table:
  """Versions of Python and packages, folder by folder where they differ."""
  names = list(dict.fromkeys(name for record in experiment.records
                             for name in record.versions))
  rows = []
  for name in names:
    found = list(dict.fromkeys(str(record.versions.get(name) or 'not installed')
                               for record in experiment.records))
    rows.append([name, ' / '.join(found)])
  return Table('versions', ('Package', 'Version'), rows, 2)


def machine(record: Any) -> str:
  """A folder's machine, in a line.

  Args:
    record: an ExperimentRecord.
  """
  facts = record.machine
  parts = [str(facts[name]) for name in ('system', 'processor_model')
           if facts.get(name)]
  if facts.get('processors'):
    parts.append(formatting.counted(int(facts['processors']), 'processor'))
  if facts.get('memory_bytes'):
    parts.append(f'{facts["memory_bytes"] / 2 ** 30:.1f} GiB of memory')
  return ', '.join(parts) or 'not recorded'
