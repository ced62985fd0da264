"""A planner that does not look ahead: the policy as it is."""

import dataclasses
from typing import Tuple

import tensorflow as tf

from xtra_tf.planning.planner import Planner, SearchFn
from xtra_tf.types import ModelOutput, SearchOutput, SearchStatistics, Simulator

# How model.json says that a model plays by this planner.
PRIOR = 'prior'


@dataclasses.dataclass(frozen=True)
class PriorPlanner(Planner):
  """Visits in proportion to the root's prior; value as the root predicts.

    prior = softmax(policy_logits over legal actions)
    target = visits * ((1 - f) * prior + f * noise)

  with f the noise fraction and noise uniform random numbers over the legal
  actions, normalised. Without noise the largest target is the policy's own
  choice among the legal actions, as behaviour cloning plays.

  Attributes:
    visits: that are handed out, sum of a target; not whole numbers.
  """
  visits: float = 1.

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
    # Logarithms, too: a probability of a legal action may be 0 in float32.
    log_prior = tf.nn.log_softmax(root.policy_logits - 1e9 * (1. - legal))
    noise = legal * tf.random.stateless_uniform(legal.shape, seed, minval=0.1)
    noise /= tf.reduce_sum(noise, axis=-1, keepdims=True)
    mixed = ((1. - noise_fraction) * tf.exp(log_prior)
             + noise_fraction * noise)
    entropy = -tf.reduce_sum(
        tf.math.multiply_no_nan(tf.math.log(mixed), mixed), axis=1)
    nothing = tf.zeros_like(root.value)
    return SearchOutput(
        target=self.visits * mixed, root_value=root.value,
        statistics=SearchStatistics(
            max_depth=nothing, mean_depth=nothing,
            visit_entropy=entropy,
            prior_to_visit_kl=-entropy - tf.reduce_sum(
                log_prior * mixed, axis=1)))
