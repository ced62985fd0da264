"""Statistics of a batch by task, over all replicas. Axes: B batch, T tasks.

B are this replica's rows; what is returned is of the rows of all replicas.
"""

import tensorflow as tf

from xtra_tf.numerics import replicas


def mean_over_replicas(values: tf.Tensor, task: tf.Tensor,
                       num_tasks: int) -> tf.Tensor:
  """Mean over the replicas of each one's mean, 0 where it has no row.

  For what grows with a task's rows on a replica, of which all have as many
  rows in all: with n_r rows of the task on replica r of R

    (1 / R) sum_r c n_r = c sum_r n_r / R

  is what one device with all rows would have, where a mean over the rows,
  c sum n_r^2 / sum n_r, is more unless all n_r are equal.

  Args:
    values: <float32>[B].
    task: <int32>[B] in 0..num_tasks - 1.
    num_tasks: T.

  Returns:
    <float32>[T]; 0 where a task has no row.
  """
  own = tf.math.divide_no_nan(
      tf.math.unsorted_segment_sum(values, task, num_tasks),
      tf.math.unsorted_segment_sum(
          tf.ones_like(values), task, num_tasks))
  return replicas.total(own) / replicas.number()


def share_by_task(values: tf.Tensor, task: tf.Tensor,
                  num_tasks: int) -> tf.Tensor:
  """What this replica's rows add to the mean of each task's rows.

  The sum over the replicas is the mean over the rows of all of them.

  Args:
    values: <float32>[B].
    task: <int32>[B] in 0..num_tasks - 1.
    num_tasks: T.

  Returns:
    <float32>[T]; 0 where a task has no row here.
  """
  total = tf.math.unsorted_segment_sum(values, task, num_tasks)
  return tf.math.divide_no_nan(total, count_by_task(task, num_tasks))


def max_by_task(values: tf.Tensor, task: tf.Tensor,
                num_tasks: int) -> tf.Tensor:
  """Maximum of each task's rows.

  Args:
    values: <float32>[B].
    task: <int32>[B] in 0..num_tasks - 1.
    num_tasks: T.

  Returns:
    <float32>[T]; 0 where a task has no row.
  """
  # The least number of all where this replica has no row of the task.
  highest = replicas.maximum(
      tf.math.unsorted_segment_max(values, task, num_tasks))
  return tf.where(count_by_task(task, num_tasks) > 0., highest,
                  tf.zeros_like(highest))


def count_by_task(task: tf.Tensor, num_tasks: int) -> tf.Tensor:
  """Number of each task's rows.

  Args:
    task: <int32>[B] in 0..num_tasks - 1.
    num_tasks: T.

  Returns:
    <float32>[T].
  """
  ones = tf.ones_like(task, dtype=tf.float32)
  return replicas.total(tf.math.unsorted_segment_sum(ones, task, num_tasks))
