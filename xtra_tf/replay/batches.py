"""From samples of tables to what a gradient step takes, whatever the tables.

T tables, one per task; a batch is a row of sub-batches, of one table each.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.replay.composition import Composition
from xtra_tf.replay.window import WindowSpec
from xtra_tf.types import POSITION, SampleInfo, Unroll


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

  def weighting(self) -> 'Weighting':
    """Task weights and the flag as they are now."""
    return Weighting(
        tf.ones([len(self.legal_masks)]) if self.task_weights is None
        else self.task_weights.read_value(),
        tf.constant(False) if self.measuring is None
        else self.measuring.read_value())


class Weighting(NamedTuple):
  """How the tasks count in one batch, decided when its tables were."""
  factor: tf.Tensor  # <float32>[T] of the loss of each task's rows
  measuring: tf.Tensor  # <bool>[] task gradients are to be measured


class SampledWindows(NamedTuple):
  """B windows as their tables gave them."""
  data: Dict[str, tf.Tensor]  # {column: [B, W, ...]}
  key: tf.Tensor  # <uint64>[B]
  probability: tf.Tensor  # <float64>[B]
  table_size: tf.Tensor  # <int64>[B]
  task: tf.Tensor  # <int32>[B]
  # Of the first task's rows, if they come from a reanalyzer; see Unroll and
  # SampleInfo.
  targets: Any = ()
  targets_step: Any = ()


def divide(batch: tf.Tensor, extras: Extras, composition: Composition
           ) -> Tuple[tf.Tensor, Weighting]:
  """`Composition.divide` with the weights as they are now.

  Args:
    batch: <int64>[] number of the batch.
    extras: has the variables.
    composition: decides.

  Returns:
    Table of each row, <int32>[B], ascending; and the weighting.
  """
  def decide(number: np.ndarray, weights: np.ndarray, measuring: np.ndarray
             ) -> Tuple[np.ndarray, np.ndarray]:
    rows, factor = composition.divide(int(number), weights, bool(measuring))
    return np.repeat(np.arange(len(rows), dtype=np.int32), rows), factor

  now = extras.weighting()
  table, factor = tf.numpy_function(
      decide, [batch, now.factor, now.measuring], [tf.int32, tf.float32])
  return (tf.ensure_shape(table, [sum(composition.quotas)]),
          now._replace(factor=tf.ensure_shape(factor, now.factor.shape)))


def as_batch(sample: SampledWindows, window: WindowSpec, extras: Extras,
             composition: Composition, weighting: Optional[Weighting] = None
             ) -> Tuple[Unroll, SampleInfo]:
  """Adds what a window does not hold itself; reads the variables now.

  The importance weight is 1 / (N P(i)), N items in the table; the exponent and
  the normalization are the learner's. Where tables are drawn uniformly, the
  offline factor is the task's weight times the number of its sub-batches, so
  that the loss stays a mean over rows.

  Args:
    sample: the windows.
    window: their layout.
    extras: what else is told.
    composition: of the batch.
    weighting: of the batch, where it was decided with its tables; None: now.
  """
  data, task = sample.data, sample.task
  size = tf.cast(sample.table_size, tf.float64)
  taken_at = data['position'][:, window.anchor, POSITION.index('env_step')]
  # A collector elsewhere is ahead of what it has told.
  age = tf.maximum(
      tf.gather(extras.env_steps.read_value(), task) - taken_at, 0)
  weighting = weighting or extras.weighting()
  factor = tf.gather(weighting.factor, task)
  if composition.mixed:
    quotas = tf.constant(composition.quotas, tf.float32)
    rows = tf.math.unsorted_segment_sum(
        tf.ones(task.shape), task, quotas.shape[0])
    factor *= tf.gather(tf.math.divide_no_nan(rows, quotas), task)
  unroll = Unroll(
      observation=data['observation'], action=data['action'],
      search=data['search'], scalars=data['scalars'],
      position=data['position'], task=task,
      legal_actions=tf.gather(tf.constant(extras.legal_masks), task),
      age=tf.cast(age, tf.float32),
      importance_weight=tf.cast(
          1. / (size * sample.probability), tf.float32),
      offline_factor=factor,
      measuring=tf.fill(task.shape, weighting.measuring),
      targets=sample.targets)
  return unroll, SampleInfo(
      key=sample.key, task=task,
      position=data['position'][:, window.anchor, :POSITION.index('env_step')],
      probability=sample.probability, taken_at=taken_at,
      targets_step=sample.targets_step)


def without_own_prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
  """tf.data would add a prefetch of its own, with older batches in it."""
  options = tf.data.Options()
  options.experimental_optimization.inject_prefetch = False
  return batches.with_options(options)
