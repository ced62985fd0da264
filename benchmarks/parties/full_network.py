"""What all parties of the benchmarks with the full network agree on."""

import numpy as np

OBSERVATION_SHAPE = (96, 96, 12)  # four stacked RGB frames
NUM_ACTIONS = 18
PREFIX_HORIZON = 5
DISCOUNT = 0.997**4
NOISE_FRACTION = 0.25
NOISE_ALPHA = 0.3


def observations(batch: int) -> np.ndarray:
  """<float32>[batch, 12, 96, 96] in [0, 1)."""
  height, width, channels = OBSERVATION_SHAPE
  return np.random.default_rng(0).random([batch, channels, height, width],
                                         np.float32)
