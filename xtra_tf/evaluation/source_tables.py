"""Tables of the source tasks: how good each teacher is, what became of it."""

from typing import Optional

import numpy as np

from xtra_tf.evaluation import formatting
from xtra_tf.evaluation.comparison import (
  interval_over_games,
  paired_difference,
  random_and_human,
)
from xtra_tf.evaluation.formatting import MISSING, Table
from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.evaluation.run_files import RunFiles, StageFiles

# Stages whose models play source tasks, in the order in which they are made.
MODELS = ('teacher', 'student', 'finetune')


def data_return(run: RunFiles, task: str) -> Optional[float]:
  """Mean raw return of a source task's data; None where no game is whole."""
  fact = run.stage('teacher', task).facts.get('data_mean_return')
  if fact is not None:
    return float(fact)
  returns = run.stage('data', task).series(f'collect/{task}/return_raw')[1]
  return float(returns.mean()) if len(returns) else None


def scores(run: RunFiles) -> Table:
  """Each model's score on each source task, beside data and references."""
  rows = []
  for task in run.sources:
    records = {kind: run.source_result(kind, task) for kind in MODELS}
    random, human = random_and_human(task)
    change = paired_difference(records['finetune'], records['student'])
    rows.append([
        task, formatting.score(random), formatting.score(
            data_return(run, task)),
        *(_mean(records[kind]) for kind in MODELS),
        MISSING if change is None else
        f'{change.estimate:+,.1f} ({formatting.score(change.low)} to '
        f'{formatting.score(change.high)})',
        formatting.score(human)])
  return Table('source_scores', (
      'Source game', 'Random play', "Data's mean return", 'Teacher', 'Student',
      'Finetuned', 'Finetuned minus student',
      'Human or scripted player'), rows)


def _mean(record: Optional[ResultRecord]) -> str:
  """Mean, interval over games where there are enough, number of games."""
  if record is None:
    return 'not evaluated'
  mean = formatting.score(float(np.mean(record.returns)))
  games = formatting.counted(len(record.returns), 'game')
  interval = interval_over_games(record.returns)
  if interval is None:
    return f'{mean} ({games})'
  return (f'{mean} ({formatting.score(interval.low)} to '
          f'{formatting.score(interval.high)}, {games})')


def agreement(run: RunFiles) -> Table:
  """How data, student and finetuned model agree with each teacher."""
  student, finetuned = run.stage('student'), run.stage('finetune', run.target)
  rows = []
  for task in run.sources:
    played = run.stage('teacher', task).facts.get('teacher_agreement')
    rows.append([
        task, f'{100 * played:.0f} %' if played is not None else MISSING,
        _course(student, f'transfer/agreement/{task}', percent=True),
        _course(student, f'transfer/teacher_kl/{task}'),
        _course(finetuned, f'transfer/agreement/{task}', percent=True),
        _course(finetuned, f'transfer/teacher_kl/{task}')])
  return Table('agreement', (
      'Source game', 'Its best action was played in the data',
      'Student has the same best action, first to last',
      'KL from teacher to student, nats', 'Finetuned model, first to last',
      'KL from teacher to it, nats'), rows)


def _course(stage: StageFiles, tag: str, percent: bool = False) -> str:
  """First and last value of a series."""
  values = stage.series(tag)[1]
  if not len(values):
    return 'not recorded'
  if percent:
    return f'{100 * values[0]:.0f} % to {100 * values[-1]:.0f} %'
  return f'{values[0]:.2f} to {values[-1]:.2f}'
