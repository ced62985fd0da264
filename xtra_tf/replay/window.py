"""What one replay item is: a window of consecutive rows."""

import dataclasses
from typing import Any, Dict, Optional, Tuple

import tensorflow as tf

from xtra_tf.types import POSITION, SCALARS


@dataclasses.dataclass(frozen=True)
class WindowSpec:
  """The one signature that all tables of a run have.

  W = stack - 1 + K + 1 + n rows: the frames stacked before the anchor, the
  states k = 0..K, and the n rows that a value target of the last one sums.

  Attributes:
    stack: frames that a model sees at once.
    unroll_steps: K.
    td_steps: n.
    observation_shape: of one frame.
    observation_dtype: `uint8` or `float32`.
    target_shape: of a planner's policy target, [A] for visit counts.
  """
  stack: int
  unroll_steps: int
  td_steps: int
  observation_shape: Tuple[int, ...]
  observation_dtype: str
  target_shape: Tuple[int, ...]

  def __post_init__(self) -> None:
    for name in ('stack', 'unroll_steps', 'td_steps'):
      if getattr(self, name) < 1:
        raise ValueError(f'WindowSpec.{name} is {getattr(self, name)}. '
                         'Expected at least 1.')

  @property
  def length(self) -> int:
    """W."""
    return self.anchor + self.unroll_steps + 1 + self.td_steps

  @property
  def anchor(self) -> int:
    """Index of the row from which the model is unrolled."""
    return self.stack - 1

  def signature(self, name: Optional[str] = None) -> Dict[str, tf.TensorSpec]:
    """{column: spec [W, ...]} of an item; `name` prefixes the specs' names."""
    row = {
        'observation': (self.observation_shape, self.observation_dtype),
        'action': ((), 'int32'),
        'search': (self.target_shape, 'float32'),
        'scalars': ((len(SCALARS),), 'float32'),
        'position': ((len(POSITION),), 'int64'),
    }
    return {
        column: tf.TensorSpec((self.length, *shape), tf.as_dtype(dtype),
                              name and f'{name}/{column}')
        for column, (shape, dtype) in row.items()}


def signature_differences(expected: Dict[str, tf.TensorSpec],
                          found: Any) -> str:
  """Text that names each column in which two signatures differ, or ''."""
  if not isinstance(found, dict):
    return f'expected the columns {sorted(expected)}, found {found}'
  texts = []
  for column in sorted({*expected, *found}):
    sides = [(tuple(s[column].shape), s[column].dtype.name)
             if column in s else 'none' for s in (expected, found)]
    if sides[0] != sides[1]:
      texts.append(f'{column}: expected {sides[0]}, found {sides[1]}')
  return '; '.join(texts)
