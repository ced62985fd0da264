"""One gradient step on a weighted sum of task losses; it knows no model.

T tasks; task 0 is the target.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

from xtra_tf.learners.momentum_sgd import MomentumSgd
from xtra_tf.numerics import gradients


class TaskLosses(NamedTuple):
  """What a step minimises, and what goes along."""
  losses: tf.Tensor  # <float32>[T] one loss a task
  extra: Any  # nest of tensors for the caller


class StepResult(NamedTuple):
  """What a gradient step was like."""
  loss: tf.Tensor  # <float32>[] sum of coefficient * task loss
  losses: tf.Tensor  # <float32>[T] of the tasks, before coefficients
  gradient_norm: tf.Tensor  # <float32>[] scaled, before clipping
  cosine: tf.Tensor  # <float32>[T] with task 0's gradient; NaN if unmeasured
  task_gradient_norm: tf.Tensor  # <float32>[T] scaled; NaN if unmeasured
  finite: tf.Tensor  # <bool>[] the step was applied
  extra: Any  # as `TaskLosses.extra`


class _Gradient(NamedTuple):
  """A gradient without its Nones, and what was measured on the way."""
  values: List[tf.Tensor]
  cosine: tf.Tensor
  norm: tf.Tensor


class GradientStep:
  """Gradient, scale, clip, momentum; all or nothing.

  Source: EfficientZero `core/train.py` (`update_weights`); the measurement is
  XTRA's, `core/train.py:325-427` and `core/pcgrad_amp.py`.
  """

  def __init__(self, variables: Sequence[tf.Variable],
               statistics: Sequence[tf.Variable], optimizer: MomentumSgd,
               loss_scale: float, clip_norm: float,
               measurement_clamp: Optional[float] = None):
    """Initializes the step.

    Args:
      variables: what is trained, in the optimizer's order.
      statistics: what the forward pass itself changes (running statistics).
      optimizer: applies the gradient.
      loss_scale: factor of the gradient before clipping.
      clip_norm: longest gradient that is let through.
      measurement_clamp: largest element that a task's gradient has when it is
        compared with the target's; None: as it is. What is applied is never
        clamped. Source: XTRA `core/pcgrad_amp.py:87`.
    """
    self._variables = list(variables)
    self._statistics = list(statistics)
    self._optimizer = optimizer
    self._loss_scale = loss_scale
    self._clip_norm = clip_norm
    self._measurement_clamp = measurement_clamp

  def __call__(self, losses_fn: Callable[[], TaskLosses],
               coefficients: tf.Tensor, learning_rate: tf.Tensor,
               measured: Optional[tf.Tensor] = None) -> StepResult:
    """Makes one step on sum_i coefficients[i] * losses[i].

    Nothing is changed, neither weights nor velocities nor running statistics,
    if loss or gradient are not finite.

    Args:
      losses_fn: one joint forward pass over all tasks.
      coefficients: <float32>[T].
      learning_rate: <float32>[].
      measured: <bool>[] whether the tasks' gradients are to be compared; None:
        never, and no branch is traced.

    Returns:
      What the step was like.
    """
    before = [v.read_value() for v in self._statistics]
    with tf.GradientTape(persistent=measured is not None) as tape:
      losses, extra = losses_fn()
      each = tf.unstack(losses * self._loss_scale)
      total = tf.reduce_sum(coefficients * losses) * self._loss_scale
    gradient, connected = self._gradient(tape, each, total, coefficients,
                                         measured)
    clipped, norm = gradients.clip_by_global_norm(
        gradient.values, self._clip_norm)
    loss = total / self._loss_scale
    finite = tf.logical_and(tf.math.is_finite(norm), tf.math.is_finite(loss))
    values = iter(clipped)
    self._optimizer.apply(
        [next(values) if c else None for c in connected], self._variables,
        learning_rate, finite)
    for variable, old in zip(self._statistics, before):
      variable.assign(tf.where(finite, variable, old))
    return StepResult(
        loss=loss, losses=losses, gradient_norm=norm, cosine=gradient.cosine,
        task_gradient_norm=gradient.norm, finite=finite, extra=extra)

  def _gradient(self, tape: tf.GradientTape, each: List[tf.Tensor],
                total: tf.Tensor, coefficients: tf.Tensor,
                measured: Optional[tf.Tensor]) -> Tuple[_Gradient, List[bool]]:
    """Gradient of the total and which variables it reaches."""
    unmeasured = tf.fill([len(each)], float('nan'))
    # Which gradients are None is known once a branch is traced.
    connected: List[bool] = []

    def plain() -> _Gradient:
      values, connected[:] = self._backward(tape, total)
      return _Gradient(values, unmeasured, unmeasured)

    def measure() -> _Gradient:
      result, connected[:] = self._measure(tape, each, coefficients)
      return result

    if measured is None:
      return plain(), connected
    return tf.cond(measured, measure, plain), connected

  def _backward(self, tape: tf.GradientTape,
                loss: tf.Tensor) -> Tuple[List[tf.Tensor], List[bool]]:
    found = tape.gradient(loss, self._variables)
    return ([tf.convert_to_tensor(g) for g in found if g is not None],
            [g is not None for g in found])

  def _measure(self, tape: tf.GradientTape, each: List[tf.Tensor],
               coefficients: tf.Tensor) -> Tuple[_Gradient, List[bool]]:
    """Builds the gradient of the total out of the tasks' own.

    The total is linear in the task losses, so no further backward pass is
    needed:  gradient = sum_i coefficients[i] * gradient_i.
    """
    target, connected = self._backward(tape, each[0])
    summed = [coefficients[0] * g for g in target]
    compared = self._compared(target)
    cosines = [gradients.cosine_similarity(compared, compared)]
    norms = [gradients.global_norm(target)]
    for index, loss in enumerate(each[1:], start=1):
      task, _ = self._backward(tape, loss)
      summed = [s + coefficients[index] * g for s, g in zip(summed, task)]
      cosines.append(
          gradients.cosine_similarity(compared, self._compared(task)))
      norms.append(gradients.global_norm(task))
    return (_Gradient(summed, tf.stack(cosines), tf.stack(norms)), connected)

  def _compared(self, gradient: List[tf.Tensor]) -> List[tf.Tensor]:
    """A task's gradient as the cosine sees it."""
    bound = self._measurement_clamp
    if bound is None:
      return gradient
    return [tf.clip_by_value(g, -bound, bound) for g in gradient]
