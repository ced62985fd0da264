"""Published scores to compare with, read from reference_scores.csv.

Every row says which table it was printed in. The same method may differ
between tables (EfficientZero on Assault: 1027.1 as re-run by the authors of
XTRA, 1263.1 as published), so a score is always asked for with its table.
"""

import csv
import functools
import os
from typing import Dict, List, NamedTuple, Optional, Tuple

from xtra_tf.errors import DataFileError, UsageError, near_names

PATH = os.path.join(os.path.dirname(__file__), 'reference_scores.csv')
COLUMNS = ('table', 'group', 'task', 'method', 'statistic', 'value', 'spread',
           'seeds', 'episodes', 'protocol', 'source')
RANDOM_HUMAN = 'random_human'
XTRA_TABLE_1 = 'xtra_table_1'  # similar games
XTRA_TABLE_2 = 'xtra_table_2'  # diverse games
EFFICIENTZERO_PUBLISHED = 'efficientzero_published'


class ReferenceScore(NamedTuple):
  """One printed number."""
  table: str  # e.g. `xtra_table_1`
  group: str  # category of games within the table, or ''
  task: str  # game, or '' for an aggregate over games
  method: str
  statistic: str  # `score`, or which aggregate over the group's games
  value: float
  spread: Optional[float]  # standard error, where it was printed
  seeds: Optional[int]  # training runs behind the number
  episodes: Optional[int]  # evaluation episodes of each
  protocol: str
  source: str


def _parse(row: Dict[str, str]) -> ReferenceScore:
  return ReferenceScore(
      table=row['table'], group=row['group'], task=row['task'],
      method=row['method'], statistic=row['statistic'],
      value=float(row['value']),
      spread=float(row['spread']) if row['spread'] else None,
      seeds=int(row['seeds']) if row['seeds'] else None,
      episodes=int(row['episodes']) if row['episodes'] else None,
      protocol=row['protocol'], source=row['source'])


@functools.lru_cache(maxsize=None)
def read(path: str = PATH) -> Tuple[ReferenceScore, ...]:
  """All rows of a file of reference scores.

  Args:
    path: a csv file with the columns `COLUMNS`.

  Raises:
    DataFileError: other columns, or a row that is no number where one is due;
      names the row.
  """
  with open(path, encoding='utf-8', newline='') as file:
    reader = csv.DictReader(file)
    if tuple(reader.fieldnames or ()) != COLUMNS:
      raise DataFileError(path, f'expected the columns {", ".join(COLUMNS)}, '
                          f'found {", ".join(reader.fieldnames or ())}.')
    rows: List[ReferenceScore] = []
    for number, row in enumerate(reader):
      try:
        rows.append(_parse(row))
      except (TypeError, ValueError) as error:
        raise DataFileError(path, f'not a reference score: {error}.',
                            record=number) from error
  return tuple(rows)


def table(name: str) -> List[ReferenceScore]:
  """The rows of one table, in the order in which they were printed.

  Raises:
    UsageError: there is no such table; names those that there are.
  """
  rows = [row for row in read() if row.table == name]
  if not rows:
    known = sorted({row.table for row in read()})
    raise UsageError(f'No reference table {name!r}. {near_names(name, known)}')
  return rows


def score(table_name: str, task: str, method: str) -> Optional[float]:
  """A method's printed score in a task, None where the table has none."""
  for row in table(table_name):
    if (row.task, row.method, row.statistic) == (task, method, 'score'):
      return row.value
  return None


def methods(table_name: str) -> List[str]:
  """The methods of a table, in printed order."""
  return list(dict.fromkeys(row.method for row in table(table_name)))


def games(table_name: str, group: Optional[str] = None) -> List[str]:
  """The games of a table (or of one of its groups), in printed order."""
  return list(dict.fromkeys(
      row.task for row in table(table_name)
      if row.task and group in (None, row.group)))


def tables_of(task: str) -> List[str]:
  """Tables of the XTRA paper in which a game has a row."""
  return [name for name in (XTRA_TABLE_1, XTRA_TABLE_2)
          if task in games(name)]
