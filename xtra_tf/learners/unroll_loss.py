"""Unrolls a world model along a batch and says how wrong it was.

Axes: B batch, K unroll steps, A actions.
"""

from typing import List, NamedTuple, Optional, Sequence

import tensorflow as tf

from xtra_tf.learners.settings import LearnerSettings
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import (
  augmentation,
  losses,
  observations,
  replicas,
  scaling,
  two_hot,
)
from xtra_tf.types import SCALARS, LossParts, ModelOutput, Targets, Unroll

# How targets are compressed, by the names that LearnerSettings knows.
_SCALINGS = {'odd': scaling.scale, 'xtra': scaling.scale_xtra}


class TrainingViews(NamedTuple):
  """Augmented observations of an unroll, <float32>[B, ...] each."""
  root: tf.Tensor  # of state t
  future: List[tf.Tensor]  # of states t + 1 .. t + K


class UnrollOutput(NamedTuple):
  """What a model said along an unroll."""
  outputs: List[ModelOutput]  # k = 0..K
  consistency: Optional[tf.Tensor]  # <float32>[B, K], None if left out


def training_views(unroll: Unroll, settings: LearnerSettings,
                   seed: tf.Tensor) -> TrainingViews:
  """Stacks, scales and augments the observations of states t .. t + K.

  The root has a draw of its own; the K future states share one, made on all
  their frames together, as in EfficientZero `core/train.py`.

  Args:
    unroll: the batch.
    settings: of the learner.
    seed: <int32>[2].

  Returns:
    The views; K is settings.unroll_steps.
  """
  stack, steps = settings.stack, settings.unroll_steps
  root_seed, future_seed = augmentation.split_seed(seed)
  root = observations.join_frames(unroll.observation[:, :stack])
  root = _augment(root, settings, root_seed)
  if not steps:
    return TrainingViews(root, [])
  frames = observations.join_frames(unroll.observation[:, 1:stack + steps])
  frames = _augment(frames, settings, future_seed)
  channels = unroll.observation.shape[-1]
  future = [frames[..., k * channels:(k + stack) * channels]
            for k in range(steps)]
  return TrainingViews(root, future)


def training_actions(unroll: Unroll, settings: LearnerSettings,
                     num_actions: int, seed: tf.Tensor,
                     action_ids: Optional[Sequence[int]] = None) -> tf.Tensor:
  """Actions along an unroll; past an end any action that the model knows.

  Nothing was played there, and the window is padded with one and the same
  action: trained with it, the model would learn that this action ends all
  rewards. A truncation is an end too, whatever stands behind it.
  Source: XTRA `core/game_detach.py`, random actions of all 18; EfficientZero
  `core/reanalyze_worker.py`, of its A.

  Args:
    unroll: the batch.
    settings: of the learner.
    num_actions: A.
    seed: <int32>[2].
    action_ids: those that the model knows; None: 0..A - 1.

  Returns:
    <int32>[B, K] of the states t .. t + K - 1.
  """
  first = settings.stack - 1
  last = first + settings.unroll_steps
  action = unroll.action[:, first:last]
  real, truncated = (unroll.scalars[:, first:last, SCALARS.index(name)]
                     for name in ('real', 'truncated'))
  played = real * tf.math.cumprod(1. - truncated, axis=1, exclusive=True) > 0.
  # A stream of its own beside those of the augmentation.
  drawn = replicas.own_rows(tf.random.stateless_uniform(
      [replicas.number() * action.shape[0], action.shape[1]],
      seed=seed + tf.constant([1, 0]),
      maxval=num_actions if action_ids is None else len(action_ids),
      dtype=tf.int32))
  if action_ids is not None:
    drawn = tf.gather(tf.constant(list(action_ids), tf.int32), drawn)
  return tf.where(played, action, drawn)


