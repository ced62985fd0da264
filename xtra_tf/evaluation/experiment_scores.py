"""What an experiment's methods scored: by target, and over all targets.

Legend: R training runs (seeds), G games (targets).
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.evaluation import aggregates, reference_scores
from xtra_tf.evaluation import experiment_statistics as statistics
from xtra_tf.evaluation.aggregates import MINIMUM_SAMPLES, Interval
from xtra_tf.evaluation.comparison import paper_table, random_and_human
from xtra_tf.evaluation.experiment_records import MethodRecord, TargetRecord
from xtra_tf.evaluation.experiment_runs import Experiment
from xtra_tf.evaluation.experiment_statistics import DRAWS, Draws

BASELINE = 'EfficientZero'
# Methods of the paper by the gin file that makes ours.
_PAPER_METHODS = {
    'efficientzero': 'EfficientZero', 'scratch': 'EfficientZero',
    'efficientzero_l': 'EfficientZero-L', 'xtra': 'XTRA',
    'without_cross_task': 'XTRA without cross-task',
    'without_pretraining': 'XTRA without pretraining',
    'without_task_weights': 'XTRA without task weights',
    'behavior_cloning': 'Behavioral cloning, zero-shot',
    'behavioral_cloning': 'Behavioral cloning, zero-shot',
    'behaviour_cloning': 'Behavioral cloning, zero-shot',
    'cloning': 'Behavioral cloning, zero-shot',
    'zero_shot': 'XTRA, zero-shot'}


class TargetScore(NamedTuple):
  """One method on one target."""
  method: MethodRecord
  target: str
  seeds: Tuple[int, ...]  # of the runs that are there
  scores: Tuple[float, ...]  # mean raw score of each of them
  models: int  # how many of them are different models
  asked: int  # runs that the experiment asks for
  mean: Optional[float]
  interval: Optional[Interval]  # over runs; None below 3 models
  human_normalised: Optional[float]
  improvement: Optional[float]  # mean / EfficientZero's
  difference: Optional[Interval]  # mean - EfficientZero's, over runs of both
  paper: Optional[float]  # the printed score of the same method


class Aggregate(NamedTuple):
  """One method over all targets."""
  method: MethodRecord
  seeds: Tuple[int, ...]  # that all targets have
  missing: Tuple[str, ...]  # runs left out or lacking, as words
  improvement: Optional[Tuple[Interval, Interval]]  # mean, median over games
  human: Dict[str, Interval]  # of human-normalised scores; {} where unknown
  probability: Optional[Interval]  # that a run beats one of EfficientZero


def paper_method(method: MethodRecord) -> Optional[str]:
  """The paper's name of a method, None where it has no such method."""
  printed = {name.lower(): name for name in (
      *reference_scores.methods(reference_scores.XTRA_TABLE_1),
      *reference_scores.methods(reference_scores.XTRA_TABLE_2))}
  name = _PAPER_METHODS.get(method.name.lower().replace('-', '_'))
  return name or printed.get(method.label.lower())


def baseline(experiment: Experiment) -> Optional[MethodRecord]:
  """The method that others are divided by: EfficientZero from scratch."""
  for method in experiment.methods:
    if paper_method(method) == BASELINE:
      return method
  return None


def distinct_models(experiment: Experiment, method: MethodRecord,
                    target: str) -> int:
  """How many different models a method's runs on a target judge.

  Runs of several seeds that inherit the judged stage itself (a zero-shot
  student) have one model between them.
  """
  runs = experiment.done(method.name, target)
  models = {(run.cost.inherited[method.stage] if run.cost and method.stage in
             run.cost.inherited else f'seed {run.key.seed}') for run in runs}
  return len(models)


