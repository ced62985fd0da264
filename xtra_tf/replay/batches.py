"""From samples of tables to what a gradient step takes, whatever the tables.

T tables, one per task; a batch is a row of sub-batches, of one table each.
"""

import dataclasses
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.replay.window import WindowSpec
from xtra_tf.types import POSITION, SampleInfo, Unroll


@dataclasses.dataclass(frozen=True)
class Composition:
  """Which rows of a batch are of which table.

  Attributes:
    quotas: T numbers of rows; sub-batch i has quotas[i] rows.
    mixed: indices of the sub-batches whose table is drawn anew for each batch,
      uniformly among these; the others have their own. The official code fills
      one queue with batches of all offline tasks and takes them blindly, so
      that a task may come twice and another one not at all
      (XTRA `core/train.py:1114-1124,1261,1277`).
    seed: of these draws.
  """
  quotas: Tuple[int, ...]
  mixed: Tuple[int, ...] = ()
  seed: int = 0

  def check(self, tables: Sequence[str]) -> None:
    """Refuses quotas that do not fit.

    Args:
      tables: T names.

    Raises:
      UsageError: naming quotas and tables.
    """
    quotas = self.quotas
    if (len(quotas) != len(tables) or min(quotas, default=0) < 0
        or not sum(quotas)):
      raise UsageError(f'Quotas {list(quotas)} of the tables {list(tables)}: '
                       'expected one number >= 0 per table, not all 0.')
    # The rows of the others come first, whoever is drawn.
    last = tuple(range(len(quotas) - len(self.mixed), len(quotas)))
    if self.mixed != last or self.mixed and (
        len({quotas[i] for i in last}) > 1 or not quotas[-1]):
      raise UsageError(
          f'Quotas {list(quotas)} of the tables {list(tables)}: expected equal '
          'quotas above 0 of the tables that are drawn, and these to be the '
          f'last ones, found the numbers {list(self.mixed)}.')

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
      random = np.random.default_rng([self.seed, batch])
      tables[mixed] = mixed[random.integers(mixed.size, size=mixed.size)]
    return tables


class Extras(NamedTuple):
  """What a batch is told besides its windows; variables are on the host."""
  legal_masks: np.ndarray  # <bool>[T, A]
  env_steps: tf.Variable  # <int64>[T] steps taken in each task so far
  task_weights: Optional[tf.Variable] = None  # <float32>[T]; 1 if left out
  measuring: Optional[tf.Variable] = None  # <bool>[]; never if left out

  def check(self, num_tables: int) -> None:
    """Refuses what is not told of each table and of no other.

    Raises:
      ValueError: too few or too many masks of legal actions.
      UsageError: too few or too many task weights.
    """
    if len(self.legal_masks) != num_tables:
      raise ValueError(f'Expected {num_tables} masks of legal actions, got '
                       f'{len(self.legal_masks)}.')
    weights = self.task_weights
    if weights is not None and weights.shape[0] != num_tables:
      raise UsageError(f'There are weights for {weights.shape[0]} tasks and '
                       f'tables of {num_tables}. Expected a weight for each '
                       'table and for no other task.')


class SampledWindows(NamedTuple):
  """B windows as their tables gave them."""
  data: Dict[str, tf.Tensor]  # {column: [B, W, ...]}
  key: tf.Tensor  # <uint64>[B]
  probability: tf.Tensor  # <float64>[B]
  table_size: tf.Tensor  # <int64>[B]
  task: tf.Tensor  # <int32>[B]


def as_batch(sample: SampledWindows, window: WindowSpec, extras: Extras,
             composition: Composition) -> Tuple[Unroll, SampleInfo]:
  """Adds what a window does not hold itself; reads the variables now.

  The importance weight is 1 / (N P(i)), N items in the table; the exponent and
  the normalization are the learner's. Where tables are drawn, the offline
  factor is the task's weight times the number of its sub-batches, so that the
  loss stays a mean over rows.
  """
  data, task = sample.data, sample.task
  size = tf.cast(sample.table_size, tf.float64)
  taken_at = data['position'][:, window.anchor, POSITION.index('env_step')]
  age = tf.gather(extras.env_steps.read_value(), task) - taken_at
  factor = (tf.ones(task.shape, tf.float32) if extras.task_weights is None
            else tf.gather(extras.task_weights.read_value(), task))
  if composition.mixed:
    quotas = tf.constant(composition.quotas, tf.float32)
    rows = tf.math.unsorted_segment_sum(
        tf.ones(task.shape), task, quotas.shape[0])
    factor *= tf.gather(tf.math.divide_no_nan(rows, quotas), task)
  measured = (tf.constant(False) if extras.measuring is None
              else extras.measuring.read_value())
  unroll = Unroll(
      observation=data['observation'], action=data['action'],
      search=data['search'], scalars=data['scalars'],
      position=data['position'], task=task,
      legal_actions=tf.gather(tf.constant(extras.legal_masks), task),
      age=tf.cast(age, tf.float32),
      importance_weight=tf.cast(
          1. / (size * sample.probability), tf.float32),
      offline_factor=factor, measuring=tf.fill(task.shape, measured))
  return unroll, SampleInfo(sample.key, task, sample.probability)


def without_own_prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
  """tf.data would add a prefetch of its own, with older batches in it."""
  options = tf.data.Options()
  options.experimental_optimization.inject_prefetch = False
  return batches.with_options(options)
