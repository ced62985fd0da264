"""Tests of the statistics by task."""

import numpy as np
import tensorflow as tf

from xtra_tf.numerics import segments


class SegmentsTest(tf.test.TestCase):

  def test_known_values_in_any_order(self):
    values = tf.constant([1., -5., 3., -7.])
    task = tf.constant([2, 0, 2, 0])
    self.assertAllEqual(segments.mean_over_replicas(values, task, 4),
                        [-6., 0., 2., 0.])
    self.assertAllEqual(segments.max_by_task(values, task, 4),
                        [-5., 0., 3., 0.])
    self.assertAllEqual(segments.count_by_task(task, 4), [2., 0., 2., 0.])

  def test_one_task_is_the_batch_mean(self):
    values = tf.constant(np.random.default_rng(0).normal(size=7), tf.float32)
    self.assertAllClose(
        segments.mean_over_replicas(values, tf.zeros([7], tf.int32), 1)[0],
        tf.reduce_mean(values))

  def test_nan_stays_in_its_task(self):
    found = segments.mean_over_replicas(
        tf.constant([np.nan, 2.]), tf.constant([1, 0]), 2)
    self.assertEqual(found[0], 2.)
    self.assertTrue(np.isnan(found[1]))


if __name__ == '__main__':
  tf.test.main()
