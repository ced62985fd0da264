"""Tables of messages: items that are bytes, whatever these say."""

from typing import List

import numpy as np
import reverb
import tensorflow as tf


def newest_table(name: str) -> reverb.Table:
  """A table that holds the newest message alone; empty until there is one."""
  return reverb.Table(
      name, reverb.selectors.Uniform(), reverb.selectors.Fifo(), max_size=1,
      rate_limiter=reverb.rate_limiters.MinSize(1), signature=_signature())


def queue_table(name: str, max_size: int) -> reverb.Table:
  """A table whose messages are read once, in order; the oldest make room."""
  return reverb.Table(
      name, reverb.selectors.Fifo(), reverb.selectors.Fifo(),
      max_size=max_size, max_times_sampled=1,
      rate_limiter=reverb.rate_limiters.MinSize(1), signature=_signature())


def put(client: reverb.Client, name: str, message: bytes) -> None:
  """Adds a message; waits without end for a server that is gone."""
  client.insert(np.frombuffer(message, np.uint8), {name: 1.})


def take(client: reverb.Client, name: str, count: int = 1) -> List[bytes]:
  """Messages of a table that holds so many; waits without end for more."""
  return [np.asarray(sample.data[0], np.uint8).tobytes() for sample in
          client.sample(name, count, emit_timesteps=False)]


def _signature() -> tf.TensorSpec:
  return tf.TensorSpec([1, None], tf.uint8)
