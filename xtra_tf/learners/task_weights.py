"""How much each offline task may teach, measured by gradient agreement.

T tasks; task 0 is the target and always has weight 1.
"""

import dataclasses
from typing import Optional

import tensorflow as tf

from xtra_tf.errors import UsageError, near_names

MEASUREMENTS = ('joint', 'by_task')


@dataclasses.dataclass(frozen=True)
class TaskWeightSettings:
  """When gradients are compared, and what counts as agreement.

  Source: XTRA `core/train.py:325-427`.

  Attributes:
    start: gradient step at which the first window opens; all weights are 1
      until it has closed.
    period: gradient steps from one window's start to the next's.
    window: measured gradient steps of a window.
    threshold: a cosine above it is a hit.
    gradient_clamp: largest element of the gradients that are compared; None:
      they are compared as they are. Official: 5 (`core/pcgrad_amp.py:87`).
    measurement: how the tasks' gradients are had. `joint`, official: one
      forward pass of all rows and a backward pass a task, each as long as that
      of a whole step. `by_task`: a forward and a backward pass of each task's
      rows alone; hardly longer than a plain step, but batch norm then sees one
      task at a time, so that gradients, and the update, are not quite those of
      a plain step.
  """
  start: int = 10_000
  period: int = 5_000
  window: int = 500
  threshold: float = 0.1
  gradient_clamp: Optional[float] = None
  measurement: str = 'joint'

  def __post_init__(self) -> None:
    if self.start < 0:
      raise UsageError(f'TaskWeightSettings.start is {self.start}. Expected 0 '
                       'or more gradient steps.')
    if not 1 <= self.window < self.period:
      raise UsageError(
          f'TaskWeightSettings.window is {self.window}. Expected at least 1 '
          f'and less than the period, which is {self.period} gradient steps.')
    if not -1 <= self.threshold <= 1:
      raise UsageError(f'TaskWeightSettings.threshold is {self.threshold}. '
                       'Expected a cosine, between -1 and 1.')
    if self.gradient_clamp is not None and not self.gradient_clamp > 0:
      raise UsageError(f'TaskWeightSettings.gradient_clamp is '
                       f'{self.gradient_clamp}. Expected more than 0, or None.')
    if self.measurement not in MEASUREMENTS:
      raise UsageError(
          f'TaskWeightSettings.measurement is {self.measurement!r}. '
          f'{near_names(str(self.measurement), MEASUREMENTS)}')


class TaskWeights(tf.Module):
  """The weights and their measurement, all of it in variables.

  A window opens at steps start, start + period, ... While `measuring` is set,
  batches are drawn as measured ones; each counts once. After `window` of them

    weight = round((1 + hits) / (1 + window), 2)

  and the window closes. The smoothing by 1 and the rounding are the official
  code's. Counting batches instead of steps keeps a window whole although
  batches in flight were drawn before it opened. Where the tasks of a batch are
  drawn at random, a batch counts for those that are in it; a task that no
  measured batch had gets the weight 1.
  """

  def __init__(self, settings: TaskWeightSettings, num_tasks: int,
               name: str = 'task_weights'):
    """Creates the state: weights of 1, no window open unless start is 0.

    Args:
      settings: when and how to measure.
      num_tasks: T, the target included.
      name: of the module.

    Raises:
      ValueError: if there is no offline task.
    """
    super().__init__(name=name)
    if num_tasks < 2:
      raise ValueError('Task weights need a target and at least one offline '
                       f'task, got {num_tasks} tasks.')
    self.settings = settings
    # Read by the data set when a batch is drawn; never by the learner.
    self.weights = tf.Variable(
        tf.ones([num_tasks]), trainable=False, name='weights')
    self.measuring = tf.Variable(
        settings.start == 0, trainable=False, name='measuring')
    self.hits = tf.Variable(
        tf.zeros([num_tasks]), trainable=False, name='hits')
    self.measured = tf.Variable(0., trainable=False, name='measured')
    # Of the measured batches, those without a row of the task.
    self.absent = tf.Variable(
        tf.zeros([num_tasks]), trainable=False, name='absent')

  def observe(self, cosine: tf.Tensor, measured: tf.Tensor,
              step: tf.Tensor, present: Optional[tf.Tensor] = None) -> None:
    """Counts a step and moves windows and weights; call it at every step.

    Args:
      cosine: <float32>[T] of each task's gradient with the target's; NaN is no
        hit.
      measured: <bool>[] whether this step's batch was drawn as measured.
      step: <int64>[] gradient steps done before this one.
      present: <bool>[T] whether the task has rows in the batch; all if left
        out. The target, task 0, always has.
    """
    settings = self.settings
    is_open = self.measuring.read_value()
    # Batches drawn just before a window closed arrive after it: not counted.
    counted = tf.cast(tf.logical_and(measured, is_open), tf.float32)
    here = (tf.ones_like(self.hits) if present is None
            else tf.cast(present, tf.float32))
    hit = here * tf.cast(cosine > settings.threshold, tf.float32)
    hits = self.hits + counted * hit
    total = self.measured + counted
    absent = self.absent + counted * (1. - here)

    closes = tf.logical_and(is_open, total >= float(settings.window))
    ratio = tf.round(100. * (1. + hits) / (1. + total - absent)) / 100.
    is_target = tf.range(self.weights.shape[0]) < 1
    self.weights.assign(tf.where(
        tf.logical_and(closes, tf.logical_not(is_target)), ratio,
        self.weights))
    self.hits.assign(tf.where(closes, tf.zeros_like(hits), hits))
    self.measured.assign(tf.where(closes, 0., total))
    self.absent.assign(tf.where(closes, tf.zeros_like(absent), absent))

    since_start = step + 1 - settings.start
    opens = tf.logical_and(
        since_start >= 0, tf.equal(since_start % settings.period, 0))
    stays = tf.logical_and(is_open, tf.logical_not(closes))
    self.measuring.assign(tf.logical_or(opens, stays))