class Scores:
  """All scores of an experiment, and what is made of them.

  Attributes:
    experiment: whose.
    baseline: EfficientZero from scratch, None where it is not among the
      methods.
    draws: of all intervals.
  """

  def __init__(self, experiment: Experiment, draws: Draws = DRAWS):
    """Initializes; nothing is computed yet."""
    self.experiment = experiment
    self.baseline = baseline(experiment)
    self.draws = draws
    self._of: Dict[Tuple[str, str], TargetScore] = {}
    self._aggregates: Dict[str, Aggregate] = {}

  def raw(self, method: str, target: str) -> List[float]:
    """Mean raw score of each run that is there."""
    return [run.score for run in self.experiment.done(method, target)]

  def baseline_mean(self, target: str) -> Optional[float]:
    """EfficientZero's mean raw score on a target, None where there is none."""
    if self.baseline is None:
      return None
    scores = self.raw(self.baseline.name, target)
    return float(np.mean(scores)) if scores else None

  def of(self, method: MethodRecord, target: TargetRecord) -> TargetScore:
    """One method's scores on one target."""
    key = (method.name, target.name)
    if key not in self._of:
      self._of[key] = self._target_score(method, target)
    return self._of[key]

  def _target_score(self, method: MethodRecord,
                    target: TargetRecord) -> TargetScore:
    runs = self.experiment.done(method.name, target.name)
    scores = [run.score for run in runs]
    models = distinct_models(self.experiment, method, target.name)
    mean = float(np.mean(scores)) if scores else None
    random, human = random_and_human(target.name)
    human_normalised = improvement = None
    if mean is not None and None not in (random, human) and random != human:
      human_normalised = float(aggregates.human_normalised(
          mean, random, human))  # type: ignore[arg-type]
    base = self.baseline_mean(target.name)
    if mean is not None and base is not None and base > 0 and mean >= 0:
      improvement = mean / base
    interval = None
    if models >= MINIMUM_SAMPLES:
      interval = statistics.mean_interval(
          f'{method.label} on {target.name}', scores, self.draws)
    table, name = paper_table(target.name, target.sources), paper_method(method)
    printed = (reference_scores.score(table, target.name, name)
               if table and name else None)
    return TargetScore(
        method, target.name, tuple(run.key.seed for run in runs),
        tuple(scores), models, len(self.experiment.of(
            method.name, target.name)), mean, interval, human_normalised,
        improvement, self._difference(method, target.name, scores, models),
        printed)

  def _difference(self, method: MethodRecord, target: str,
                  scores: Sequence[float], models: int) -> Optional[Interval]:
    if self.baseline is None or method.name == self.baseline.name:
      return None
    base = self.raw(self.baseline.name, target)
    if min(models, len(base)) < MINIMUM_SAMPLES:
      return None
    return statistics.difference_interval(
        f'{method.label} and {self.baseline.label} on {target}', scores, base,
        self.draws)

  def matrix(self, method: MethodRecord
             ) -> Tuple[np.ndarray, Tuple[int, ...], Tuple[str, ...]]:
    """A method's raw scores in all targets, by the seeds that all have.

    Returns:
      <float64>[R, G]; the R seeds; what is missing or left out, as words.
    """
    found = {target.name: {run.key.seed: run.score for run in
                           self.experiment.done(method.name, target.name)}
             for target in self.experiment.targets}
    shared = sorted(set.intersection(*(set(x) for x in found.values())))
    words = []
    for target, scores in found.items():
      asked = [run.key.seed for run in self.experiment.of(method.name, target)]
      lacking = [seed for seed in asked if seed not in scores]
      unused = [seed for seed in scores if seed not in shared]
      if lacking:
        words.append(f'{target} lacks {_seeds(lacking)}')
      if unused and shared:
        words.append(f'{_seeds(unused)} of {target} left out')
    return (np.array([[scores[seed] for scores in found.values()]
                      for seed in shared], np.float64).reshape(
                          [len(shared), len(found)]),
            tuple(shared), tuple(words))

  def aggregate(self, method: MethodRecord) -> Aggregate:
    """A method over all targets; without intervals where runs are too few."""
    if method.name not in self._aggregates:
      self._aggregates[method.name] = self._aggregate(method)
    return self._aggregates[method.name]

  def _aggregate(self, method: MethodRecord) -> Aggregate:
    scores, seeds, words = self.matrix(method)
    targets = self.experiment.targets
    models = min((distinct_models(self.experiment, method, t.name)
                  for t in targets), default=0)
    few = min(len(seeds), models) < MINIMUM_SAMPLES
    if few:
      words = (*words, 'no interval: the seeds share one model'
               if models < len(seeds) else 'no interval: fewer than '
               f'{MINIMUM_SAMPLES} seeds that all targets have')
    if not seeds:
      return Aggregate(method, seeds, words, None, {}, None)
    references = [random_and_human(target.name) for target in targets]
    human: Dict[str, Interval] = {}
    if all(None not in pair and pair[0] != pair[1] for pair in references):
      random, best = np.array(references, np.float64).T
      human = self._of_all_games(method, aggregates.human_normalised(
          scores, random, best), few)
    return Aggregate(method, seeds, words, self._improvement(
        method, scores, few), human, self._probability(method, scores, few))

  def _of_all_games(self, method: MethodRecord, scores: np.ndarray,
                    few: bool) -> Dict[str, Interval]:
    if few:
      return {name: _point(float(function(scores)))
              for name, function in statistics.AGGREGATES.items()}
    return statistics.aggregate_intervals(method.label, scores, self.draws)

  def _improvement(self, method: MethodRecord, scores: np.ndarray, few: bool
                   ) -> Optional[Tuple[Interval, Interval]]:
    """Mean and median over games; None where there is no ratio."""
    if self.baseline is None:
      return None
    if method.name == self.baseline.name:
      one = Interval(1., 1., 1.)  # by definition
      return one, one
    base = self.matrix(self.baseline)[0]
    if not (len(base) and np.all(base.mean(axis=0) > 0)
            and np.all(scores.mean(axis=0) >= 0)):
      return None
    if few or len(base) < MINIMUM_SAMPLES:
      ratios = statistics.improvement(scores, base)
      return _point(float(np.mean(ratios))), _point(float(np.median(ratios)))
    return statistics.improvement_intervals(
        f'{method.label} and {self.baseline.label}', scores, base, self.draws)

  def _probability(self, method: MethodRecord, scores: np.ndarray, few: bool
                   ) -> Optional[Interval]:
    if self.baseline is None or method.name == self.baseline.name or few:
      return None
    base = self.matrix(self.baseline)[0]
    if len(base) < MINIMUM_SAMPLES:
      return None
    return statistics.probability_of_improvement(
        f'{method.label} and {self.baseline.label}', scores, base, self.draws)


def _point(value: float) -> Interval:
  """An estimate of runs that are too few for an interval."""
  return Interval(value, float('nan'), float('nan'))


def _seeds(seeds: Sequence[int]) -> str:
  return f'seed{"" if len(seeds) == 1 else "s"} {", ".join(map(str, seeds))}'
