"""The paper's two tables, with an experiment's scores beside the printed ones.

XTRA, arXiv 2210.10763, tables 1 (similar games) and 2 (diverse games).
"""

from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.evaluation import aggregates, formatting, reference_scores
from xtra_tf.evaluation.comparison import paper_table
from xtra_tf.evaluation.experiment_records import MethodRecord, TargetRecord
from xtra_tf.evaluation.experiment_scores import BASELINE, Scores, paper_method
from xtra_tf.evaluation.formatting import MISSING, Table

TABLES = (reference_scores.XTRA_TABLE_1, reference_scores.XTRA_TABLE_2)
_STATISTICS = {'mean_improvement': 'Mean improvement',
               'median_improvement': 'Median improvement',
               'mean_human_normalised': 'Human-normalised mean',
               'median_human_normalised': 'Human-normalised median'}
_NOBODYS = ('random', 'human')  # columns of table 2 that no method has


def targets_in(scores: Scores, table: str) -> List[TargetRecord]:
  """The experiment's targets whose setting is nearest to a table's."""
  return [target for target in scores.experiment.targets
          if paper_table(target.name, target.sources) == table]


def beside_paper(scores: Scores, table: str) -> Table:
  """A table as printed, with a row of ours below each game that was run.

  Aggregates are printed ones; below them are those of the games that were run
  alone, of the printed scores and of ours.
  """
  methods = reference_scores.methods(table)
  ours = _our_methods(scores, methods)
  targets = {target.name: target for target in targets_in(scores, table)}
  rows: List[List[str]] = []
  for group, game, statistic in _printed_rows(table):
    printed = {r.method: r.value for r in reference_scores.table(table)
               if (r.group, r.task, r.statistic) == (group, game, statistic)}
    name = game or _STATISTICS[statistic]
    cells = [printed.get(method) for method in methods]
    rows.append([group, name, 'paper', *(
        formatting.score(v) if game else _two(v) for v in cells)])
    if game in targets:
      rows.append([group, name, f'ours, n = {len(scores.experiment.seeds)}', *(
          _our_cell(scores, ours.get(m), targets[game]) for m in methods)])
    if not game:
      rows += _subset_rows(scores, table, group, statistic, methods, ours,
                           targets)
  return Table(f'beside_paper_{table}',
               ('Category', 'Game', 'Whose', *methods), rows, 3)


def _printed_rows(table: str) -> List[Tuple[str, str, str]]:
  """(group, game or '', statistic) in printed order, without repeats."""
  return list(dict.fromkeys((r.group, r.task, r.statistic)
                            for r in reference_scores.table(table)))


def _our_methods(scores: Scores, printed: Sequence[str]
                 ) -> Dict[str, MethodRecord]:
  """{the paper's name: ours}, the first where two of ours are the same."""
  found: Dict[str, MethodRecord] = {}
  for method in scores.experiment.methods:
    name = paper_method(method)
    if name in printed:
      found.setdefault(str(name), method)
  return found


def _our_cell(scores: Scores, method: Optional[MethodRecord],
              target: TargetRecord) -> str:
  if method is None:
    return MISSING
  score = scores.of(method, target)
  if score.mean is None:
    return 'not run'
  count = len(score.scores)
  return formatting.score(score.mean) + (
      f' (n = {count})' if count < len(scores.experiment.seeds) else '')


def _two(value: Optional[float]) -> str:
  return MISSING if value is None else f'{value:.2f}'


def _subset_rows(scores: Scores, table: str, group: str, statistic: str,
                 methods: Sequence[str], ours: Dict[str, MethodRecord],
                 targets: Dict[str, TargetRecord]) -> List[List[str]]:
  """The aggregate over the games that were run, of printed scores and ours."""
  games = [game for game in reference_scores.games(
      table, None if group == 'Overall' else group) if game in targets]
  if not games:
    return []
  words = formatting.counted(len(games), 'game')
  rows = []
  for whose in ('paper', 'ours'):
    cells = []
    for method in methods:
      values = [_value(scores, table, whose, method, ours, targets[game])
                for game in games]
      base = [_value(scores, table, whose, BASELINE, ours, targets[game])
              for game in games]
      cells.append(_two(_aggregate(statistic, games, values, base)))
    rows.append([group, _STATISTICS[statistic], f'{whose}, {words}', *cells])
  return rows


def _value(scores: Scores, table: str, whose: str, method: str,
           ours: Dict[str, MethodRecord], target: TargetRecord
           ) -> Optional[float]:
  if whose == 'paper':
    return reference_scores.score(table, target.name, method)
  if method in _NOBODYS or method not in ours:
    return None
  return scores.of(ours[method], target).mean


def _aggregate(statistic: str, games: Sequence[str],
               values: Sequence[Optional[float]],
               base: Sequence[Optional[float]]) -> Optional[float]:
  """Mean or median of ratios or normalised scores; None where one lacks."""
  if None in values:
    return None
  scores = np.array(values, np.float64)
  if statistic.endswith('improvement'):
    if None in base or any(b is not None and b <= 0 for b in base):
      return None
    ratios = aggregates.improvement(scores, np.array(base, np.float64))
  else:
    random, human = ([reference_scores.score(
        reference_scores.XTRA_TABLE_2, game, who) for game in games]
        for who in _NOBODYS)
    ratios = aggregates.human_normalised(
        scores, np.array(random, np.float64), np.array(human, np.float64))
  return float(np.mean(ratios) if statistic.startswith('mean')
               else np.median(ratios))


