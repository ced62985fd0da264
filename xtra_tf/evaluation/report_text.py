"""The sentences of the report that depend on the run."""

from typing import Any, List, Mapping, Optional

from xtra_tf.evaluation import formatting, reference_scores
from xtra_tf.evaluation.comparison import PAPER_METHODS, Comparison
from xtra_tf.evaluation.report_tables import NAMES, table_name
from xtra_tf.evaluation.run_files import RunFiles

_STATES = {'missing': 'was not run', 'running': 'has not ended',
           'stopped': 'was stopped before its end'}


def headline(run: RunFiles, comparison: Comparison) -> str:
  """What came out, in two or three sentences."""
  finetune = run.stage('finetune', run.target)
  known = [f'{_lower(NAMES[m.kind])} {formatting.score(m.mean)}'
           for m in comparison.methods if m.mean is not None]
  if not known:
    return ('No evaluation has been made yet, so there is no score to report.')
  after = (f'After {formatting.counted(finetune.env_steps, "environment step")}'
           ' on the target' if finetune.env_steps else 'In its evaluation')
  games = {len(m.record.returns) for m in comparison.methods if m.record}
  text = (f'{after}, the mean raw scores in {run.target} are: '
          f'{"; ".join(known)}. Each is a mean over '
          f'{" or ".join(f"{g}" for g in sorted(games))} '
          f'game{"" if games == {1} else "s"} of one training run.')
  return text + _difference(comparison)


def _lower(name: str) -> str:
  return name if name[1].isupper() or name.startswith('Eff') else (
      name[0].lower() + name[1:])


def _difference(comparison: Comparison) -> str:
  interval = comparison.difference
  if interval is None:
    return ''
  low, high = interval.low, interval.high
  verdict = ('so even for this pair of trained models the games do not tell '
             'them apart' if low <= 0 <= high else
             'so between these two trained models the difference is more than '
             'luck in the games; between the methods it need not be')
  return (f' Finetuned minus from scratch, over games with equal starts: '
          f'{formatting.score(interval.estimate)} (95 % of resampled game sets '
          f'from {formatting.score(low)} to {formatting.score(high)}), '
          f'{verdict}. With one training seed nothing follows about the '
          'methods.')


def scale_statement(run: RunFiles) -> str:
  """Says plainly how far from the paper this is."""
  steps = run.stage('finetune', run.target).env_steps
  part = (f"{formatting.percent(steps, 100_000)} of the paper's environment "
          'steps' if steps else "an unknown share of the paper's steps")
  if steps and steps >= 100_000:
    return ("This run took at least as many environment steps as the paper's "
            'runs. It is one seed of one target game all the same; the paper '
            'reports means of five seeds over fifteen. The numbers side by '
            'side:')
  return (f"The scale of this run is far below the paper's: {part}, one "
          'training seed instead of five, and a smaller network, search and '
          'batch where the table says so. Its scores show that all parts work '
          "together; they neither support nor contradict the paper's results, "
          'and are not to be compared with its tables. The numbers side by '
          'side:')


def not_run(run: RunFiles, comparison: Comparison) -> List[str]:
  """What a full study would have and this run has not."""
  items = []
  for stage in run.stages.values():
    if stage.state in _STATES:
      items.append(f'Stage {stage.name} {_STATES[stage.state]}.')
  for method in comparison.methods:
    if method.record is None:
      items.append(f'There is no final evaluation of: {NAMES[method.kind]}.')
  table = comparison.paper_table
  if table:
    done = {'XTRA', 'EfficientZero', 'XTRA, zero-shot',
            *(PAPER_METHODS[m.kind] for m in comparison.methods)}
    left = [m for m in reference_scores.methods(table)
            if m not in done and m not in ('random', 'human')]
    items.append(f"Methods of the paper's {table_name(table)} that were not "
                 f'run: {"; ".join(left)}.')
    missing = _missing_sources(run, table)
    if missing:
      items.append("Source games of the paper's setting that were left out: "
                   f'{formatting.listing(missing)}.')
  items.append('Training seeds: one. The paper has five, so there is no '
               'interval over seeds anywhere in this report.')
  games = [g for name in (reference_scores.XTRA_TABLE_1,
                          reference_scores.XTRA_TABLE_2)
           for g in reference_scores.games(name) if g != run.target]
  items.append(f'Other target games of the paper: '
               f'{formatting.listing(list(dict.fromkeys(games)))}; hence no '
               'aggregate over games.')
  return items


def _missing_sources(run: RunFiles, table: str) -> List[str]:
  if table == reference_scores.XTRA_TABLE_1:
    group = next(row.group for row in reference_scores.table(table)
                 if row.task == run.target)
    full = reference_scores.games(table, group)
  else:
    from xtra_tf.tasks import TASK_SETS
    full = list(TASK_SETS['diverse_pretraining'])
  return [g for g in full if g not in run.sources and g != run.target]


def incidents(run: RunFiles) -> List[str]:
  """What went wrong and was dealt with, what is missing in the files."""
  items = [f'Missing or damaged: {problem}' for problem in run.problems]
  record = run.record
  if record.get('state') == 'stopped':
    items.append(f'The run was stopped: {record.get("exit_reason")}')
  sessions = len(record.get('sessions', ()))
  if sessions > 1:
    items.append(f'The run was made in {sessions} sessions; it went on from '
                 'its last save each time.')
  for change in record.get('settings_history', ()):
    for item in change.get('changes', ()):
      items.append(f'Settings were changed on {change.get("time")}: '
                   f'{item["name"]} from {item["old"]} to {item["new"]}.')
  items += [_incident('run', incident) for incident in run.incidents]
  for stage in run.stages.values():
    items += [_incident(stage.name, incident) for incident in stage.incidents]
    for tag, count in stage.nulls().items():
      items.append(f'{stage.name}: {tag} was not finite in '
                   f'{formatting.counted(count, "row")} of its metrics.')
  return items


def _incident(where: str, incident: Mapping[str, Any]) -> str:
  facts = ', '.join(f'{key} {value}' for key, value in incident.items()
                    if key not in ('kind', 'time'))
  return (f'{where}, {incident.get("time", "at an unknown time")}: '
          f'{incident.get("kind", "incident")} ({facts}).')


def incomplete(run: RunFiles, comparison: Comparison) -> str:
  """Why the run is not complete; empty if it is.

  A run writes its report before it is marked as done, so that its state alone
  does not tell.
  """
  if run.record.get('state') == 'stopped':
    return f'it was stopped: {run.record.get("exit_reason")}'
  left = [s.name for s in run.stages.values() if s.state in _STATES]
  if left:
    return f'{formatting.listing(left)} not done'
  missing = [NAMES[m.kind] for m in comparison.methods if m.record is None]
  if missing:
    return f'no final evaluation of: {formatting.listing(missing)}'
  return '' if run.record else 'run.json is missing or damaged'


def no_offline_returns(run: RunFiles) -> str:
  """Why the returns of the offline data cannot be drawn."""
  played = [run.stage('data', task) for task in run.sources]
  if played and all(stage.state == 'given' for stage in played):
    return ('The user brought the offline data; their returns are not among '
            "the run's files.")
  if any(stage.state == 'done' for stage in played):
    return ('No game ended while the offline data were made: all are cut where '
            'the collection stopped, so that no return is known.')
  return 'The offline data have not been made yet.'


def duration_of(run: RunFiles) -> Optional[str]:
  """Wall clock of all stages and evaluations on the target together."""
  return formatting.duration(run.seconds) if run.seconds else None
