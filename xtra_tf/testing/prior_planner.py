"""A planner that does not look ahead, for tests."""

from typing import Tuple

import tensorflow as tf

from xtra_tf.planning.planner import Planner, SearchFn
from xtra_tf.types import ModelOutput, SearchOutput, SearchStatistics, Simulator


class PriorPlanner(Planner):
  """Visits in proportion to the root's prior; value as the root predicts.

    prior = softmax(policy_logits over legal actions)
    visits = num_simulations * ((1 - f) * prior + f * noise)

  with f the noise fraction and noise uniform random numbers over the legal
  actions, normalised. Visits are not whole numbers.
  """

  def __init__(self, num_simulations: int = 10):
    """Keeps the number of visits to hand out."""
    self._num_simulations = num_simulations

  def target_shape(self, num_actions: int) -> Tuple[int, ...]:
    """See Planner."""
    return (num_actions,)

  def bind(self, simulator: Simulator) -> SearchFn:
    """See Planner; the simulator is never called."""
    del simulator  # No step is imagined.
    return self._search

  def _search(self, root: ModelOutput, legal_actions: tf.Tensor,
              noise_fraction: tf.Tensor, seed: tf.Tensor) -> SearchOutput:
    legal = tf.cast(legal_actions, tf.float32)
    prior = tf.nn.softmax(root.policy_logits - 1e9 * (1. - legal))
    noise = legal * tf.random.stateless_uniform(legal.shape, seed, minval=0.1)
    noise /= tf.reduce_sum(noise, axis=-1, keepdims=True)
    mixed = (1. - noise_fraction) * prior + noise_fraction * noise
    zeros = tf.zeros_like(root.value)
    return SearchOutput(
        target=self._num_simulations * mixed, root_value=root.value,
        statistics=SearchStatistics(zeros, zeros, zeros, zeros))
