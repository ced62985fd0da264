"""Batches of windows out of Reverb tables, sub-batch by sub-batch."""

from typing import Any, Callable, List, Optional, Sequence, Union

import numpy as np
import reverb
import tensorflow as tf

from xtra_tf.replay.batches import (
  Composition,
  Extras,
  SampledWindows,
  as_batch,
  without_own_prefetch,
)
from xtra_tf.replay.probing import check_table
from xtra_tf.replay.window import WindowSpec

# Samples on their way from a table. Each was drawn with the priorities of the
# moment, so more of them are older when they arrive.
_MAX_IN_FLIGHT = 64


def make_dataset(
    address: Union[str, Sequence[str]], tables: Sequence[str],
    quotas: Sequence[int], window: WindowSpec, *,
    legal_masks: np.ndarray, env_steps: tf.Variable,
    task_weights: Optional[tf.Variable] = None,
    measuring: Optional[tf.Variable] = None, prefetch: int = 1,
    mixed: Sequence[int] = (), seed: int = 0,
    guard: Optional[Callable[[str, tf.data.Dataset], tf.data.Dataset]] = None
) -> tf.data.Dataset:
  """Batches of sub-batches, sub-batch i with `quotas[i]` windows of table i.

  Tables are sampled with replacement. The variables are read when a batch is
  drawn, `prefetch` batches before it is handed out, and must be on the host.

  Args:
    address: of the replay server, or one for each table.
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
    mixed: indices of tables, the last ones, of which each sub-batch draws one
      anew; see Composition.
    seed: of these draws.
    guard: given a table's name and its sub-batches, what is used instead.

  Returns:
    A data set of (Unroll, SampleInfo) with B = sum(quotas), all shapes static.

  Raises:
    UnreachableError: the server does not answer.
    UsageError: quotas that do not fit, or a table that does not exist.
    IncompatibleDataError: a table holds other windows.
  """
  composition = Composition(tuple(quotas), tuple(mixed), seed)
  composition.check(tables)
  extras = Extras(np.asarray(legal_masks, bool), env_steps, task_weights,
                  measuring)
  extras.check(len(tables))
  addresses = [address] * len(tables) if isinstance(address, str) else address
  parts: List[tf.data.Dataset] = []
  drawn: List[tf.data.Dataset] = []
  for index, (table, quota) in enumerate(zip(tables, composition.quotas)):
    if not quota:
      continue
    check_table(reverb.Client(addresses[index]), table, window)
    part = _table_batches(addresses[index], table, index, quota, window)
    (drawn if index in composition.mixed else parts).append(
        guard(table, part) if guard else part)
  if drawn:
    parts.append(_mixed_batches(drawn, composition))

  def merge(*samples: SampledWindows) -> Any:
    joined = tf.nest.map_structure(lambda *x: tf.concat(x, 0), *samples)
    return as_batch(joined, window, extras, composition)

  batches = without_own_prefetch(
      tf.data.Dataset.zip(tuple(parts)).map(merge))
  return batches.prefetch(prefetch) if prefetch else batches


def _table_batches(address: str, table: str, index: int, quota: int,
                   window: WindowSpec) -> tf.data.Dataset:
  """Sub-batches of one table, as SampledWindows."""
  signature = window.signature()
  samples = reverb.TrajectoryDataset(
      address, table, dtypes={k: s.dtype for k, s in signature.items()},
      shapes={k: s.shape for k, s in signature.items()},
      max_in_flight_samples_per_worker=min(quota, _MAX_IN_FLIGHT),
      num_workers_per_iterator=1)

  def named(sample: reverb.ReplaySample) -> SampledWindows:
    info: Any = sample.info
    return SampledWindows(sample.data, info.key, info.probability,
                          info.table_size, tf.fill([quota], index))
  return samples.batch(quota, drop_remainder=True).map(named)


def _mixed_batches(parts: Sequence[tf.data.Dataset],
                   composition: Composition) -> tf.data.Dataset:
  """As many sub-batches as there are parts, each of a part drawn at random."""
  choices = tf.data.Dataset.random(seed=composition.seed).map(
      lambda number: number % len(parts))
  chosen = tf.data.Dataset.choose_from_datasets(
      list(parts), choices, stop_on_empty_dataset=False)
  return chosen.batch(len(parts), drop_remainder=True).map(
      lambda sample: tf.nest.map_structure(
          lambda x: tf.reshape(x, [x.shape[0] * x.shape[1], *x.shape[2:]]),
          sample))
