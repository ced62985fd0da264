"""Batches of indexed tables: seeded, no item twice in a sub-batch."""

from typing import Iterator, List, Sequence, Tuple

import numpy as np
import tensorflow as tf

from xtra_tf.replay.batches import (
  Extras,
  SampledWindows,
  Weighting,
  as_batch,
  without_own_prefetch,
)
from xtra_tf.replay.composition import Composition
from xtra_tf.replay.indexed_table import IndexedTable, Sample


def make_indexed_dataset(
    tables: Sequence[IndexedTable], composition: Composition, extras: Extras,
    *, seed: int, first_batch: int = 0,
    prefetch: int = 1) -> tf.data.Dataset:
  """Batches like those of `make_dataset`.

  Batch b is a function of seed, b, and what the tables hold and how they are
  weighted when it is drawn: with `prefetch` 0 that is when it is asked for, so
  that a run can be repeated; with more it is earlier, by the clock.

  Args:
    tables: T tables, in the order of the run's tasks.
    composition: rows of each in a batch.
    extras: what else a batch is told.
    seed: of all draws, 0 or more.
    first_batch: number of the first batch: the gradient step with which a run
      goes on.
    prefetch: batches drawn ahead.

  Returns:
    A data set of (Unroll, SampleInfo), all shapes static.

  Raises:
    UsageError: quotas that do not fit; when a batch is drawn, a table with
      fewer items than its quota.
  """
  composition.check([table.spec.name for table in tables])
  extras.check(len(tables))
  window = tables[0].window
  rows = sum(composition.quotas)

  def draw() -> Iterator[Tuple[SampledWindows, Weighting]]:
    number = first_batch
    while True:
      # Rows and weighting are decided at once.
      weighting = tf.nest.map_structure(
          lambda tensor: tensor.numpy(), extras.weighting())
      rows, factor = composition.divide(
          number, weighting.factor, weighting.measuring)
      yield (_draw(tables, composition, rows, seed, number),
             weighting._replace(factor=factor))
      number += 1

  signature = SampledWindows(
      data={column: tf.TensorSpec([rows, *spec.shape], spec.dtype)
            for column, spec in window.signature().items()},
      key=tf.TensorSpec([rows], tf.uint64),
      probability=tf.TensorSpec([rows], tf.float64),
      table_size=tf.TensorSpec([rows], tf.int64),
      task=tf.TensorSpec([rows], tf.int32))
  weighting = Weighting(tf.TensorSpec([len(tables)], tf.float32),
                        tf.TensorSpec([], tf.bool))
  batches = tf.data.Dataset.from_generator(
      draw, output_signature=(signature, weighting))
  batches = without_own_prefetch(batches.map(
      lambda sample, weighting: as_batch(
          sample, window, extras, composition, weighting)))
  return batches.prefetch(prefetch) if prefetch else batches


def _draw(tables: Sequence[IndexedTable], composition: Composition,
          rows: np.ndarray, seed: int, number: int) -> SampledWindows:
  """Batch `number`: its sub-batches, `rows` of each, one behind the other."""
  drawn: List[Sample] = []
  task: List[int] = []
  for place, table in enumerate(composition.draw(number)):
    count = int(rows[place])
    if count:
      # A table that comes twice must not give the same items again.
      drawn.append(tables[table].sample(count, [seed, number, place]))
      task += [int(table)] * count
  joined = tf.nest.map_structure(lambda *x: np.concatenate(x), *drawn)
  return SampledWindows(joined.data, joined.key, joined.probability,
                        joined.table_size, np.array(task, np.int32))
