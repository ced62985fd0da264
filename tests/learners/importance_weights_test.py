"""Tests of the normalised importance weights."""

import numpy as np
import tensorflow as tf

from xtra_tf.learners.importance_weights import ImportanceWeights


class ImportanceWeightsTest(tf.test.TestCase):

  def test_first_batch_has_maximum_one_in_each_task(self):
    weights = ImportanceWeights(2)(
        tf.constant([1., 4., 0.25, 0.5]), tf.constant([0, 0, 1, 1]),
        tf.constant(0.5))
    self.assertAllClose(weights, [0.5, 1., 0.5**0.5, 1.])

  def test_uniform_sampling_gives_ones(self):
    importance = ImportanceWeights(2)
    for _ in range(3):
      weights = importance(tf.ones([4]), tf.constant([0, 1, 1, 0]),
                           tf.constant(0.7))
      self.assertAllClose(weights, [1., 1., 1., 1.])

  def test_maximum_moves_slowly_and_absent_tasks_keep_theirs(self):
    importance = ImportanceWeights(2, decay=0.9)
    one = tf.constant(1.)
    importance(tf.constant([2., 8.]), tf.constant([0, 1]), one)
    weights = importance(tf.constant([4., 1.]), tf.constant([0, 0]), one)
    self.assertAllClose(importance.maximum, [2.2, 8.])
    self.assertAllClose(weights, [4. / 2.2, 1. / 2.2])

  def test_without_decay_the_batch_itself_is_the_measure(self):
    """As in EfficientZero core/replay_buffer.py: weights / weights.max()."""
    importance = ImportanceWeights(2, decay=0.)
    task = tf.constant([0, 0, 1])
    for inverse in ([2., 8., 3.], [1., 0.25, 5.], [4., 4., 1e-3]):
      weights = importance(tf.constant(inverse), task, tf.constant(0.5))
      raw = np.sqrt(inverse)
      self.assertAllClose(
          weights, [raw[0] / raw[:2].max(), raw[1] / raw[:2].max(), 1.])

  def test_independent_of_the_order_of_rows(self):
    inverse = tf.constant([1., 4., 0.25, 0.5])
    task = tf.constant([0, 0, 1, 1])
    order = [2, 0, 3, 1]
    straight = ImportanceWeights(2)(inverse, task, tf.constant(0.4))
    shuffled = ImportanceWeights(2)(
        tf.gather(inverse, order), tf.gather(task, order), tf.constant(0.4))
    self.assertAllClose(shuffled, tf.gather(straight, order))


if __name__ == '__main__':
  tf.test.main()
