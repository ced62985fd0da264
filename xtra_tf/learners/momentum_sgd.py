"""Stochastic gradient descent with momentum and L2, in torch's order.

Keras' SGD keeps the learning rate inside the velocity and its weight decay is
decoupled; both give other numbers whenever the rate changes.
"""

from typing import Sequence

import tensorflow as tf

from xtra_tf.numerics import gradients, replicas


class MomentumSgd(tf.Module):
  """Updates variables by

    g <- g + weight_decay * w
    v <- momentum * v + g
    w <- w - learning_rate * v

  Source: torch.optim.SGD as used in EfficientZero `core/train.py`.
  """

  def __init__(self, variables: Sequence[tf.Variable], momentum: float = 0.9,
               weight_decay: float = 1e-4, name: str = 'momentum_sgd'):
    """Creates one velocity per variable.

    Args:
      variables: the trained variables; they must exist.
      momentum: factor of the velocity per step.
      weight_decay: L2 coefficient, of weights and biases alike.
      name: of the module.

    Raises:
      ValueError: if there is no variable.
    """
    super().__init__(name=name)
    if not variables:
      raise ValueError('There is nothing to train: the model has no trainable '
                       'variables. Build it before its optimizer.')
    self._momentum = momentum
    self._weight_decay = weight_decay
    self.velocity = [
        tf.Variable(tf.zeros_like(v), trainable=False, name='velocity')
        for v in variables]

  def apply(self, gradient: gradients.Gradient,
            variables: Sequence[tf.Variable], learning_rate: tf.Tensor,
            applied: tf.Tensor) -> None:
    """Makes one step, or none.

    Args:
      gradient: one tensor per variable; variables with None stay as they are,
        without decay.
      variables: the variables of the constructor, in the same order.
      learning_rate: <float32>[].
      applied: <bool>[]; where it is False nothing changes, even if the
        gradient is NaN.
    """
    rate = tf.where(applied, learning_rate, 0.)
    changed, values = [], []
    for g, variable, velocity in zip(gradient, variables, self.velocity):
      if g is None:
        continue
      moved = self._momentum * velocity + (g + self._weight_decay * variable)
      kept = tf.where(applied, moved, velocity)
      changed += [velocity, variable]
      values += [kept, variable - rate * kept]
    replicas.assign(changed, values)
