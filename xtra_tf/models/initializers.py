"""Initial weights as PyTorch draws them, from one seed for a whole model."""

import math
from typing import Any, Optional

import numpy as np
import tensorflow as tf


class Seeds:
  """Hands out one seed per weight, in the order of creation.

  Equal first seeds give equal sequences, so that two models of one
  configuration and seed start from equal weights.
  """

  def __init__(self, seed: Optional[int] = None):
    """Starts the sequence.

    Args:
      seed: any integer >= 0; None takes entropy from the system.
    """
    self._sequence = np.random.SeedSequence(seed)

  def take(self) -> int:
    """The next seed, in 0 .. 2^31 - 1."""
    child = self._sequence.spawn(1)[0]
    return int(child.generate_state(1)[0]) & 0x7fffffff


def torch_uniform(fan_in: int, seeds: Seeds) -> Any:
  """Uniform in [-b, b], b = 1 / sqrt(fan_in), for kernels and biases alike.

  Source: the defaults of torch.nn.Conv2d, Linear and LSTM, which the official
  networks keep. Keras' own default (Glorot) is wider, and zero for biases.

  Args:
    fan_in: inputs of one unit (kernel height * width * channels for a
      convolution; the hidden size for all weights of an LSTM).
    seeds: where the weight's seed comes from.

  Returns:
    A Keras initializer.
  """
  bound = 1. / math.sqrt(fan_in)
  return tf.keras.initializers.RandomUniform(-bound, bound, seed=seeds.take())
