"""Curves over environment steps, and what is read off them.

Legend: R training runs (seeds), P points of a curve.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.evaluation import experiment_statistics as statistics
from xtra_tf.evaluation import formatting
from xtra_tf.evaluation.aggregates import MINIMUM_SAMPLES, Interval
from xtra_tf.evaluation.experiment_records import MethodRecord
from xtra_tf.evaluation.experiment_runs import (
  ComparedRun,
  Experiment,
  mean_score,
)
from xtra_tf.evaluation.experiment_scores import Scores, distinct_models
from xtra_tf.evaluation.experiment_statistics import DRAWS, Draws

_GAMES_SMOOTHED = 10
_GRID = 30  # points of a curve of training games


class SeedCurve(NamedTuple):
  """One run's points."""
  seed: int
  steps: np.ndarray  # [P'], environment steps
  values: np.ndarray  # [P']


class Curve(NamedTuple):
  """One method's curve on one target."""
  method: MethodRecord
  target: str
  seeds: Tuple[SeedCurve, ...]
  steps: np.ndarray  # [P], within what all runs cover
  mean: np.ndarray  # [P], over runs
  low: Optional[np.ndarray]  # [P], of the interval; None below 3 models
  high: Optional[np.ndarray]
  interpolated: bool  # runs were evaluated at different steps


class Transfer(NamedTuple):
  """How much sooner a method is good on a target."""
  method: MethodRecord
  target: str
  first_step: Optional[float]  # environment steps of the first evaluation
  first_score: Optional[float]  # mean over runs
  jump_start: Optional[float]  # minus EfficientZero's at its first evaluation
  threshold: Optional[float]  # EfficientZero's final mean
  reached_after: Optional[float]  # environment steps; None: not reached
  reached_by: int  # runs that reach it
  runs: int  # runs with a curve


def _evaluations(run: ComparedRun) -> SeedCurve:
  """A run's evaluations on the target, by environment steps."""
  points = {float(step): value for step, value in zip(
      *run.files.series(f'eval/{run.key.target}/return_mean', 'env_steps'))}
  points.update({float(r.env_steps): mean_score(r) for r in run.curve})
  steps = np.array(sorted(points), np.float64)
  return SeedCurve(run.key.seed, steps,
                   np.array([points[step] for step in steps], np.float64))


def _training_games(run: ComparedRun) -> SeedCurve:
  """Mean of the last ten training games, when each ended."""
  steps, returns = run.files.series(f'collect/{run.key.target}/return_raw',
                                    'env_steps')
  return SeedCurve(run.key.seed, steps, np.array(
      formatting.smooth(list(returns), _GAMES_SMOOTHED), np.float64))


def evaluation_curve(experiment: Experiment, method: MethodRecord, target: str,
                     draws: Draws = DRAWS) -> Optional[Curve]:
  """Evaluations over environment steps; None where no run has one.

  Where runs were not evaluated at the same steps, each is interpolated linearly
  within the range that all of them cover.
  """
  found = [_evaluations(run) for run in experiment.of(method.name, target)]
  return _curve(experiment, method, target, found, None, draws)


def training_curve(experiment: Experiment, method: MethodRecord, target: str,
                   draws: Draws = DRAWS) -> Optional[Curve]:
  """Training games over environment steps; None where none was recorded."""
  found = [_training_games(run) for run in experiment.of(method.name, target)]
  return _curve(experiment, method, target, found, _GRID, draws)


def _curve(experiment: Experiment, method: MethodRecord, target: str,
           found: Sequence[SeedCurve], grid: Optional[int], draws: Draws
           ) -> Optional[Curve]:
  """Puts runs on one grid of steps.

  Args:
    experiment: whose.
    method: of the runs.
    target: of the runs.
    found: the runs' points; runs without any are left out.
    grid: points of the common grid; None: all steps of all runs.
    draws: of the intervals.
  """
  seeds = tuple(curve for curve in found if len(curve.steps))
  if not seeds:
    return None
  begin = max(curve.steps[0] for curve in seeds)
  end = min(curve.steps[-1] for curve in seeds)
  every = np.unique(np.concatenate([curve.steps for curve in seeds]))
  steps = every[(every >= begin) & (every <= end)]
  if grid is not None and begin < end:
    steps = np.linspace(begin, end, grid)
  values = np.array([np.interp(steps, curve.steps, curve.values)
                     for curve in seeds])
  low = high = None
  models = min(len(seeds), distinct_models(experiment, method, target))
  if models >= MINIMUM_SAMPLES and len(steps):
    intervals = statistics.curve_intervals(
        f'{method.label} on {target}', values, draws)
    low, high = (np.array([getattr(i, side) for i in intervals])
                 for side in ('low', 'high'))
  mean = values.mean(axis=0) if len(steps) else np.array([])
  different = any(not np.array_equal(curve.steps, seeds[0].steps)
                  for curve in seeds)
  return Curve(method, target, seeds, steps, mean, low, high,
               different and grid is None)


