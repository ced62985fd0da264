"""What a benchmark says: one JSON object a line."""

import dataclasses
import json
from typing import Any, Dict, Optional, Tuple


@dataclasses.dataclass(frozen=True)
class Record:
  """One result, of a pair of parties or of ours alone.

  Attributes:
    name: what was done, e.g. `search`.
    batch: rows that were done at a time.
    ours_ms: median of our samples.
    peer: with whom it was compared; None: with nobody.
    peer_ms: median of the peer's samples.
    ratio: peer_ms / ours_ms; above 1 we are faster.
    ratio_quartiles: of the ratios pair by pair.
    pairs: samples of each.
    goal: least ratio (or, without a peer, the bound of `value`).
    value: what was counted, where it was not the time.
    unit: of `value`, with the way in which it is better.
    reaches_goal: whether ratio or value is on the right side of the goal.
    x: size that a chart puts on its axis.
    threads: processors that each party had.
    versions: {party: {distribution: version}}.
    note: what the reader must know.
  """
  name: str
  batch: Optional[int] = None
  ours_ms: Optional[float] = None
  peer: Optional[str] = None
  peer_ms: Optional[float] = None
  ratio: Optional[float] = None
  ratio_quartiles: Optional[Tuple[float, float]] = None
  pairs: int = 0
  goal: Optional[float] = None
  value: Optional[float] = None
  unit: str = ''
  reaches_goal: Optional[bool] = None
  x: Optional[float] = None
  threads: int = 0
  versions: Dict[str, Dict[str, str]] = dataclasses.field(default_factory=dict)
  note: str = ''

  def to_line(self) -> str:
    """The record as one line of JSON."""
    return json.dumps(dataclasses.asdict(self))

  @classmethod
  def from_fields(cls, fields: Dict[str, Any]) -> 'Record':
    """The inverse of `dataclasses.asdict`, with JSON's lists."""
    quartiles = fields.get('ratio_quartiles')
    return cls(**{**fields, 'ratio_quartiles':
                  tuple(quartiles) if quartiles else None})


def counted(name: str, value: float, unit: str, goal: float, at_most: bool,
            **fields: Any) -> Record:
  """A record of something that was counted.

  Args:
    name: what.
    value: the number.
    unit: of the number.
    goal: the bound.
    at_most: whether the goal is an upper bound.
    **fields: other fields of the record.
  """
  reaches = value <= goal if at_most else value >= goal
  return Record(name=name, value=value, unit=unit, goal=goal,
                reaches_goal=reaches, **fields)


def row_text(record: Record) -> str:
  """The record as a line of a table for the eye."""
  batch = '' if record.batch is None else str(record.batch)
  if record.value is not None:
    numbers = f'{record.value:,.4g} {record.unit}'
  else:
    numbers = f'{_ms(record.ours_ms)} ms'
  if record.peer:
    low, high = record.ratio_quartiles or (float('nan'), float('nan'))
    numbers += (f'  {record.peer} {_ms(record.peer_ms)} ms  '
                f'ratio {record.ratio:.2f} ({low:.2f}..{high:.2f})')
  goal = '' if record.goal is None else f'  goal {record.goal:g}'
  if record.reaches_goal is not None:
    goal += ' reached' if record.reaches_goal else ' MISSED'
  return f'{record.name:34s} {batch:>4s}  {numbers}{goal}'


def _ms(value: Optional[float]) -> str:
  return '-' if value is None else f'{value:.3g}'
