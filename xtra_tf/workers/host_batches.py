"""Batches that this process draws itself, for each of its replicas one."""

from typing import Any, Callable, Iterator, Optional

import tensorflow as tf


class HostBatches:
  """An iterator of a strategy's values out of a data set on this host.

  `distribute_datasets_from_function` puts whole elements on the devices and
  makes the data set where they are. TPUs take no keys of 64 bits without sign,
  a pod's other hosts know no Reverb, and with several processes each batch
  would cost an exchange on whether all have one. Here the data set stays with
  the process whose tables it reads, and the devices get what is handed to the
  step alone.
  """

  def __init__(self, strategy: tf.distribute.Strategy,
               dataset_fn: Callable[[], tf.data.Dataset]):
    """Initializes; nothing is drawn before the first batch is asked for.

    Args:
      strategy: of the learner.
      dataset_fn: of batches for a replica.
    """
    self._strategy = strategy
    self._dataset_fn = dataset_fn
    self._batches: Optional[Iterator[Any]] = None

  def __iter__(self) -> 'HostBatches':
    return self

  def __next__(self) -> Any:
    """The next batch of each replica of this process."""
    if self._batches is None:
      self._batches = iter(self._dataset_fn())
    batches = self._batches
    return self._strategy.experimental_distribute_values_from_function(
        lambda _: next(batches))
