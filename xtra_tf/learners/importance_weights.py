"""Importance weights of prioritized samples."""

import tensorflow as tf

from xtra_tf.numerics import replicas, segments


class ImportanceWeights(tf.Module):
  """Weights that undo the bias of prioritized sampling, task by task.

    w_i = (1 / (N P(i)))^beta / m[task],
    m[task] <- decay * m[task] + (1 - decay) * max over the task's rows

  A task's first batch sets m. The paper's form divides by the maximum of the
  batch itself, which makes a row's weight depend on the rows beside it; the
  moving average hardly does.
  Source: prioritized experience replay, section 3.4.
  """

  def __init__(self, num_tasks: int, decay: float = 0.99,
               name: str = 'importance_weights'):
    """Initializes the moving maxima.

    Args:
      num_tasks: T.
      decay: of the moving average.
      name: of the module.
    """
    super().__init__(name=name)
    self._decay = decay
    # 0 until a task's first batch.
    self.maximum = tf.Variable(
        tf.zeros([num_tasks]), trainable=False, name='maximum')

  def __call__(self, inverse_probability: tf.Tensor, task: tf.Tensor,
               exponent: tf.Tensor) -> tf.Tensor:
    """Weights of a batch; moves the maxima of the tasks that it holds.

    Args:
      inverse_probability: <float32>[B] 1 / (N P(i)).
      task: <int32>[B].
      exponent: <float32>[] beta.

    Returns:
      <float32>[B], about 1 for the rarest row of each task.
    """
    raw = tf.pow(inverse_probability, exponent)
    num_tasks = self.maximum.shape[0]
    highest = segments.max_by_task(raw, task, num_tasks)
    before = self.maximum.read_value()
    moved = self._decay * before + (1. - self._decay) * highest
    after = tf.where(before > 0., moved, highest)
    present = segments.count_by_task(task, num_tasks) > 0.
    after = tf.where(present, after, before)
    replicas.assign([self.maximum], [after])
    return raw / tf.gather(after, task)
