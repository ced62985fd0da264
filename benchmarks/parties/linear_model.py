"""The linear model that all parties of the search benchmark search with.

A state has 64 numbers, of which the last 8 are what a value prefix gathers:

  s' = tanh(s W + E[a]),  prefix = s' r,  value = s' v,  logits = s' P

NumPy alone, because every environment has it.
"""

from typing import NamedTuple

import numpy as np

SIZE = 64
MEMORY = 8  # numbers at the end of a state that a prefix reset clears
NUM_ACTIONS = 18
PREFIX_HORIZON = 5
DISCOUNT = 0.997**4
NOISE_FRACTION = 0.25
NOISE_ALPHA = 0.3


class LinearModel(NamedTuple):
  """Weights, all <float32>."""
  transition: np.ndarray  # [64, 64] W
  action: np.ndarray  # [A, 64] E
  reward: np.ndarray  # [64] r
  value: np.ndarray  # [64] v
  policy: np.ndarray  # [64, A] P


def linear_model(num_actions: int = NUM_ACTIONS) -> LinearModel:
  """The weights, the same in every process."""
  random = np.random.default_rng(0)

  def normal(*shape: int) -> np.ndarray:
    return (random.normal(size=shape) / np.sqrt(SIZE)).astype(np.float32)

  return LinearModel(normal(SIZE, SIZE), normal(num_actions, SIZE) * 4.,
                     normal(SIZE), normal(SIZE), normal(SIZE, num_actions))


def roots(batch: int) -> np.ndarray:
  """<float32>[batch, 64], the states at which the searches begin."""
  state = np.random.default_rng(1).normal(size=[batch, SIZE])
  return np.tanh(state).astype(np.float32)
