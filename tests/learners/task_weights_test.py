"""Tests of the task weights' state machine."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.learners.task_weights import TaskWeights, TaskWeightSettings


class OfficialTwin:
  """What XTRA `core/train.py` does for one offline task, step by step."""

  def __init__(self, settings):
    self._settings = settings
    self._hits = self._total = 1
    self.weight = 1.

  def weight_at(self, step, cosine):
    """The weight used in this step; its cosine is looked at if measured."""
    settings = self._settings
    phase = step % settings.period
    if step >= settings.start and phase < settings.window:
      self._total += 1
      if cosine > settings.threshold:
        self._hits += 1
    elif phase == settings.window:
      self.weight = round(self._hits / self._total, 2)
      self._hits = self._total = 1
    return self.weight


class TaskWeightsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(0, 12)
  def test_equals_official_code(self, start):
    settings = TaskWeightSettings(
        start=start, period=12, window=5, threshold=0.1)
    weights = TaskWeights(settings, 4)
    observe = tf.function(weights.observe)
    twins = [OfficialTwin(settings) for _ in range(3)]
    random = np.random.default_rng(0)
    for step in range(50):
      cosine = np.append(1., random.normal(0.1, 0.3, 3)).astype(np.float32)
      cosine[3] = np.nan if step % 7 == 0 else cosine[3]
      used = weights.weights.numpy()
      expected = [twin.weight_at(step, c)
                  for twin, c in zip(twins, cosine[1:])]
      self.assertAllClose(used, [1., *expected])
      measured = bool(weights.measuring.numpy())
      self.assertEqual(
          measured, step >= start and step % 12 < 5, f'step {step}')
      observe(cosine, measured, tf.constant(step, tf.int64))

  def test_tasks_that_are_not_in_every_batch(self):
    """A twin counts a task's own batches only; without any it gets 1."""
    settings = TaskWeightSettings(start=0, period=12, window=5, threshold=-0.5)
    weights = TaskWeights(settings, 5)
    twins = [OfficialTwin(settings) for _ in range(4)]
    random = np.random.default_rng(1)
    for step in range(50):
      cosine = np.append(1., random.normal(-0.5, 0.3, 4)).astype(np.float32)
      present = np.array([True, *(random.random(3) < 0.5), False])
      # A task without rows has no gradient: a cosine of 0, here above the
      # threshold.
      cosine[~present] = 0.
      for index, twin in enumerate(twins, start=1):
        if present[index] or step % 12 >= settings.window:
          twin.weight_at(step, cosine[index])
      measured = bool(weights.measuring.numpy())
      weights.observe(tf.constant(cosine), tf.constant(measured),
                      tf.constant(step, tf.int64), tf.constant(present))
      if step % 12 >= settings.window:
        self.assertAllClose(
            weights.weights, [1., *(twin.weight for twin in twins)])
    self.assertEqual(weights.weights[4], 1.)

  def test_batches_in_flight_shift_the_window_and_lose_nothing(self):
    settings = TaskWeightSettings(start=4, period=20, window=6, threshold=0.)
    weights = TaskWeights(settings, 2)
    in_flight = [False, False]  # drawn before the flag was read
    counted = []
    for step in range(44):
      in_flight.append(bool(weights.measuring.numpy()))
      measured = in_flight.pop(0)
      cosine = [1., 1. if len(counted) % 2 else -1.]
      before = float(weights.measured.numpy())
      weights.observe(tf.constant(cosine), tf.constant(measured),
                      tf.constant(step, tf.int64))
      if weights.measured.numpy() > before or (
          before and not weights.measured.numpy()):
        counted.append(step)
    self.assertEqual(counted, [*range(6, 12), *range(26, 32)])
    self.assertAllClose(weights.weights, [1., round(4 / 7, 2)])

  def test_settings_that_cannot_be_meant(self):
    with self.assertRaisesRegex(UsageError, 'window is 7.*period, which is 7'):
      TaskWeightSettings(period=7, window=7)
    with self.assertRaisesRegex(UsageError, 'start is -1'):
      TaskWeightSettings(start=-1)
    with self.assertRaisesRegex(UsageError, 'threshold is 2'):
      TaskWeightSettings(threshold=2.)
    with self.assertRaisesRegex(ValueError, 'got 1 tasks'):
      TaskWeights(TaskWeightSettings(), 1)


if __name__ == '__main__':
  tf.test.main()
