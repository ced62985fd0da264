"""Priorities that a table can bear, and their updates."""

import math
from typing import Sequence

import numpy as np
import reverb
import tensorflow as tf

from xtra_tf.types import SampleInfo

SMALLEST = 1e-6  # official: |v - z| + 1e-6, so that no item is never drawn
LARGEST = 1e6


def sanitize(priority: tf.Tensor) -> tf.Tensor:
  """Priorities that no table chokes on.

    clip(where(isfinite(p), p, SMALLEST), SMALLEST, LARGEST)

  Reverb takes an infinite priority and then draws unpredictably; a negative
  one stops the table for good; 0 is never drawn again.

  Args:
    priority: <float>[...].

  Returns:
    <float64>[...].
  """
  p = tf.cast(priority, tf.float64)
  p = tf.where(tf.math.is_finite(p), p, tf.constant(SMALLEST, tf.float64))
  return tf.clip_by_value(p, SMALLEST, LARGEST)


def sanitize_number(priority: float) -> float:
  """`sanitize` of one number, without a tensor."""
  number = float(priority)
  # Without NumPy, whose scalars take as long as the item.
  return min(max(number, SMALLEST), LARGEST) if math.isfinite(
      number) else SMALLEST


def sanitize_array(priority: np.ndarray) -> np.ndarray:
  """`sanitize` of an array, <float64>[...], without a tensor."""
  p = np.asarray(priority, np.float64)
  return np.clip(np.where(np.isfinite(p), p, SMALLEST), SMALLEST, LARGEST)


def update_priorities(client: reverb.TFClient, tables: Sequence[str],
                      info: SampleInfo, priority: tf.Tensor) -> None:
  """Gives the items of a batch their new priorities; may be in a tf.function.

  Items that their table has dropped meanwhile are passed over.

  Args:
    client: `ReplayServer.tf_client()`.
    tables: names in the order of the run's tasks.
    info: of the batch.
    priority: <float>[B].
  """
  sane = sanitize(priority)
  for index, table in enumerate(tables):
    rows = tf.where(info.task == index)[:, 0]
    client.update_priorities(
        table, tf.gather(info.key, rows), tf.gather(sane, rows))


def update_priorities_from_host(client: reverb.Client, tables: Sequence[str],
                                info: SampleInfo, priority: np.ndarray) -> None:
  """`update_priorities` for arrays, through an ordinary client."""
  task, keys = np.asarray(info.task), np.asarray(info.key)
  sane = sanitize_array(priority)
  for index, table in enumerate(tables):
    rows = np.flatnonzero(task == index)
    if rows.size:
      client.mutate_priorities(
          table, updates={int(keys[r]): float(sane[r]) for r in rows})
