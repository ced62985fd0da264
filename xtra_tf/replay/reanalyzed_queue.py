"""Rows with finished targets, on their way from reanalyzers to the learner."""

from typing import Any, Dict, Optional

import numpy as np
import reverb
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.replay.batches import SampledWindows
from xtra_tf.replay.bounded_calls import BoundedCalls
from xtra_tf.replay.probing import probe
from xtra_tf.replay.window import WindowSpec, signature_differences
from xtra_tf.types import Targets

REANALYZED_TABLE = 'run:reanalyzed'
# Batches that wait for the learner; each is older by the ones before it.
MOST_BATCHES = 4
# Reanalyzers look for room before they begin, so that as many more as there
# are may come. Beyond them the oldest batch goes, and nobody waits.
_MOST_REANALYZERS = 64
_PROBE_SECONDS = 2


def batch_spec(window: WindowSpec, rows: int) -> SampledWindows:
  """Specs of a batch in the queue: R rows of one table, with their targets.

  Args:
    window: the rows.
    rows: R.
  """
  states = window.unroll_steps + 1

  def row(dtype: tf.DType, *shape: int) -> tf.TensorSpec:
    return tf.TensorSpec((rows, *shape), dtype)

  return SampledWindows(
      data={name: row(spec.dtype, *spec.shape)
            for name, spec in window.signature().items()},
      key=row(tf.uint64), probability=row(tf.float64),
      table_size=row(tf.int64), task=row(tf.int32),
      targets=Targets(
          value=row(tf.float32, states),
          value_prefix=row(tf.float32, states - 1),
          policy=row(tf.float32, states, *window.target_shape),
          value_mask=row(tf.float32, states),
          value_prefix_mask=row(tf.float32, states - 1),
          policy_mask=row(tf.float32, states),
          consistency_mask=row(tf.float32, states - 1)),
      targets_step=row(tf.int64))


def reanalyzed_table(window: WindowSpec, rows: int) -> reverb.Table:
  """The queue: each batch is taken once, in the order of their coming.

  Args:
    window: the rows.
    rows: of a batch, all of the run's first task.
  """
  return reverb.Table(
      REANALYZED_TABLE, reverb.selectors.Fifo(), reverb.selectors.Fifo(),
      max_size=MOST_BATCHES + _MOST_REANALYZERS, max_times_sampled=1,
      rate_limiter=reverb.rate_limiters.MinSize(1),
      signature=_signature(window, rows))


class ReanalyzedQueue:
  """Puts batches into the queue of a run's server, or takes them."""

  def __init__(self, address: str, window: WindowSpec, rows: int,
               timeout_seconds: float = 30.):
    """Initializes; nothing is asked yet.

    Args:
      address: of the server.
      window: the rows.
      rows: of a batch.
      timeout_seconds: that sending or taking may last.
    """
    self.spec = batch_spec(window, rows)
    self._signature = _signature(window, rows)
    self._calls = BoundedCalls(address, timeout_seconds)

  def check(self) -> None:
    """Refuses a server whose queue holds other batches.

    Raises:
      UnreachableError: the server does not answer.
      IncompatibleDataError: it has no queue, or another one.
    """
    tables = probe(self._calls.client, _PROBE_SECONDS)
    found = (signature_differences(
        self._signature, tables[REANALYZED_TABLE].signature)
             if REANALYZED_TABLE in tables else 'there is no such table')
    if found:
      raise IncompatibleDataError(
          f'The table {REANALYZED_TABLE} of the replay server '
          f'{self._calls.address} is not that of this stage: {found}. Start '
          'all roles of a run with the same version and gin files.')

  def size(self) -> int:
    """Batches that wait.

    Raises:
      UnreachableError: the server does not answer.
    """
    return int(probe(self._calls.client, _PROBE_SECONDS)[
        REANALYZED_TABLE].current_size)

  def is_full(self) -> bool:
    """Whether another batch would only get old.

    Raises:
      UnreachableError: the server does not answer.
    """
    return self.size() >= MOST_BATCHES

  def put(self, batch: SampledWindows) -> None:
    """Adds a batch of arrays, as `batch_spec` says.

    Raises:
      UnreachableError: the server does not answer.
    """
    flat = {name: np.asarray(array)
            for name, array in zip(self._signature, tf.nest.flatten(batch))}
    self._calls('sending reanalyzed rows', lambda: self._calls.client.insert(
        flat, {REANALYZED_TABLE: 1.}))

  def take(self) -> Optional[SampledWindows]:
    """The oldest batch, as arrays; None if none waits.

    Raises:
      UnreachableError: the server does not answer.
    """
    if not self.size():
      return None
    [sample] = self._calls('taking reanalyzed rows', lambda: list(
        self._calls.client.sample(REANALYZED_TABLE, 1, emit_timesteps=False)))
    return tf.nest.pack_sequence_as(
        self.spec, [np.asarray(array)[0] for array in sample.data])


def _signature(window: WindowSpec, rows: int) -> Dict[str, tf.TensorSpec]:
  """The columns of the table, named so that they sort as they are flattened."""
  flat: Any = tf.nest.flatten(batch_spec(window, rows))
  return {f'{index:02d}': tf.TensorSpec((1, *spec.shape), spec.dtype)
          for index, spec in enumerate(flat)}