def transfer(scores: Scores, curves: Sequence[Curve], target: str
             ) -> List[Transfer]:
  """Jump-start and time to EfficientZero's final score (Taylor & Stone 2009).

  Args:
    scores: of the experiment.
    curves: evaluation curves of the methods on the target.
    target: which one.
  """
  threshold = scores.baseline_mean(target)
  base = [c for c in curves if scores.baseline
          and c.method.name == scores.baseline.name and len(c.steps) > 1]
  rows = []
  for curve in curves:
    if len(curve.steps) < 2:
      continue
    jump = float(curve.mean[0] - base[0].mean[0]) if base else None
    reached = [first_reach(seed.steps, seed.values, threshold)
               for seed in curve.seeds]
    rows.append(Transfer(
        curve.method, target, float(curve.steps[0]), float(curve.mean[0]),
        jump, threshold, first_reach(curve.steps, curve.mean, threshold),
        sum(step is not None for step in reached), len(curve.seeds)))
  return rows


def first_reach(steps: np.ndarray, values: np.ndarray,
                threshold: Optional[float]) -> Optional[float]:
  """The first of the steps at which a curve is at a threshold or above.

  Args:
    steps: [P].
    values: [P].
    threshold: None: no step.

  Returns:
    A step at which there is a point (nothing is interpolated), or None.
  """
  if threshold is None:
    return None
  above = np.flatnonzero(values >= threshold)
  return float(steps[above[0]]) if len(above) else None


class Forgetting(NamedTuple):
  """A source task before finetuning and after it."""
  method: MethodRecord
  target: str
  source: str
  before: Optional[Tuple[float, int]]  # mean score of the student, runs
  after: Optional[Tuple[float, int]]  # mean score of the finetuned model, runs
  change: Optional[Interval]  # after - before of the same seeds; None below 3


def source_scores(experiment: Experiment, stage: str, source: str,
                  target: Optional[str] = None, method: Optional[str] = None
                  ) -> Dict[Tuple[str, int], float]:
  """Mean scores on a source task, as evaluated with a stage's model.

  Args:
    experiment: whose.
    stage: `teacher`, `student`, `finetune`, ...
    source: the task that was played.
    target: only runs on this target.
    method: only runs of this method.

  Returns:
    {(target, seed): score}.
  """
  found = {}
  for key, run in experiment.runs.items():
    if target not in (None, key.target) or method not in (None, key.method):
      continue
    record = run.source_result(stage, source)
    if record is not None:
      found[key.target, key.seed] = mean_score(record)
  return found


def distinct_scores(experiment: Experiment, stage: str, source: str
                    ) -> List[float]:
  """As `source_scores`, but once for each model that runs share.

  Args:
    experiment: whose.
    stage: `teacher`, `student`, `finetune`, ...
    source: the task that was played.

  Returns:
    Mean scores of the different models.
  """
  found = {}
  for run in experiment.runs.values():
    record = run.source_result(stage, source)
    if record is not None:
      # Of whichever run has played: those that take the stage over repeat it.
      found[record.run, record.stage, record.seeds] = mean_score(record)
  return list(found.values())


def forgetting(experiment: Experiment, draws: Draws = DRAWS
               ) -> List[Forgetting]:
  """All source tasks on which a finetuned model was evaluated."""
  rows = []
  for method in experiment.methods:
    for target in experiment.targets:
      for source in target.sources:
        after = source_scores(experiment, 'finetune', source, target.name,
                              method.name)
        if not after:
          continue
        before = source_scores(experiment, 'student', source, target.name,
                               method.name)
        pairs = [after[key] - before[key] for key in sorted(after)
                 if key in before]
        change = None
        if len(pairs) >= MINIMUM_SAMPLES:
          change = statistics.mean_interval(
              f'{method.label} on {source}', pairs, draws)
        rows.append(Forgetting(method, target.name, source, _mean(before),
                               _mean(after), change))
  return rows


def _mean(scores: Dict[Tuple[str, int], float]
          ) -> Optional[Tuple[float, int]]:
  if not scores:
    return None
  return float(np.mean(list(scores.values()))), len(scores)