def unroll_model(world_model: WorldModel, views: TrainingViews,
                 action: tf.Tensor, settings: LearnerSettings
                ) -> UnrollOutput:
  """Predicts K steps from the root, in training mode.

  Each future observation is encoded by a call of its own, between two steps of
  the prediction: the running statistics depend on number and order of calls,
  and so equal those of EfficientZero `core/train.py`.

  Args:
    world_model: the trained model.
    views: of states t .. t + K.
    action: <int32>[B, K] taken in t .. t + K - 1.
    settings: of the learner.

  Returns:
    What the model said at every step.
  """
  output = world_model.initial_inference(views.root, training=True)
  outputs, consistency = [output], []
  for k, future in enumerate(views.future):
    output = world_model.recurrent_inference(
        output.state, action[:, k], training=True)
    outputs.append(output)
    if settings.consistency_coefficient:
      observed = world_model.initial_inference(future, training=True)
      predicted = world_model.project(
          output.state, with_head=True, training=True)
      encoded = world_model.project(
          observed.state, with_head=False, training=True)
      consistency.append(
          losses.negative_cosine(predicted, tf.stop_gradient(encoded)))
  return UnrollOutput(
      outputs, tf.stack(consistency, axis=1) if consistency else None)


def loss_parts(predicted: UnrollOutput, targets: Targets, support: int,
               value_scaling: str = 'odd') -> LossParts:
  """Losses of an unroll, summed over its steps.

    value  = sum_{k=0..K} mask_k * CE(two_hot(z_k), value_k)
    prefix = sum_{k=1..K} mask_k * CE(two_hot(p_k), prefix_k)
    policy = sum_{k=0..K} mask_k * CE(pi_k, policy_k)
    consistency = sum_{k=1..K} mask_k * - cos(predicted_k, encoded_k)

  Source: EfficientZero, equation 5; `core/train.py` (`update_weights`).

  Args:
    predicted: what the model said.
    targets: what it should have said; no gradient flows into them.
    support: bins are -support..support.
    value_scaling: see LearnerSettings.

  Returns:
    Per-sample losses before their coefficients.
  """
  targets = Targets(*[tf.stop_gradient(t) for t in targets])
  outputs = predicted.outputs

  def scalar_loss(scalars: tf.Tensor, logits: List[tf.Tensor],
                  mask: tf.Tensor) -> tf.Tensor:
    wanted = two_hot.scalar_to_two_hot(
        scalars, -support, support, _SCALINGS[value_scaling])
    wrong = losses.cross_entropy(wanted, tf.stack(logits, axis=1))
    return tf.reduce_sum(mask * wrong, axis=1)

  value = scalar_loss(
      targets.value, [o.value_logits for o in outputs], targets.value_mask)
  prefix = tf.zeros_like(value)
  if outputs[1:]:
    prefix = scalar_loss(
        targets.value_prefix, [o.reward_logits for o in outputs[1:]],
        targets.value_prefix_mask)
  policy_logits = tf.stack([o.policy_logits for o in outputs], axis=1)
  policy = tf.reduce_sum(
      targets.policy_mask * losses.cross_entropy(targets.policy, policy_logits),
      axis=1)
  if predicted.consistency is None:
    consistency = tf.zeros_like(value)
  else:
    consistency = tf.reduce_sum(
        targets.consistency_mask * predicted.consistency, axis=1)
  return LossParts(value=value, value_prefix=prefix, policy=policy,
                   consistency=consistency)


def weighted_sum(parts: LossParts, settings: LearnerSettings) -> tf.Tensor:
  """Per-sample loss: the parts times their coefficients.

  Args:
    parts: per-sample losses.
    settings: of the learner.

  Returns:
    <float32>[B].
  """
  return (settings.value_prefix_coefficient * parts.value_prefix
          + settings.value_coefficient * parts.value
          + settings.policy_coefficient * parts.policy
          + settings.consistency_coefficient * parts.consistency)


def _augment(images: tf.Tensor, settings: LearnerSettings,
             seed: tf.Tensor) -> tf.Tensor:
  """Shift, scaling, intensity; vectors are scaled.

  Bytes are shifted before they become numbers of four times their size; what
  comes out is the same.
  """
  if images.shape.rank != 4:
    return observations.scale_frames(images)
  shift_seed, intensity_seed = augmentation.split_seed(seed)
  if settings.shift:
    images = augmentation.random_shift(images, settings.shift, shift_seed)
  images = observations.scale_frames(images)
  if settings.intensity:
    images = augmentation.random_intensity(
        images, settings.intensity, intensity_seed)
  return images
