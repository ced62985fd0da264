"""Tests of distributions over integer bins."""

import numpy as np
import tensorflow as tf

from xtra_tf.numerics import two_hot


def _two_hot_twin(values, minimum, maximum):
  """Official order: the upper bin is written first, then the lower."""
  rows = np.zeros([len(values), maximum - minimum + 1])
  for row, value in zip(rows, np.clip(values, minimum, maximum)):
    low, high = int(np.floor(value)), int(np.ceil(value))
    row[high - minimum] = value - low
    row[low - minimum] = 1 - (value - low)
  return rows


class TwoHotTest(tf.test.TestCase):

  def test_equals_twin_and_sums_to_one(self):
    values = np.random.default_rng(0).uniform(-12, 12, 100).astype(np.float32)
    found = two_hot.two_hot(values, -10, 10)
    self.assertAllClose(found, _two_hot_twin(values, -10, 10), atol=2e-6)
    self.assertAllClose(tf.reduce_sum(found, axis=-1), np.ones(100))

  def test_uniform_logits_are_exactly_zero(self):
    self.assertAllEqual(
        two_hot.logits_to_scalar(tf.zeros([2, 601]), -300, 300), [0., 0.])

  def test_nan_stays_nan(self):
    self.assertTrue(np.isnan(two_hot.two_hot(tf.constant([np.nan]), -1, 1)
                             ).all())

  def test_wrong_number_of_bins(self):
    with self.assertRaisesRegex(ValueError, r'-2..2 has 5 bins.*\(3, 4\)'):
      two_hot.expectation(tf.zeros([3, 4]), -2, 2)


if __name__ == '__main__':
  tf.test.main()
