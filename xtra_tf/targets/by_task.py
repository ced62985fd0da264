"""Different targets for different rows of one batch."""

from typing import Sequence, Tuple

import tensorflow as tf

from xtra_tf import types
from xtra_tf.targets.unroll_targets import TargetsFn


class TargetsByRows(tf.Module):
  """Cuts a batch into ranges of rows, each with targets of its own.

  The rows of a batch stand in the order of the tables and each table's number
  of rows is fixed, so that the ranges are static.
  """

  def __init__(self, parts: Sequence[Tuple[int, int, TargetsFn]],
               name: str = 'targets_by_rows'):
    """Keeps the parts.

    Args:
      parts: (start, stop, function) each; together they must cover the rows
        0 .. B - 1 in order, without a gap. Ranges of no rows are left out.
      name: of the module.

    Raises:
      ValueError: for a gap, an overlap, or no rows at all.
    """
    super().__init__(name=name)
    ranges = [(start, stop) for start, stop, _ in parts]
    starts = [0] + [stop for _, stop in ranges]
    if (not parts or ranges[-1][1] < 1 or any(
        start != expected or stop < start
        for (start, stop), expected in zip(ranges, starts))):
      raise ValueError('Row ranges must follow one another from 0 on, got '
                       f'{ranges}.')
    filled = [part for part in parts if part[1] > part[0]]
    self._ranges = [(start, stop) for start, stop, _ in filled]
    # A list of its own, so that checkpoints find the modules among them.
    self._functions = [function for _, _, function in filled]

  def __call__(self, unroll: types.Unroll) -> types.Targets:
    """Targets of a batch.

    Args:
      unroll: a batch of B rows.

    Returns:
      The targets of all ranges, joined in order.

    Raises:
      ValueError: if the ranges cover another number of rows.
    """
    rows = unroll.action.shape[0]
    if rows != self._ranges[-1][1]:
      raise ValueError(f'The row ranges cover {self._ranges[-1][1]} rows, got '
                       f'a batch of {rows}.')
    joined = [
        function(_rows(unroll, start, stop))
        for (start, stop), function in zip(self._ranges, self._functions)]
    return tf.nest.map_structure(lambda *xs: tf.concat(xs, axis=0), *joined)


def _rows(unroll: types.Unroll, start: int, stop: int) -> types.Unroll:
  return tf.nest.map_structure(lambda x: x[start:stop], unroll)
