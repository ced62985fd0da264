"""One gradient step on a weighted sum of task losses; it knows no model.

T tasks; task 0 is the target.
"""

import math
from typing import (
  Any,
  Callable,
  List,
  NamedTuple,
  Optional,
  Sequence,
  Tuple,
  Union,
)

import tensorflow as tf

from xtra_tf.learners.momentum_sgd import MomentumSgd
from xtra_tf.numerics import gradients, replicas


class TaskLosses(NamedTuple):
  """What a step minimises, and what goes along."""
  losses: tf.Tensor  # <float32>[T] one loss a task; this replica's part of it
  extra: Any  # nest of tensors for the caller


class TaskPasses(NamedTuple):
  """A forward pass for each task alone, in task order."""
  inputs: Sequence[Any]  # nest of tensors a task, rows of that task alone
  loss: Callable[[Any], Tuple[tf.Tensor, Any]]  # inputs -> loss [], rows' extra


class StepResult(NamedTuple):
  """What a gradient step was like."""
  loss: tf.Tensor  # <float32>[] sum of coefficient * task loss
  losses: tf.Tensor  # <float32>[T] of the tasks, before coefficients
  gradient_norm: tf.Tensor  # <float32>[] scaled, before clipping
  cosine: tf.Tensor  # <float32>[T] with task 0's gradient; NaN if unmeasured
  task_gradient_norm: tf.Tensor  # <float32>[T] scaled; NaN if unmeasured
  finite: tf.Tensor  # <bool>[] the step was applied
  extra: Any  # as `TaskLosses.extra`


class _Measurement(NamedTuple):
  """The gradient to be applied and how the tasks' own compare."""
  gradient: Any  # of sum_i coefficients[i] * losses[i]: a list without Nones,
  # or, until all tasks are in it, one vector
  cosine: tf.Tensor  # as StepResult.cosine
  norm: tf.Tensor  # as StepResult.task_gradient_norm


class _Pass(NamedTuple):
  """What forward and backward passes gave."""
  losses: tf.Tensor  # <float32>[T]
  extra: Any
  found: _Measurement


