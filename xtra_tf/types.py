"""The tuples that travel between packages; every field with its axes.

Axes: B batch, A actions of the task family, S stacked frames, W rows of a
replay window, K unroll steps, n bootstrap (TD) steps, T tasks of a run.
NamedTuples, because tf.nest, tf.function, tf.data and Reverb open them;
settings live in frozen dataclasses elsewhere.
"""

from typing import Any, Callable, NamedTuple

import tensorflow as tf

# Columns of `scalars` in a replay window, in this order.
SCALARS = ('reward', 'terminal', 'truncated', 'life_loss', 'real',
           'root_value', 'bootstrap_value', 'has_search')
# Columns of `position` in a replay window, in this order.
POSITION = ('episode', 'step', 'env_step')


class ModelOutput(NamedTuple):
  """What one inference of a world model says. B is the leading axis."""
  state: Any  # nest of tensors [B, ...] from which the model goes on
  reward: tf.Tensor  # <float32>[B] value prefix since the last prefix reset
  value: tf.Tensor  # <float32>[B] in the units of the (clipped) reward
  policy_logits: tf.Tensor  # <float32>[B, A], not masked
  reward_logits: tf.Tensor  # <float32>[B, bins] of the value prefix
  value_logits: tf.Tensor  # <float32>[B, bins]


class Simulator(NamedTuple):
  """What a planner may ask of a world model."""
  recurrent: Callable[[Any, tf.Tensor], ModelOutput]  # (state, action[B])
  reset_prefix: Callable[[Any, tf.Tensor], Any]  # (state, bool[B]) -> state
  prefix_horizon: int  # steps after which the value prefix starts anew


class SearchStatistics(NamedTuple):
  """What a search was like, one number a tree."""
  max_depth: tf.Tensor  # <float32>[B] depth of the deepest leaf
  mean_depth: tf.Tensor  # <float32>[B] mean depth of the expanded leaves
  visit_entropy: tf.Tensor  # <float32>[B] nats, of the root's visits
  prior_to_visit_kl: tf.Tensor  # <float32>[B] nats, KL(visits || prior)


class SearchOutput(NamedTuple):
  """What a planner returns."""
  target: tf.Tensor  # <float32>[B, A] visit counts of the root's children
  root_value: tf.Tensor  # <float32>[B]
  statistics: SearchStatistics


class Unroll(NamedTuple):
  """One training batch, with all that losses and targets need.

  Row `stack - 1` of a window is the anchor, the state from which the model is
  unrolled; W = stack - 1 + K + 1 + n. Row j holds the observation o_j, the
  action taken there and what followed it.
  """
  observation: tf.Tensor  # <task dtype>[B, W, *frame]
  action: tf.Tensor  # <int32>[B, W]
  search: tf.Tensor  # <float32>[B, W, A] visit counts; zeros if has_search=0
  scalars: tf.Tensor  # <float32>[B, W, 8], columns SCALARS
  position: tf.Tensor  # <int64>[B, W, 3], columns POSITION
  task: tf.Tensor  # <int32>[B] index in the run's list of tasks
  legal_actions: tf.Tensor  # <bool>[B, A]
  age: tf.Tensor  # <float32>[B] env steps since the anchor was taken
  importance_weight: tf.Tensor  # <float32>[B] 1 / (N P(i)), before the exponent
  offline_factor: tf.Tensor  # <float32>[B] factor of the row's loss (its eta)
  measuring: tf.Tensor  # <bool>[B] task gradients are to be measured
  # Targets of the first task's rows, if a reanalyzer has made them
  targets: Any = ()


class SampleInfo(NamedTuple):
  """Where the rows of a batch came from; for the priority update."""
  key: tf.Tensor  # <uint64>[B] Reverb's item keys
  task: tf.Tensor  # <int32>[B]
  position: tf.Tensor  # <int64>[B, 2] episode and step of the anchor
  probability: tf.Tensor  # <float64>[B]
  # <int64>[B] environment steps of the row's task when the anchor was taken
  taken_at: Any = ()
  # <int64>[R] updates behind the weights by which a reanalyzer has made the
  # targets of the first task's R rows
  targets_step: Any = ()


class Targets(NamedTuple):
  """What an unroll is trained towards. k = 0..K, prefixes k = 1..K."""
  value: tf.Tensor  # <float32>[B, K + 1] real scale
  value_prefix: tf.Tensor  # <float32>[B, K] real scale
  policy: tf.Tensor  # <float32>[B, K + 1, A] sums to 1, or 0 where no target
  value_mask: tf.Tensor  # <float32>[B, K + 1] 1 where there is a target
  value_prefix_mask: tf.Tensor  # <float32>[B, K]
  policy_mask: tf.Tensor  # <float32>[B, K + 1]
  consistency_mask: tf.Tensor  # <float32>[B, K] 1 where o_{t+k} was observed


class LossParts(NamedTuple):
  """Per-sample losses of an unroll, summed over k, before coefficients."""
  value: tf.Tensor  # <float32>[B]
  value_prefix: tf.Tensor  # <float32>[B]
  policy: tf.Tensor  # <float32>[B]
  consistency: tf.Tensor  # <float32>[B]


class TrainingMetrics(NamedTuple):
  """What a gradient step reports, as `LossInfo.extra`."""
  parts: LossParts  # each <float32>[B]
  task: tf.Tensor  # <int32>[B]
  priority: tf.Tensor  # <float32>[B] |predicted value - target| at the anchor
  task_loss: tf.Tensor  # <float32>[T] mean weighted loss of each task's rows
  gradient_norm: tf.Tensor  # <float32>[] before clipping
  learning_rate: tf.Tensor  # <float32>[]
  cosine: tf.Tensor  # <float32>[T] with the target's; NaN if unmeasured
  task_gradient_norm: tf.Tensor  # <float32>[T]; NaN if unmeasured
  finite: tf.Tensor  # <bool>[] loss and gradient are finite
  agreement: tf.Tensor  # <float32>[B] 1: the best legal action of the policy at
  # the root is the target's most visited one, else 0; NaN without a target
  divergence: tf.Tensor  # <float32>[B] KL(target || that policy); NaN likewise
