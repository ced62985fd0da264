"""Pure functions on gradients.

A gradient is a list with one tensor per variable; `None` stands for a variable
that the loss does not use.
"""

from typing import Callable, List, Optional, Sequence, Tuple

import tensorflow as tf

Gradient = Sequence[Optional[tf.Tensor]]


def scale_gradient(x: tf.Tensor, factor: float) -> tf.Tensor:
  """Identity whose gradient is multiplied by `factor`.

  Args:
    x: tensor of any shape.
    factor: what the gradient with respect to `x` is multiplied by.

  Returns:
    `x`, bit for bit.
  """
  @tf.custom_gradient
  def scaled(y: tf.Tensor) -> Tuple[tf.Tensor, Callable]:
    return tf.identity(y), lambda upstream: upstream * factor
  return scaled(x)


def global_norm(gradient: Gradient) -> tf.Tensor:
  """Euclidean norm of a gradient, read as one long vector.

  Args:
    gradient: tensors of any shapes, or None.

  Returns:
    <float32>[]; 0 for a gradient that is None throughout.
  """
  squares = [tf.reduce_sum(tf.square(g)) for g in gradient if g is not None]
  return tf.sqrt(tf.add_n(squares or [tf.zeros([])]))


def clip_by_global_norm(
    gradient: Gradient,
    clip_norm: float) -> Tuple[List[Optional[tf.Tensor]], tf.Tensor]:
  """Shortens a gradient that is longer than `clip_norm`.

    g * min(1, clip_norm / (|g| + 1e-6))

  Source: torch.nn.utils.clip_grad_norm_, as in EfficientZero `core/train.py`.

  Args:
    gradient: tensors of any shapes, or None.
    clip_norm: the longest norm that is let through.

  Returns:
    The clipped gradient, None where it was None, and the norm <float32>[]
    before clipping.
  """
  norm = global_norm(gradient)
  factor = tf.minimum(1., clip_norm / (norm + 1e-6))
  return [None if g is None else g * factor for g in gradient], norm


def flatten(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
  """Several tensors as one long vector.

  Args:
    tensors: of any shapes and one dtype.

  Returns:
    Their elements in order, [n].
  """
  return tf.concat([tf.reshape(t, [-1]) for t in tensors], axis=0)


def unflatten(vector: tf.Tensor,
              shapes: Sequence[tf.TensorShape]) -> List[tf.Tensor]:
  """The inverse of `flatten`.

  Args:
    vector: [n].
    shapes: static, of n elements in all.

  Returns:
    A tensor of each shape.
  """
  sizes = [shape.num_elements() for shape in shapes]
  return [tf.reshape(part, shape)
          for part, shape in zip(tf.split(vector, sizes), shapes)]


def cosine_similarity(first: Gradient, second: Gradient) -> tf.Tensor:
  """Cosine of the angle between two gradients, each read as one long vector.

    cos = <g, h> / (|g| |h|)

  A zero gradient gives 0, so that a task without signal is neither helpful
  nor harmful. `None` (variable not used by this loss) counts as zeros.

  Args:
    first: gradients of the shared variables, any shapes.
    second: gradients of the same variables in the same order.

  Returns:
    <float32>[] in [-1, 1].

  Raises:
    ValueError: if the two lists differ in length.
  """
  if len(first) != len(second):
    raise ValueError('`first` and `second` must list the same variables, got '
                     f'{len(first)} and {len(second)} gradients.')
  # Only variables seen by both losses contribute to the inner product.
  shared = [(g, h) for g, h in zip(first, second)
            if g is not None and h is not None]
  inner = tf.add_n([tf.reduce_sum(g * h) for g, h in shared] or [tf.zeros([])])
  norms = global_norm(first) * global_norm(second)
  return tf.math.divide_no_nan(inner, norms)
