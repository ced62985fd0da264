"""Batches of windows: so many rows of each task, in task order."""

from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np
import reverb
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.replay.probing import check_table
from xtra_tf.replay.window import WindowSpec
from xtra_tf.types import POSITION, SampleInfo, Unroll

# Samples on their way from a table. Each was drawn with the priorities of the
# moment, so more of them are older when they arrive.
_MAX_IN_FLIGHT = 64


def make_dataset(
    address: str, tables: Sequence[str], quotas: Sequence[int],
    window: WindowSpec, *, legal_masks: np.ndarray, env_steps: tf.Variable,
    task_weights: Optional[tf.Variable] = None,
    measuring: Optional[tf.Variable] = None,
    prefetch: int = 1) -> tf.data.Dataset:
  """Batches of exactly `quotas[i]` windows of each table, in table order.

  Tables are sampled with replacement. The variables are read when a batch is
  drawn, `prefetch` batches before it is handed out, and must be on the host.

  Args:
    address: of the replay server.
    tables: T names, in the order of the run's tasks.
    quotas: T numbers of rows; a table with 0 is not sampled.
    window: the items.
    legal_masks: bool[T, A].
    env_steps: <int64>[T] environment steps taken in each task so far; age is
      this minus the anchor's.
    task_weights: <float32>[T] factor of the loss of each task's rows; 1 if
      left out.
    measuring: <bool>[] whether task gradients are to be measured; never if
      left out.
    prefetch: batches drawn ahead.

  Returns:
    A data set of (Unroll, SampleInfo) with B = sum(quotas), all shapes static.

  Raises:
    UnreachableError: the server does not answer.
    UsageError: quotas that do not fit, or a table that does not exist.
    IncompatibleDataError: a table holds other windows.
  """
  if (len(quotas) != len(tables) or min(quotas, default=0) < 0
      or not sum(quotas)):
    raise UsageError(f'Quotas {list(quotas)} of the tables {list(tables)}: '
                     'expected one number >= 0 per table, not all 0.')
  masks = np.asarray(legal_masks, bool)
  if len(masks) != len(tables):
    raise ValueError(f'Expected {len(tables)} masks of legal actions, got '
                     f'{len(masks)}.')
  client = reverb.Client(address)
  parts = []
  for table, quota in zip(tables, quotas):
    if quota:
      check_table(client, table, window)
      parts.append(_table_batches(address, table, quota, window))
  rows = np.repeat(np.arange(len(tables)), quotas)

  def merge(*samples: reverb.ReplaySample) -> Tuple[Unroll, SampleInfo]:
    joined = tf.nest.map_structure(lambda *x: tf.concat(x, 0), *samples)
    return _as_batch(joined, tf.constant(rows, tf.int32), window, masks,
                     env_steps, task_weights, measuring)

  batches = tf.data.Dataset.zip(tuple(parts)).map(merge)
  # tf.data would add a prefetch of its own, with older batches in it.
  options = tf.data.Options()
  options.experimental_optimization.inject_prefetch = False
  batches = batches.with_options(options)
  return batches.prefetch(prefetch) if prefetch else batches


def _table_batches(address: str, table: str, quota: int, window: WindowSpec
                   ) -> tf.data.Dataset:
  """Batches of one table's samples."""
  signature = window.signature()
  samples = reverb.TrajectoryDataset(
      address, table, dtypes={k: s.dtype for k, s in signature.items()},
      shapes={k: s.shape for k, s in signature.items()},
      max_in_flight_samples_per_worker=min(quota, _MAX_IN_FLIGHT),
      num_workers_per_iterator=1)
  return samples.batch(quota, drop_remainder=True)


def _as_batch(sample: reverb.ReplaySample, task: tf.Tensor, window: WindowSpec,
              masks: np.ndarray, env_steps: tf.Variable,
              task_weights: Optional[tf.Variable],
              measuring: Optional[tf.Variable]) -> Tuple[Unroll, SampleInfo]:
  """Adds what a window does not hold itself.

  The importance weight is 1 / (N P(i)), N items in the table; the exponent and
  the normalization are the learner's.
  """
  data: Dict[str, tf.Tensor] = sample.data
  info: Any = sample.info
  size = tf.cast(info.table_size, tf.float64)
  taken_at = data['position'][:, window.anchor, POSITION.index('env_step')]
  age = tf.gather(env_steps.read_value(), task) - taken_at
  factor = (tf.ones(task.shape, tf.float32) if task_weights is None
            else tf.gather(task_weights.read_value(), task))
  measured = (tf.constant(False) if measuring is None
              else measuring.read_value())
  unroll = Unroll(
      observation=data['observation'], action=data['action'],
      search=data['search'], scalars=data['scalars'],
      position=data['position'], task=task,
      legal_actions=tf.gather(tf.constant(masks), task),
      age=tf.cast(age, tf.float32),
      importance_weight=tf.cast(1. / (size * info.probability), tf.float32),
      offline_factor=factor, measuring=tf.fill(task.shape, measured))
  return unroll, SampleInfo(info.key, task, info.probability)
