"""Which devices a learner's step runs on: `tf.distribute` by name."""

from typing import Sequence, Tuple

import tensorflow as tf

from xtra_tf.errors import UsageError, near_names

# Of one process.
STRATEGIES = ('one', 'mirrored')


def make(name: str) -> tf.distribute.Strategy:
  """The strategy of a name.

  Args:
    name: `one`, a single device; `mirrored`, a replica on each GPU, without
      GPUs on each logical CPU, as many as this process was given.

  Raises:
    UsageError: there is no such strategy.
  """
  if name not in STRATEGIES:
    raise UsageError(f'--strategy is {name!r}. {near_names(name, STRATEGIES)}')
  if name == 'one':
    return tf.distribute.get_strategy()
  devices = (tf.config.list_logical_devices('GPU')
             or tf.config.list_logical_devices('CPU'))
  exchange = None
  if devices[0].device_type == 'CPU':
    # Collectives take three times as long to trace and gain nothing here.
    exchange = tf.distribute.ReductionToOneDevice()
  return tf.distribute.MirroredStrategy(
      [device.name for device in devices], cross_device_ops=exchange)


def rows_of_a_replica(rows: Sequence[int], replicas: int, stage: str
                      ) -> Tuple[int, ...]:
  """Rows of each task on one replica, as many on all.

  Args:
    rows: of each task in a whole batch.
    replicas: in sync.
    stage: for the message.

  Raises:
    UsageError: they cannot be divided; names numbers that could.
  """
  if any(count % replicas for count in rows):
    raise UsageError(
        f'A batch of the stage {stage} has {", ".join(map(str, rows))} rows of '
        f'its tasks, which {replicas} replicas cannot share equally. Expected '
        f'multiples of {replicas} for each task: another BATCH_SIZE (it is '
        'divided among the offline tasks), fewer devices, or --strategy=one.')
  return tuple(count // replicas for count in rows)
