"""The protocol of a planner: root and recurrent function to a search result.

A new planner joins by implementing this class and inheriting the suite in
tests/conformance/planner_suite.py.
"""

import abc
from typing import Callable, Tuple

import tensorflow as tf

from xtra_tf.types import ModelOutput, SearchOutput, Simulator

# (root [B, ...], legal_actions <bool>[B, A], noise_fraction <float32>[],
#  seed <int32>[2]) -> SearchOutput
SearchFn = Callable[[ModelOutput, tf.Tensor, tf.Tensor, tf.Tensor],
                    SearchOutput]


class Planner(abc.ABC):
  """Looks ahead with a world model."""

  @abc.abstractmethod
  def target_shape(self, num_actions: int) -> Tuple[int, ...]:
    """Shape of one row's `SearchOutput.target`, as replay stores it."""

  @abc.abstractmethod
  def bind(self, simulator: Simulator) -> SearchFn:
    """Returns the search over one simulator, compiled once per batch size.

    Args:
      simulator: the world model's recurrent function and prefix handling.

    Returns:
      A function of (root, legal_actions, noise_fraction, seed). The batch size
      is static. `noise_fraction` <float32>[] mixes exploration noise into the
      root (0: none); `seed` <int32>[2] decides noise and ties, so that equal
      arguments give equal results.
    """
