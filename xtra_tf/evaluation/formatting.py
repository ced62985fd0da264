"""Numbers and times as a reader likes them."""

import csv
import io
import math
from typing import List, NamedTuple, Optional, Sequence

MISSING = '–'


class Table(NamedTuple):
  """A table of the report: shown in the page and written as csv."""
  name: str  # of the csv file, without ending
  columns: Sequence[str]
  rows: Sequence[Sequence[str]]
  text_columns: int = 1  # leading columns that are no numbers

  def to_csv(self) -> str:
    """The table as text, thousands without separators."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(self.columns)
    writer.writerows([cell.replace(',', '') if _is_number(cell) else cell
                      for cell in row] for row in self.rows)
    return text.getvalue()


def _is_number(cell: str) -> bool:
  try:
    float(cell.replace(',', ''))
  except ValueError:
    return False
  return True


def number(value: Optional[float], digits: int = 3) -> str:
  """About `digits` significant digits, all those before the point.

  E.g. 1,294.6 · 312 · 20.7 · 0.0312 with three; a dash for None and NaN.
  """
  if value is None or not math.isfinite(value):
    return MISSING
  if value == int(value) and abs(value) < 1e15:
    return f'{int(value):,}'
  if abs(value) >= 1000:
    return f'{value:,.1f}'
  places = digits - 1 - math.floor(math.log10(abs(value)))
  return f'{value:,.{min(max(places, 0), 8)}f}'


def score(value: Optional[float]) -> str:
  """A game's score: one decimal, as papers print it; two if it is small."""
  if value is None or not math.isfinite(value):
    return MISSING
  small = abs(value) < 10 and round(value, 1) != round(value, 2)
  return f'{value:,.2f}' if small else f'{value:,.1f}'


def percent(part: float, whole: float) -> str:
  """part / whole, e.g. 2 %, 12.5 %, 0.7 % or 100 %."""
  share = 100 * part / whole
  return f'{share:.1g} %' if share < 1 else f'{share:.3g} %'


def duration(seconds: Optional[float]) -> str:
  """E.g. 48 s, 12 min 03 s, 2 h 05 min."""
  if seconds is None or not math.isfinite(seconds):
    return MISSING
  whole = int(round(seconds))
  if whole < 60:
    return f'{seconds:.1f} s' if seconds < 9.95 else f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60:02d} s'
  return f'{whole // 3600} h {whole % 3600 // 60:02d} min'


def listing(names: Sequence[str], last: str = 'and') -> str:
  """E.g. `Alien, Amidar and Pong`."""
  names = list(names)
  if len(names) < 2:
    return ''.join(names)
  return f'{", ".join(names[:-1])} {last} {names[-1]}'


def counted(count: int, noun: str, plural: Optional[str] = None) -> str:
  """E.g. `1 game`, `8 games`."""
  return f'{count:,} {noun if count == 1 else plural or noun + "s"}'


def smooth(values: Sequence[float], width: int) -> List[float]:
  """Means of the last `width` values (fewer at the start)."""
  means = []
  for end in range(1, len(values) + 1):
    window = values[max(0, end - width):end]
    means.append(sum(window) / len(window))
  return means
