"""Which rows of a batch are of which table.

T tables, one per task; a batch is a row of sub-batches, of one table each.
"""

import dataclasses
from typing import Sequence, Tuple

import numpy as np

from xtra_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Composition:
  """How the rows of a batch are divided among the tables.

  Attributes:
    quotas: T numbers of rows; sub-batch i has quotas[i] rows.
    mixed: indices of the sub-batches whose table is drawn anew for each batch,
      uniformly among these; the others have their own. The official code fills
      one queue with batches of all offline tasks and takes them blindly, so
      that a task may come twice and another one not at all
      (XTRA `core/train.py:1114-1124,1261,1277`).
    seed: of all draws of tables.
    weighted: indices of the tables that share their rows in proportion to the
      task weights; see `divide`.
  """
  quotas: Tuple[int, ...]
  mixed: Tuple[int, ...] = ()
  seed: int = 0
  weighted: Tuple[int, ...] = ()

  def check(self, tables: Sequence[str]) -> None:
    """Refuses quotas that do not fit.

    Args:
      tables: T names.

    Raises:
      UsageError: naming quotas and tables.
    """
    quotas = self.quotas
    given = f'Quotas {list(quotas)} of the tables {list(tables)}: expected '
    if (len(quotas) != len(tables) or min(quotas, default=0) < 0
        or not sum(quotas)):
      raise UsageError(f'{given}one number >= 0 per table, not all 0.')
    # The rows of the others come first, whoever is drawn.
    last = tuple(range(len(quotas) - len(self.mixed), len(quotas)))
    if self.mixed != last or self.mixed and (
        len({quotas[i] for i in last}) > 1 or not quotas[-1]):
      raise UsageError(
          f'{given}equal quotas above 0 of the tables that are drawn, and '
          f'these to be the last ones, found the numbers {list(self.mixed)}.')
    last = tuple(range(len(quotas) - len(self.weighted), len(quotas)))
    if self.weighted != last or self.weighted and (
        self.mixed or min(quotas[i] for i in last) < 1):
      raise UsageError(
          f'{given}quotas above 0 of the tables that share rows by weight, '
          'these to be the last ones, and no others to be drawn, found the '
          f'numbers {list(self.weighted)}, drawn {list(self.mixed)}.')

  def draw(self, batch: int) -> np.ndarray:
    """The table of each sub-batch.

    Args:
      batch: number of the batch, from 0.

    Returns:
      <int64>[T].
    """
    tables = np.arange(len(self.quotas))
    if self.mixed:
      mixed = np.array(self.mixed)
      tables[mixed] = mixed[self._random(batch).integers(
          mixed.size, size=mixed.size)]
    return tables

  def divide(self, batch: int, weights: np.ndarray,
             measuring: bool) -> Tuple[np.ndarray, np.ndarray]:
    """Rows of each table, and the factor of the loss of each task's rows.

    The R rows of the m weighted tables are drawn one by one, table i with

      p_i = w_i / sum(w)

    so that task i gets n_i rows, and the factor of its mean loss is

      factor_i = mean(w) * n_i * m / R

    With equal shares of the loss, E[factor_i] is w_i: the expected gradient is
    that of equal quotas and the factors w_i themselves. These are used while
    task gradients are measured, so that a task of weight 0 is measured too, and
    when all weights are 0. The other tables have their quotas and weights.

    Args:
      batch: number of the batch, from 0.
      weights: <float32>[T] task weights, 0 or more.
      measuring: whether this batch is for measuring.

    Returns:
      Rows <int64>[T], as many in all as the quotas, and factor <float32>[T].
    """
    rows = np.array(self.quotas, np.int64)
    factor = np.array(weights, np.float32)
    weighted = list(self.weighted)
    total = float(np.sum(factor[weighted], dtype=np.float64))
    if not weighted or measuring or total <= 0.:
      return rows, factor
    shared = int(rows[weighted].sum())
    # In float64, for multinomial is strict about the sum.
    chances = factor[weighted].astype(np.float64) / total
    rows[weighted] = self._random(batch).multinomial(
        shared, chances / chances.sum())
    factor[weighted] = total / shared * rows[weighted]
    return rows, factor

  def most_rows(self) -> Tuple[int, ...]:
    """T numbers: the most rows that a batch can have of each table."""
    together = sum(self.quotas[i] for i in self.weighted)
    return tuple(together if i in self.weighted else quota
                 for i, quota in enumerate(self.quotas))

  def _random(self, batch: int) -> np.random.Generator:
    return np.random.default_rng([self.seed, batch])
