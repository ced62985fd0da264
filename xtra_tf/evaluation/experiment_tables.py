"""The tables of an experiment's report."""

import math
from typing import Any, List, Optional, Sequence

import numpy as np

from xtra_tf.evaluation import formatting
from xtra_tf.evaluation.aggregates import Interval
from xtra_tf.evaluation.comparison import random_and_human
from xtra_tf.evaluation.experiment_curves import (
  Forgetting,
  Transfer,
  distinct_scores,
)
from xtra_tf.evaluation.experiment_runs import Experiment
from xtra_tf.evaluation.experiment_scores import Scores, TargetScore
from xtra_tf.evaluation.formatting import MISSING, Table

# Series of the agreement with each source task's teacher: while distilling, and
# while finetuning.
AGREEMENT = ('student/agreement/', 'transfer/agreement/')


def _range(interval: Optional[Interval], few: str) -> str:
  if interval is None:
    return few
  return (f'{formatting.score(interval.low)} to '
          f'{formatting.score(interval.high)}')


def few_runs(score: TargetScore) -> str:
  """Why a score has no interval."""
  count = len(score.scores)
  if not count:
    return 'not run'
  if score.models < count:
    return f'{formatting.counted(score.models, "model")}, no interval'
  return f'{formatting.counted(count, "run")}, no interval'


def estimate(interval: Optional[Interval]) -> str:
  """An estimate with its interval, e.g. `1.23 (1.04 to 1.41)`."""
  if interval is None or not math.isfinite(interval.estimate):
    return MISSING
  text = two_decimals(interval.estimate)
  if math.isfinite(interval.low) and math.isfinite(interval.high):
    text += f' ({two_decimals(interval.low)} to {two_decimals(interval.high)})'
  return text


def two_decimals(value: float) -> str:
  """E.g. 1.23, and 0.00 rather than -0.00."""
  return f'{round(value, 2) + 0.:.2f}'


def results(scores: Scores) -> Table:
  """Every method on every target."""
  rows = []
  for target in scores.experiment.targets:
    for method in scores.experiment.methods:
      score = scores.of(method, target)
      difference = score.difference
      rows.append([
          target.name, method.label, f'{len(score.scores)} of {score.asked}',
          formatting.score(score.mean),
          _range(score.interval, few_runs(score)),
          _ratio(score.improvement), _ratio(score.human_normalised),
          MISSING if difference is None else
          f'{difference.estimate:+,.1f} ({_range(difference, "")})',
          formatting.score(score.paper)])
  return Table('results', (
      'Target', 'Method', 'Runs', 'Mean', '95 % interval over runs',
      'Improvement', 'Human-normalised',
      'Minus EfficientZero (95 % interval)', 'Paper'), rows, 2)


def _ratio(value: Optional[float]) -> str:
  return MISSING if value is None else two_decimals(value)


def improvements(scores: Scores) -> Table:
  """Every method over all targets, against EfficientZero."""
  rows = []
  for method in scores.experiment.methods:
    found = scores.aggregate(method)
    mean, median = found.improvement or (None, None)
    rows.append([method.label, str(len(found.seeds)), estimate(mean),
                 estimate(median), estimate(found.probability)])
  return Table('improvements', (
      'Method', 'Seeds', 'Mean improvement', 'Median improvement',
      'Probability of improvement'), rows)


def human_normalised(scores: Scores) -> Optional[Table]:
  """Every method over all targets, against a human; None where unknown."""
  found = [(method.label, scores.aggregate(method))
           for method in scores.experiment.methods]
  if not any(aggregate.human for _, aggregate in found):
    return None
  return Table('human_normalised', (
      'Method', 'Seeds', 'Mean', 'Median', 'Interquartile mean',
      'Optimality gap'), [
          [label, str(len(aggregate.seeds)), *(
              estimate(aggregate.human.get(name))
              for name in ('mean', 'median', 'iqm', 'optimality_gap'))]
          for label, aggregate in found])


