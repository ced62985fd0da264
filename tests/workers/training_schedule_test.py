"""When acting may go on."""

from absl.testing import absltest, parameterized

from xtra_tf.workers import TrainingSchedule


class TrainingScheduleTest(parameterized.TestCase):

  @parameterized.parameters(
      # The official pace: 2000 steps, then one a gradient step.
      (1.0, 2000, 0, 2000),
      (1.0, 2000, 1, 2001),
      (1.0, 2000, 50_000, 52_000),
      # Two gradient steps to an environment step, and the other way round.
      (2.0, 10, 3, 11),
      (2.0, 10, 4, 12),
      (0.25, 10, 3, 22))
  def test_by_hand(self, pace, start, updates, expected):
    schedule = TrainingSchedule(
        updates=120_000, env_steps=100_000, updates_per_env_step=pace,
        start_env_steps=start)
    self.assertEqual(schedule.allowed_env_steps(updates), expected)

  def test_last_updates_are_made_without_new_data(self):
    schedule = TrainingSchedule(updates=120, env_steps=100, start_env_steps=20)
    allowed = [schedule.allowed_env_steps(u) for u in range(121)]
    self.assertEqual(allowed, sorted(allowed))
    self.assertEqual(allowed[80:], [100] * 41)
    self.assertEqual(allowed[79], 99)

  def test_an_offline_stage_never_plays(self):
    schedule = TrainingSchedule(updates=10, start_env_steps=5)
    self.assertEqual(schedule.allowed_env_steps(10), 0)


if __name__ == '__main__':
  absltest.main()
