"""How well a policy agrees with the visits of a search. Axes: B batch, A."""

from typing import NamedTuple

import tensorflow as tf


class PolicyAgreement(NamedTuple):
  """A policy beside a search's visits; NaN where there was no search."""
  agrees: tf.Tensor  # <float32>[B] 1: its best action has the most visits; 0
  divergence: tf.Tensor  # <float32>[B] KL(visits || policy), nats


def policy_agreement(logits: tf.Tensor, legal_actions: tf.Tensor,
                     visits: tf.Tensor) -> PolicyAgreement:
  """Compares policies, on their legal actions, with searches.

    policy     = softmax of the legal actions' logits
    agrees     = visits[argmax_a policy[a]] == max_a visits[a]
    divergence = sum_a visits[a] * (log visits[a] - log policy[a])

  Where several actions share the most visits each of them agrees.

  Args:
    logits: <float32>[B, A] of the policy, illegal actions included.
    legal_actions: <bool>[B, A]; at least one a row.
    visits: <float32>[B, A] that sum to 1, all on legal actions; a row of
      zeros means no search.

  Returns:
    The comparison.
  """
  masked = tf.where(legal_actions, logits, logits.dtype.min)
  best = tf.argmax(masked, axis=-1, output_type=tf.int32)
  most = tf.reduce_max(visits, axis=-1)
  agrees = tf.cast(tf.gather(visits, best, batch_dims=1) >= most, tf.float32)
  # xlogy is 0 where no visit is, whatever the logarithm.
  divergence = tf.reduce_sum(
      tf.math.xlogy(visits, visits)
      - tf.math.multiply_no_nan(tf.nn.log_softmax(masked), visits), axis=-1)
  searched = most > 0.
  return PolicyAgreement(*(tf.where(searched, value, float('nan'))
                           for value in (agrees, divergence)))
