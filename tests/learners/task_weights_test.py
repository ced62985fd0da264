"""Tests of the task weights' state machine."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.learners import TaskWeights, TaskWeightSettings


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

  @parameterized.parameters('paper', 'constant')
  def test_other_measures(self, measure):
    """A twin: the mean of each window's cosines, not below 0; or nothing."""
    settings = TaskWeightSettings(start=3, period=9, window=4, measure=measure)
    weights = TaskWeights(settings, 4)
    observe = tf.function(weights.observe)
    random = np.random.default_rng(0)
    seen, expected = [], np.ones([4])
    for step in range(40):
      cosine = random.uniform([1., 0.2, -1., -0.4], [1., 1., 0.1, 0.4])
      cosine[3] = np.nan if step % 4 == 0 else cosine[3]
      self.assertAllClose(weights.weights, expected)
      measured = bool(weights.measuring.numpy())
      self.assertEqual(measured, step >= 3 and (step - 3) % 9 < 4)
      observe(tf.constant(cosine, tf.float32), measured,
              tf.constant(step, tf.int64))
      if measured:
        seen.append(np.nan_to_num(cosine))
      if len(seen) == 4:
        if measure == 'paper':
          expected = np.maximum(0., np.mean(seen, axis=0))
        seen = []
    self.assertAllEqual(expected == 1., [True] + [measure != 'paper'] * 3)

  def test_paper_measure_counts_the_batches_that_a_task_is_in(self):
    weights = TaskWeights(TaskWeightSettings(
        start=0, period=9, window=4, measure='paper'), 3)
    for step in range(4):
      weights.observe(
          tf.constant([1., 0.5, 0.9]), tf.constant(True),
          tf.constant(step, tf.int64), tf.constant([True, step < 2, False]))
    self.assertAllClose(weights.weights, [1., 0.5, 1.])

  def test_environment_steps_as_the_clock(self):
    settings = TaskWeightSettings(
        clock='env_steps', start=1000, period=400, window=40)
    converted = settings.in_gradient_steps(0.25, start_env_steps=200)
    self.assertEqual((converted.start, converted.period, converted.window),
                     (200, 100, 10))
    self.assertEqual(converted.clock, 'gradient_steps')
    # A start within the steps before training is the first update.
    early = settings.in_gradient_steps(2., start_env_steps=1500)
    self.assertEqual((early.start, early.period), (0, 800))
    plain = TaskWeightSettings()
    self.assertIs(plain.in_gradient_steps(0.1, 2000), plain)
    with self.assertRaisesRegex(
        UsageError, '40 and 400 environment steps, of which each is 0.01'):
      settings.in_gradient_steps(0.01, 0)
    with self.assertRaisesRegex(ValueError, 'in_gradient_steps'):
      TaskWeights(settings, 2)

  def test_choices_are_named(self):
    for name, value, known in (
        ('measure', 'ofical', 'official'), ('use', 'losses', 'loss'),
        ('clock', 'env_step', 'env_steps'), ('passes', 'joined', 'joint')):
      with self.assertRaisesRegex(
          UsageError, f"TaskWeightSettings.{name} is '{value}'.*{known}"):
        TaskWeightSettings(**{name: value})
    with self.assertRaisesRegex(UsageError, 'parts is .*tuple of names'):
      TaskWeightSettings(parts='dynamics')
    with self.assertRaisesRegex(UsageError, 'parts is .*distinct'):
      TaskWeightSettings(parts=('dynamics', 'dynamics'))

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
