"""Time series of a run, cut down to what a report draws."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

_PREFIXES = ('transfer/', 'loss/', 'search/', 'eval/', 'collect/', 'cloning/',
             'teacher/', 'student/', 'data/')
# Rows with one of these are never left out.
_KEPT = ('eval/', 'teacher/', 'data/')
_ROWS = 500
_COUNTERS = ('step', 'env_steps', 'time')


def thin_metrics(rows: Sequence[Mapping[str, Any]],
                 limit: int = _ROWS) -> List[Dict[str, Any]]:
  """Keeps the series that reports draw, at `limit` rows at most or so.

  Rows with evaluations, with what is known of a teacher, or with task weights
  that differ from the row before, are all kept; of the others, evenly spaced
  ones.

  Args:
    rows: flat metrics rows.
    limit: how many rows to keep of the others.

  Returns:
    Rows in order of steps, with the counters and the kept tags.
  """
  kept = []
  for row in sorted(rows, key=lambda row: row['step']):
    tags = {k: v for k, v in row.items() if k.startswith(_PREFIXES)}
    if tags:
      kept.append({**{name: row[name] for name in _COUNTERS}, **tags})
  needed = []
  weights: Optional[Dict[str, Any]] = None
  for row in kept:
    new = {k: v for k, v in row.items() if k.startswith('transfer/weight/')}
    changed = bool(new) and new != weights
    weights = new or weights
    needed.append(changed or any(k.startswith(_KEPT) for k in row))
  stride = max(1, -(-(len(kept) - sum(needed)) // limit))
  return [row for number, (row, need) in enumerate(zip(kept, needed))
          if need or number % stride == 0]
