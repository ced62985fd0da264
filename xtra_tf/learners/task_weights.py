"""How much each offline task may teach, measured by gradient agreement.

T tasks; task 0 is the target and always has weight 1.
"""

from typing import Optional

import tensorflow as tf

from xtra_tf.learners.task_weight_settings import TaskWeightSettings
from xtra_tf.numerics import replicas


class TaskWeights(tf.Module):
  """The weights and their measurement, all of it in variables.

  A window opens at gradient steps start, start + period, ... While `measuring`
  is set, batches are drawn as measured ones; each counts once. After `window`
  of them it closes, and

    weight = round((1 + hits) / (1 + window), 2)       (measure `official`)
    weight = max(0, mean of the window's cosines)      (measure `paper`)

  The smoothing by 1 and the rounding are the official code's. Counting batches
  instead of steps keeps a window whole although batches in flight were drawn
  before it opened. Where the tasks of a batch are drawn at random, a batch
  counts for those that are in it; a task that no measured batch had gets the
  weight 1.
  """

  def __init__(self, settings: TaskWeightSettings, num_tasks: int,
               name: str = 'task_weights'):
    """Creates the state: weights of 1, no window open unless start is 0.

    Args:
      settings: when and how to measure.
      num_tasks: T, the target included.
      name: of the module.

    Raises:
      ValueError: if there is no offline task, or the settings' clock is not
        that of gradient steps.
    """
    super().__init__(name=name)
    if settings.clock != 'gradient_steps':
      raise ValueError('Task weights count gradient steps; see '
                       'TaskWeightSettings.in_gradient_steps.')
    if num_tasks < 2:
      raise ValueError('Task weights need a target and at least one offline '
                       f'task, got {num_tasks} tasks.')
    self.settings = settings
    # Read by the data set when a batch is drawn; never by the learner.
    self.weights = tf.Variable(
        tf.ones([num_tasks]), trainable=False, name='weights')
    self.measuring = tf.Variable(
        settings.start == 0, trainable=False, name='measuring')
    # Hits, or the sum of cosines.
    self.evidence = tf.Variable(
        tf.zeros([num_tasks]), trainable=False, name='evidence')
    self.measured = tf.Variable(0., trainable=False, name='measured')
    # Of the measured batches, those without a row of the task.
    self.absent = tf.Variable(
        tf.zeros([num_tasks]), trainable=False, name='absent')

  def observe(self, cosine: tf.Tensor, measured: tf.Tensor,
              step: tf.Tensor, present: Optional[tf.Tensor] = None) -> None:
    """Counts a step and moves windows and weights; call it at every step.

    Args:
      cosine: <float32>[T] of each task's gradient with the target's; NaN, of a
        gradient of length 0, is no hit and adds nothing to the mean.
      measured: <bool>[] whether this step's batch was drawn as measured.
      step: <int64>[] gradient steps done before this one.
      present: <bool>[T] whether the task has rows in the batch; all if left
        out. The target, task 0, always has.
    """
    settings = self.settings
    is_open = self.measuring.read_value()
    # Batches drawn just before a window closed arrive after it: not counted.
    counted = tf.cast(tf.logical_and(measured, is_open), tf.float32)
    here = (tf.ones_like(self.evidence) if present is None
            else tf.cast(present, tf.float32))
    evidence = self.evidence + counted * here * self._evidence(cosine)
    total = self.measured + counted
    absent = self.absent + counted * (1. - here)

    closes = tf.logical_and(is_open, total >= float(settings.window))
    changes = tf.logical_and(closes, tf.range(self.weights.shape[0]) > 0)
    weights = tf.where(
        changes, self._weights(evidence, total - absent), self.weights)
    since_start = step + 1 - settings.start
    opens = tf.logical_and(
        since_start >= 0, tf.equal(since_start % settings.period, 0))
    stays = tf.logical_and(is_open, tf.logical_not(closes))
    replicas.assign(
        [self.weights, self.evidence, self.measured, self.absent,
         self.measuring],
        [weights, tf.where(closes, tf.zeros_like(evidence), evidence),
         tf.where(closes, 0., total),
         tf.where(closes, tf.zeros_like(absent), absent),
         tf.logical_or(opens, stays)])

  def _evidence(self, cosine: tf.Tensor) -> tf.Tensor:
    """<float32>[T], what a measured step adds."""
    if self.settings.measure == 'paper':
      return tf.where(tf.math.is_nan(cosine), tf.zeros_like(cosine), cosine)
    return tf.cast(cosine > self.settings.threshold, tf.float32)

  def _weights(self, evidence: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """<float32>[T] out of what `count` <float32>[T] measured steps gave."""
    if self.settings.measure == 'constant':
      return self.weights.read_value()
    if self.settings.measure == 'paper':
      return tf.where(count > 0., tf.nn.relu(tf.math.divide_no_nan(
          evidence, count)), tf.ones_like(evidence))
    return tf.round(100. * (1. + evidence) / (1. + count)) / 100.
