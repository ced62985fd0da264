"""A copy of the model that follows with a lag, for training targets."""

import tensorflow as tf

from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import replicas


class TargetNetwork(tf.Module):
  """Publishes snapshots of the online model, one period late.

  At steps 0, P, 2P, ... the snapshot taken P steps before is copied into the
  target model and a new one is taken, so that the target lags P to 2P steps.
  At step 0 the target becomes the online model, whatever it held before: a
  pretrained model is its own first target.
  Source: EfficientZero `core/train.py:368-394`.
  """

  def __init__(self, online: WorldModel, target: WorldModel, period: int = 200,
               name: str = 'target_network'):
    """Creates the snapshot.

    Args:
      online: the trained model.
      target: another model of the same structure; both must be built.
      period: P, gradient steps.
      name: of the module.

    Raises:
      ValueError: if the two are one model or differ in their variables.
    """
    super().__init__(name=name)
    if online is target:
      raise ValueError('The target network must be a model of its own.')
    shapes = [[tuple(v.shape) for v in m.variables] for m in (online, target)]
    if shapes[0] != shapes[1]:
      raise ValueError(
          'Online and target model must have the same variables, got '
          f'{len(shapes[0])} and {len(shapes[1])} or other shapes.')
    self._online = online
    self._target = target
    self._period = period
    self._snapshot = [
        tf.Variable(v, trainable=False, name='snapshot')
        for v in online.variables]

  def refresh(self, step: tf.Tensor) -> None:
    """Publishes and takes a snapshot if it is time; call it at every step.

    Args:
      step: <int64>[] gradient steps done.
    """
    due = tf.equal(step % self._period, 0)
    first = tf.equal(step, 0)
    # Selected by value and not by tf.cond, which would not let XLA or a
    # distribution strategy see the assignments.
    current = [now.read_value() for now in self._online.variables]
    newest = [tf.where(first, now, kept)
              for now, kept in zip(current, self._snapshot)]
    kept = [tf.where(due, now, kept)
            for now, kept in zip(current, self._snapshot)]
    published = [tf.where(due, new, old)
                 for new, old in zip(newest, self._target.variables)]
    replicas.assign([*self._target.variables, *self._snapshot],
                    [*published, *kept])
