"""Batches of windows out of Reverb tables, sub-batch by sub-batch."""

from typing import Any, Callable, List, Optional, Sequence, Union

import reverb
import tensorflow as tf

from xtra_tf.replay.batches import (
  Extras,
  SampledWindows,
  as_batch,
  divide,
  without_own_prefetch,
)
from xtra_tf.replay.composition import Composition
from xtra_tf.replay.probing import check_table
from xtra_tf.replay.window import WindowSpec

# Samples on their way from a table. Each was drawn with the priorities of the
# moment, so more of them are older when they arrive.
_MAX_IN_FLIGHT = 64


def make_dataset(
    address: Union[str, Sequence[str]], tables: Sequence[str],
    composition: Composition, window: WindowSpec, extras: Extras, *,
    first_batch: int = 0, prefetch: int = 1,
    guard: Optional[Callable[[str, tf.data.Dataset], tf.data.Dataset]] = None,
    first: Optional[tf.data.Dataset] = None) -> tf.data.Dataset:
  """Batches of sub-batches, sub-batch i with `quotas[i]` windows of table i.

  Tables are sampled with replacement. The variables are read when a batch is
  drawn, `prefetch` batches before it is handed out, and must be on the host.

  Args:
    address: of the replay server, or one for each table.
    tables: T names, in the order of the run's tasks.
    composition: rows of each; a table with 0 is not sampled.
    window: the items.
    extras: what else a batch is told.
    first_batch: number of the first batch, by which rows are divided among
      weighted tables: the gradient step with which a run goes on.
    prefetch: batches drawn ahead.
    guard: given a table's name and its sub-batches, what is used instead.
    first: the sub-batches of the first table, SampledWindows with targets; if
      left out they are sampled, too.

  Returns:
    A data set of (Unroll, SampleInfo) with B = sum(quotas), all shapes static.

  Raises:
    UnreachableError: the server does not answer.
    UsageError: quotas that do not fit, or a table that does not exist.
    IncompatibleDataError: a table holds other windows.
  """
  composition.check(tables)
  extras.check(len(tables))
  addresses = [address] * len(tables) if isinstance(address, str) else address
  own: List[tf.data.Dataset] = []
  drawn: List[tf.data.Dataset] = []
  for index, (table, quota) in enumerate(zip(tables, composition.quotas)):
    if not quota:
      continue
    if first is not None and not index:
      own.append(first)
      continue
    check_table(reverb.Client(addresses[index]), table, window)
    part = table_batches(addresses[index], table, index, quota, window)
    # Of whole sub-batches: a guard costs as much for a row.
    part = guard(table, part) if guard else part
    if index in composition.weighted:
      part = part.unbatch()
    (drawn if index in composition.mixed + composition.weighted
     else own).append(part)
  if composition.weighted:
    batches = _weighted_batches(own, drawn, window, extras, composition,
                                first_batch)
  else:
    if drawn:
      own.append(_mixed_batches(drawn, composition))
    batches = tf.data.Dataset.zip(tuple(own)).map(
        lambda *samples: as_batch(_joined(samples), window, extras,
                                  composition))
  batches = without_own_prefetch(batches)
  return batches.prefetch(prefetch) if prefetch else batches


def table_batches(address: str, table: str, index: int, quota: int,
                  window: WindowSpec) -> tf.data.Dataset:
  """Sub-batches of one table, as SampledWindows.

  Args:
    address: of the replay server.
    table: name.
    index: of its task.
    quota: rows of a sub-batch.
    window: the items.
  """
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


def _weighted_batches(own: Sequence[tf.data.Dataset],
                      rows: Sequence[tf.data.Dataset], window: WindowSpec,
                      extras: Extras, composition: Composition,
                      first_batch: int) -> tf.data.Dataset:
  """Batches whose last tables share their rows by weight.

  The tables of a batch are decided at once, with the weighting that it then
  carries: `choose_from_datasets` would have the one long before the other.

  Args:
    own: sub-batches of the tables with rows of their own.
    rows: of each of the others, row by row.
    window: the items.
    extras: has the weights.
    composition: decides.
    first_batch: number of the first batch.
  """
  # One iterator a table for all batches; each is a connection to the server.
  sources = [iter(part) for part in rows]
  first = composition.weighted[0]
  begin = sum(composition.quotas[:first])

  def fetch(table: tf.Tensor) -> SampledWindows:
    return tf.switch_case(
        table - first, [lambda source=s: next(source) for s in sources])

  def make(batch: tf.Tensor, *samples: SampledWindows) -> Any:
    table, weighting = divide(batch, extras, composition)
    shared = tf.map_fn(fetch, table[begin:], parallel_iterations=1,
                       fn_output_signature=rows[0].element_spec)
    return as_batch(_joined([*samples, shared]), window, extras, composition,
                    weighting)

  numbers = tf.data.Dataset.counter(start=first_batch)
  return tf.data.Dataset.zip((numbers, *own)).map(make)


def _joined(samples: Sequence[SampledWindows]) -> SampledWindows:
  """Sub-batches one behind the other; the first may have targets."""
  windows = [sample._replace(targets=(), targets_step=())
             for sample in samples]
  return tf.nest.map_structure(lambda *x: tf.concat(x, 0), *windows)._replace(
      targets=samples[0].targets, targets_step=samples[0].targets_step)