def transfer(rows: Sequence[Transfer]) -> Table:
  """Jump-start and time to threshold."""
  return Table('transfer', (
      'Target', 'Method', 'Runs', 'First evaluation at', 'Score there',
      'Jump-start', "EfficientZero's final score",
      'Mean reaches it after', 'Runs that reach it'), [
          [row.target, row.method.label, str(row.runs),
           formatting.number(row.first_step), formatting.score(row.first_score),
           MISSING if row.jump_start is None else f'{row.jump_start:+,.1f}',
           formatting.score(row.threshold),
           'not reached' if row.reached_after is None and row.threshold
           is not None else formatting.number(row.reached_after),
           f'{row.reached_by} of {row.runs}' if row.threshold is not None
           else MISSING] for row in rows], 2)


def task_weights(experiment: Experiment) -> Optional[Table]:
  """Last weight and mean cosine of each source task; None if not recorded."""
  rows = []
  for method in experiment.methods:
    for target in experiment.targets:
      for source in target.sources:
        weights, cosines = [], []
        for run in experiment.of(method.name, target.name):
          last = run.files.series(f'transfer/weight/{source}')[1]
          weights += [float(last[-1])] if len(last) else []
          found = run.files.series(f'transfer/cosine/{source}')[1]
          cosines += [float(found.mean())] if len(found) else []
        if weights or cosines:
          rows.append([method.label, target.name, source, str(len(weights)),
                       _span(weights), _span(cosines)])
  if not rows:
    return None
  return Table('task_weights', (
      'Method', 'Target', 'Source task', 'Runs',
      'Last weight, mean (lowest to highest run)',
      'Mean cosine, mean (lowest to highest run)'), rows, 3)


def _span(values: Sequence[float]) -> str:
  if not values:
    return MISSING
  text = two_decimals(float(np.mean(values)))
  return text if len(values) == 1 else (
      f'{text} ({two_decimals(min(values))} to {two_decimals(max(values))})')


def forgetting(rows: Sequence[Forgetting]) -> Optional[Table]:
  """Source tasks before and after finetuning; None if not evaluated."""
  if not rows:
    return None
  return Table('forgetting', (
      'Method', 'Target', 'Source task', 'Random play', 'Student before',
      'Finetuned after', 'Change (95 % interval over runs)'), [
          [row.method.label, row.target, row.source,
           formatting.score(random_and_human(row.source)[0]),
           _mean_of(row.before), _mean_of(row.after), _change(row)]
          for row in rows], 3)


def _mean_of(mean: Optional[Any]) -> str:
  return MISSING if mean is None else (
      f'{formatting.score(mean[0])} (n = {mean[1]})')


def _change(row: Forgetting) -> str:
  if row.change is None:
    return ('student not evaluated' if row.before is None else
            'fewer than 3 runs')
  return f'{row.change.estimate:+,.1f} ({_range(row.change, "")})'


def teachers(experiment: Experiment) -> Table:
  """What each source task's teacher and the student reach on it."""
  rows = []
  for source in sources(experiment):
    random, human = random_and_human(source)
    scored = [distinct_scores(experiment, stage, source)
              for stage in ('teacher', 'student')]
    returns = _last(experiment, f'data/mean_return/{source}')
    rows.append([source, formatting.score(random),
                 formatting.score(float(np.mean(returns))) if returns
                 else 'not recorded',
                 *(f'{formatting.score(float(np.mean(x)))} (n = {len(x)})'
                   if x else 'not evaluated' for x in scored),
                 formatting.score(human),
                 *(_percent(_last(experiment, f'{prefix}{source}'))
                   for prefix in ('teacher/action_played/', AGREEMENT[0]))])
  return Table('teachers', (
      'Source task', 'Random play', "Data's mean return", 'Teacher', 'Student',
      'Human or scripted player', "Teacher's best action was played",
      'Student agrees'), rows)


def _last(experiment: Experiment, tag: str) -> List[float]:
  """The last value of a series in each run that has it."""
  found = [run.files.series(tag)[1] for run in experiment.runs.values()]
  return [float(values[-1]) for values in found if len(values)]


def _percent(shares: Sequence[float]) -> str:
  return f'{100 * np.mean(shares):.0f} %' if shares else 'not recorded'


def sources(experiment: Experiment) -> List[str]:
  """All source tasks, in the order of the targets."""
  return list(dict.fromkeys(source for target in experiment.targets
                            for source in target.sources))
