"""This run's scores beside those of random play, a human and the paper."""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.errors import UsageError
from xtra_tf.evaluation import aggregates, reference_scores
from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.evaluation.run_files import RunFiles
from xtra_tf.tasks import get_task

# The methods of a run, as stages of it, in the order of the report.
METHODS = ('finetune', 'scratch', 'student', 'cloning')
# Of these, what is in the report only where it was evaluated.
_IF_EVALUATED = ('cloning',)
# What the paper calls them.
PAPER_METHODS = {'finetune': 'XTRA', 'scratch': 'EfficientZero',
                  'student': 'XTRA, zero-shot',
                  'cloning': 'Behavioral cloning, zero-shot'}
# Of the bootstrap; fixed, so that a report made again shows equal intervals.
_SEED = 0


class MethodScore(NamedTuple):
  """One method's final evaluation on the target."""
  kind: str  # stage
  record: Optional[ResultRecord]  # None: not evaluated
  mean: Optional[float]
  interval: Optional[aggregates.Interval]  # over games; None below 3 games
  human_normalised: Optional[float]
  paper: Optional[float]  # the printed score of the same method

  @property
  def returns(self) -> Tuple[float, ...]:
    """Raw scores of the games; empty if not evaluated."""
    return self.record.returns if self.record else ()


class Comparison(NamedTuple):
  """All that the target's scores are compared with."""
  methods: Tuple[MethodScore, ...]
  random: Optional[float]
  human: Optional[float]
  human_name: str  # `Human`, or who stands in
  paper_table: Optional[str]  # whose numbers `MethodScore.paper` are
  difference: Optional[aggregates.Interval]  # finetuned minus from scratch

  def method(self, kind: str) -> MethodScore:
    """A method by its stage."""
    return next(method for method in self.methods if method.kind == kind)


def human_name(task: str) -> str:
  """Whose score stands for 1: tiny tasks have no human scores."""
  return 'Scripted player' if task.startswith('tiny:') else 'Human'


def random_and_human(task: str) -> Tuple[Optional[float], Optional[float]]:
  """Mean raw scores of random play and of a human, None where unknown.

  For a tiny task the second is its scripted player's.
  """
  table = reference_scores.RANDOM_HUMAN
  scores = [reference_scores.score(table, task, who)
            for who in ('random', 'human')]
  if scores == [None, None]:
    try:
      spec = get_task(task)
    except UsageError:  # a task of the user's that this process does not know
      return None, None
    return spec.random_score, spec.human_score
  return scores[0], scores[1]


def paper_table(target: str, sources: Sequence[str]) -> Optional[str]:
  """The table of the paper that a run's setting is nearest to.

  Table 1 where all sources are of the target's own category, else table 2, else
  whichever has the target; None where neither has.
  """
  tables = reference_scores.tables_of(target)
  if reference_scores.XTRA_TABLE_1 in tables:
    group = next(row.group for row
                 in reference_scores.table(reference_scores.XTRA_TABLE_1)
                 if row.task == target)
    similar = reference_scores.games(reference_scores.XTRA_TABLE_1, group)
    if len(tables) == 1 or set(sources) <= set(similar):
      return reference_scores.XTRA_TABLE_1
  return tables[-1] if tables else None


def _mean(values: Sequence[float]) -> float:
  return float(np.mean(values))


def interval_over_games(values: Sequence[float]
                        ) -> Optional[aggregates.Interval]:
  """The mean with its bootstrap interval; None where there are too few.

  Args:
    values: one per game.
  """
  if len(values) < aggregates.MINIMUM_SAMPLES:
    return None
  return aggregates.bootstrap_interval(values, _mean, _SEED)


def paired_difference(first: Optional[ResultRecord],
                      second: Optional[ResultRecord]
                      ) -> Optional[aggregates.Interval]:
  """Mean difference of two methods over games with equal starts.

  Args:
    first: an evaluation.
    second: another; only seeds that both have count.

  Returns:
    first - second with a bootstrap interval over games, None where fewer than
    `aggregates.MINIMUM_SAMPLES` seeds are common.
  """
  if first is None or second is None:
    return None
  other = dict(zip(second.seeds, second.returns))
  pairs = [score - other[seed] for seed, score
           in zip(first.seeds, first.returns) if seed in other]
  return interval_over_games(pairs)


def compare(run: RunFiles) -> Comparison:
  """Gathers the target's scores of all methods, and what they compare with."""
  random, human = random_and_human(run.target)
  table = paper_table(run.target, run.sources)
  methods: List[MethodScore] = []
  for kind in METHODS:
    record = run.final_result(kind)
    if record is None and kind in _IF_EVALUATED:
      continue
    mean = _mean(record.returns) if record else None
    normalised = None
    if mean is not None and random is not None and human is not None:
      normalised = float(aggregates.human_normalised(mean, random, human))
    printed = None
    if table is not None:
      printed = reference_scores.score(table, run.target, PAPER_METHODS[kind])
    methods.append(MethodScore(
        kind, record, mean,
        interval_over_games(record.returns) if record else None, normalised,
        printed))
  return Comparison(
      tuple(methods), random, human, human_name(run.target), table,
      paired_difference(methods[0].record, methods[1].record))
