"""Statistics of a batch by task. Axes: B batch, T tasks."""

import tensorflow as tf


def mean_by_task(values: tf.Tensor, task: tf.Tensor,
                 num_tasks: int) -> tf.Tensor:
  """Mean of each task's rows.

  Args:
    values: <float32>[B].
    task: <int32>[B] in 0..num_tasks - 1.
    num_tasks: T.

  Returns:
    <float32>[T]; 0 where a task has no row.
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
  highest = tf.math.unsorted_segment_max(values, task, num_tasks)
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
  return tf.math.unsorted_segment_sum(ones, task, num_tasks)