class GradientStep:
  """Gradient, scale, clip, momentum; all or nothing.

  Source: EfficientZero `core/train.py` (`update_weights`); the measurement is
  XTRA's, `core/train.py:325-427` and `core/pcgrad_amp.py`.
  """

  def __init__(self, variables: Sequence[tf.Variable],
               statistics: Sequence[tf.Variable], optimizer: MomentumSgd,
               loss_scale: float, clip_norm: float,
               measurement_clamp: Optional[float] = None,
               compared: Optional[Sequence[bool]] = None):
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
      compared: of each variable, whether its gradient is compared; None: all.
    """
    self._variables = list(variables)
    self._statistics = list(statistics)
    self._optimizer = optimizer
    self._loss_scale = loss_scale
    self._clip_norm = clip_norm
    self._measurement_clamp = measurement_clamp
    self._is_compared = (
        [True] * len(self._variables) if compared is None else list(compared))

  def __call__(self, losses_fn: Callable[[], TaskLosses],
               coefficients: tf.Tensor, learning_rate: tf.Tensor,
               measured: Union[tf.Tensor, bool, None] = None,
               passes: Optional[TaskPasses] = None) -> StepResult:
    """Makes one step on sum_i coefficients[i] * losses[i].

    Nothing is changed, neither weights nor velocities nor running statistics,
    if loss or gradient are not finite.

    A measured step has the tasks' own gradients, and what is applied is put
    together from them, without a further backward pass: the total is linear in
    the task losses,  gradient = sum_i coefficients[i] * gradient_i.  Without
    `passes` they are made by T backward passes through the joint forward pass,
    as in XTRA `core/train.py:325-427`. With `passes` each task has a forward
    and a backward pass of its own: as many rows in all as a plain step has, but
    batch statistics of each task's rows alone. The running statistics then
    become the mean, by rows, of what each pass makes of them.

    Args:
      losses_fn: one joint forward pass over all tasks.
      coefficients: <float32>[T].
      learning_rate: <float32>[].
      measured: <bool>[] whether the tasks' gradients are to be compared, or a
        bool that is known when the step is traced: what replicas exchange
        cannot stand in a branch. None: never.
      passes: the tasks' own passes, for measured steps; None: the joint one.

    Returns:
      What the step was like.
    """
    before = [v.read_value() for v in self._statistics]
    # Which gradients are None is known once a pass is traced.
    connected: List[bool] = []
    if measured is None or measured is False:
      made = self._plain(losses_fn, coefficients, connected)
    elif measured is True:
      made = (self._unrolled(losses_fn, coefficients, connected)
              if passes is None else
              self._by_task(passes, coefficients, connected))
    elif passes is None:
      made = self._joint(losses_fn, coefficients, measured, connected)
    else:
      made = tf.cond(
          measured,
          lambda: self._by_task(passes, coefficients, connected),
          lambda: self._plain(losses_fn, coefficients, connected))
    return self._applied(made, connected, coefficients, learning_rate, before)

  def _applied(self, made: _Pass, connected: Sequence[bool],
               coefficients: tf.Tensor, learning_rate: tf.Tensor,
               before: Sequence[tf.Tensor]) -> StepResult:
    """Clips and applies, or takes everything back."""
    clipped, norm = gradients.clip_by_global_norm(
        made.found.gradient, self._clip_norm)
    losses = replicas.total(made.losses)
    loss = tf.reduce_sum(coefficients * losses)
    finite = tf.logical_and(tf.math.is_finite(norm), tf.math.is_finite(loss))
    values = iter(clipped)
    self._optimizer.apply(
        [next(values) if c else None for c in connected], self._variables,
        learning_rate, finite)
    for variable, old in zip(self._statistics, before):
      variable.assign(tf.where(finite, variable, old))
    return StepResult(
        loss=loss, losses=losses, gradient_norm=norm,
        cosine=made.found.cosine, task_gradient_norm=made.found.norm,
        finite=finite, extra=made.extra)

  def _plain(self, losses_fn: Callable[[], TaskLosses],
             coefficients: tf.Tensor, connected: List[bool]) -> _Pass:
    """One backward pass from the weighted sum."""
    with tf.GradientTape() as tape:
      losses, extra = losses_fn()
    values = replicas.total(
        self._backward(tape, losses, coefficients, connected))
    unmeasured = tf.fill(losses.shape, float('nan'))
    return _Pass(losses, extra, _Measurement(values, unmeasured, unmeasured))

  def _joint(self, losses_fn: Callable[[], TaskLosses],
             coefficients: tf.Tensor, measured: tf.Tensor,
             connected: List[bool]) -> _Pass:
    """One forward pass; a backward pass for each task, or one."""
    with tf.GradientTape(persistent=True) as tape:
      losses, extra = losses_fn()
    tasks = losses.shape[0]

    def backward(slopes: tf.Tensor) -> List[tf.Tensor]:
      return self._backward(tape, losses, slopes, connected)

    def vector(slopes: tf.Tensor) -> tf.Tensor:
      return self._vector(backward(slopes), connected)

    def plain() -> _Measurement:
      unmeasured = tf.fill([tasks], float('nan'))
      return _Measurement(backward(coefficients), unmeasured, unmeasured)

    def measure() -> _Measurement:
      target = vector(tf.one_hot(0, tasks))
      # A loop, because a backward pass takes seconds to trace.
      found = tf.while_loop(
          lambda index, _: index < tasks,
          lambda index, so_far: (index + 1, self._add(
              so_far, target, vector(tf.one_hot(index, tasks)), index,
              coefficients, connected)),
          (tf.constant(1), self._first(target, coefficients, connected)),
          parallel_iterations=1, maximum_iterations=tasks)[1]
      return self._in_parts(found, connected)

    found = tf.cond(measured, measure, plain)
    return _Pass(losses, extra, found)

  def _unrolled(self, losses_fn: Callable[[], TaskLosses],
                coefficients: tf.Tensor, connected: List[bool]) -> _Pass:
    """As `_joint`, the backward passes one after the other in the graph."""
    with tf.GradientTape(persistent=True) as tape:
      losses, extra = losses_fn()
    tasks = losses.shape[0]
    each = [
        self._vector(self._backward(
            tape, losses, tf.one_hot(index, tasks), connected), connected)
        for index in range(tasks)]
    return _Pass(losses, extra, self._compare(each, coefficients, connected))

  def _by_task(self, passes: TaskPasses, coefficients: tf.Tensor,
               connected: List[bool]) -> _Pass:
    """A forward and a backward pass for each task's rows."""
    rows = [tf.nest.flatten(rows)[0].shape[0] for rows in passes.inputs]
    losses, extras, each, changes = [], [], [], []

    def make(inputs: Any) -> Tuple[tf.Tensor, tf.Tensor, Any, tf.Tensor]:
      before = [v.read_value() for v in self._statistics]
      with tf.GradientTape() as tape:
        loss, extra = passes.loss(inputs)
      gradient = self._vector(
          self._backward(tape, loss, tf.constant(1.), connected), connected)
      change = (gradients.flatten([v.read_value() for v in self._statistics])
                - gradients.flatten(before))
      for variable, old in zip(self._statistics, before):
        variable.assign(old)
      return gradient, loss, extra, change

    if replicas.number() == 1:
      # Traced once for each number of rows, not once a task, and a graph of its
      # own, so that it is optimised once, not once a task: a minute less until
      # the first step is made. Replicas cannot exchange anything inside a
      # function.
      make = tf.function(make, autograph=False,
                         experimental_attributes={'_noinline': True})
    for index, inputs in enumerate(passes.inputs):
      gradient, loss, extra, change = make(inputs)
      losses.append(loss)
      extras.append(extra)
      each.append(gradient)
      changes.append(rows[index] / sum(rows) * change)
    moved = gradients.unflatten(
        tf.add_n(changes), [v.shape for v in self._statistics])
    for variable, change in zip(self._statistics, moved):
      variable.assign_add(change)
    extra = tf.nest.map_structure(lambda *x: tf.concat(x, axis=0), *extras)
    return _Pass(tf.stack(losses), extra,
                 self._compare(each, coefficients, connected))

  def _compare(self, each: Sequence[tf.Tensor], coefficients: tf.Tensor,
               connected: Sequence[bool]) -> _Measurement:
    """Measurement and update out of each task's gradient on this replica."""
    target, *others = replicas.total(list(each))
    found = self._first(target, coefficients, connected)
    for index, gradient in enumerate(others, 1):
      found = self._add(
          found, target, gradient, index, coefficients, connected)
    return self._in_parts(found, connected)

  def _backward(self, tape: tf.GradientTape, loss: tf.Tensor,
                slopes: tf.Tensor, connected: List[bool]) -> List[tf.Tensor]:
    """Scaled gradient of sum(slopes * loss) where it is not None."""
    found = tape.gradient(loss, self._variables,
                          output_gradients=self._loss_scale * slopes)
    connected[:] = [g is not None for g in found]
    return [tf.convert_to_tensor(g) for g in found if g is not None]

  def _vector(self, gradient: Sequence[tf.Tensor],
              connected: Sequence[bool]) -> tf.Tensor:
    """A gradient as one vector, what is compared in front.

    A task's gradient takes part in some ten operations. As one vector it takes
    ten; in a tensor a variable, a thousand for each task, that all have to be
    traced and optimised.
    """
    return gradients.flatten([gradient[i] for i in self._order(connected)])

  def _in_parts(self, found: _Measurement,
                connected: Sequence[bool]) -> _Measurement:
    """The measurement, its gradient a tensor for each connected variable."""
    order = self._order(connected)
    shapes = [v.shape for v, c in zip(self._variables, connected) if c]
    parts = gradients.unflatten(found.gradient, [shapes[i] for i in order])
    placed = dict(zip(order, parts))
    return found._replace(gradient=[placed[i] for i in range(len(shapes))])

  def _order(self, connected: Sequence[bool]) -> List[int]:
    """Places of the connected variables in a vector."""
    kept = [here for here, there in zip(self._is_compared, connected) if there]
    return sorted(range(len(kept)), key=lambda i: not kept[i])

  def _first(self, target: tf.Tensor, coefficients: tf.Tensor,
             connected: Sequence[bool]) -> _Measurement:
    """The measurement that knows the target's gradient alone."""
    tasks = coefficients.shape[0]
    compared = [self._compared(target, connected)]
    return _Measurement(
        coefficients[0] * target,
        tf.fill([tasks], gradients.cosine_similarity(compared, compared)),
        tf.fill([tasks], gradients.global_norm([target])))

  def _add(self, so_far: _Measurement, target: tf.Tensor, task: tf.Tensor,
           index: tf.Tensor, coefficients: tf.Tensor,
           connected: Sequence[bool]) -> _Measurement:
    """Adds the gradient of the task of some index."""
    here = tf.equal(tf.range(coefficients.shape[0]), index)
    cosine = gradients.cosine_similarity(
        [self._compared(target, connected)], [self._compared(task, connected)])
    return _Measurement(
        so_far.gradient + coefficients[index] * task,
        tf.where(here, cosine, so_far.cosine),
        tf.where(here, gradients.global_norm([task]), so_far.norm))

  def _compared(self, gradient: tf.Tensor,
                connected: Sequence[bool]) -> tf.Tensor:
    """A task's gradient, of the connected variables, as the cosine sees it."""
    seen = gradient
    if not all(self._is_compared):
      seen = gradient[:sum(
          math.prod(v.shape) for v, here, there in zip(
              self._variables, self._is_compared, connected) if here and there)]
    bound = self._measurement_clamp
    return seen if bound is None else tf.clip_by_value(seen, -bound, bound)
