"""Tests of the schedules."""

from absl.testing import parameterized
import tensorflow as tf

from xtra_tf.numerics import schedules


class SchedulesTest(parameterized.TestCase, tf.test.TestCase):

  def test_learning_rate_without_warmup_starts_at_the_peak(self):
    self.assertAllClose(schedules.learning_rate(0, warmup_steps=0), 0.2)

  def test_learning_rate_falls_again_and_again(self):
    self.assertAllClose(schedules.learning_rate(201_000), 0.002)

  def test_importance_exponent_stays_at_its_end(self):
    self.assertAllClose(schedules.importance_exponent(500_000), 1.)

  @parameterized.parameters((0, 1.), (49, 1.), (50, 0.5), (74, 0.5),
                            (75, 0.25), (1000, 0.25))
  def test_visit_temperature(self, step, expected):
    self.assertAllClose(
        schedules.visit_temperature(tf.constant(step, tf.int64), 100), expected)

  def test_visit_temperature_numbers_must_fit(self):
    with self.assertRaisesRegex(ValueError, 'got 2 and 2'):
      schedules.visit_temperature(0, 10, (0.5, 0.75), (1., 0.5))

  def test_integer_ages(self):
    self.assertAllEqual(
        schedules.td_steps(tf.constant([0, 30], tf.int64), 3, 10), [3, 1])


if __name__ == '__main__':
  tf.test.main()
