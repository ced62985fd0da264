"""How a batch is shared by tasks, and which settings are refused."""

import re

from absl.testing import absltest, parameterized

from xtra_tf.errors import UsageError
from xtra_tf.experiments.settings import (
  ReplaySettings,
  StageSettings,
  TaskSettings,
  TeacherPassSettings,
  quotas,
)
from xtra_tf.workers import TrainingSchedule


class QuotasTest(parameterized.TestCase):

  @parameterized.product(batch_size=(8, 9, 31, 256), num_sources=(1, 2, 3, 8),
                         with_target=(False, True))
  def test_laws(self, batch_size, num_sources, with_target):
    rows = quotas(batch_size, num_sources, with_target)
    offline = rows[1:] if with_target else rows
    if with_target:
      self.assertEqual(rows[0], batch_size)
    # The batch size does not depend on the number of tasks.
    self.assertLen(offline, num_sources)
    self.assertEqual(sum(offline), batch_size)
    # Equal shares, the remainder to the first tasks.
    self.assertLessEqual(max(offline) - min(offline), 1)
    self.assertEqual(list(offline), sorted(offline, reverse=True))

  @parameterized.parameters(
      (256, 3, True, (256, 86, 85, 85)),
      (256, 4, True, (256, 64, 64, 64, 64)),
      (5, 3, False, (2, 2, 1)),
      (3, 3, False, (1, 1, 1)))
  def test_by_hand(self, batch_size, num_sources, with_target, expected):
    self.assertEqual(quotas(batch_size, num_sources, with_target), expected)

  @parameterized.parameters(
      (256, 3, True, (256, 85, 85, 85)), (256, 4, True, (256, 64, 64, 64, 64)),
      (5, 3, False, (1, 1, 1)))
  def test_equal_shares_leave_the_remainder_out(self, batch_size, num_sources,
                                                with_target, expected):
    self.assertEqual(quotas(batch_size, num_sources, with_target, equal=True),
                     expected)

  def test_a_task_without_a_row_is_refused(self):
    with self.assertRaisesRegex(
        UsageError, r'batch of 2 rows cannot be shared by 3 offline tasks\. '
        'Expected at least one row a task'):
      quotas(2, 3, with_target=True)


class TaskSettingsTest(parameterized.TestCase):

  def test_sources_become_a_tuple(self):
    settings = TaskSettings('Alien', ['Amidar', 'Hero'])
    self.assertEqual(settings.sources, ('Amidar', 'Hero'))

  @parameterized.parameters(
      (('Alien', 'Hero'), r'target Alien is also a source .*found sources '
       'Alien, Hero'),
      (('Hero', 'Hero'), 'named twice: Hero, Hero'),
      ('Hero', r"is the text 'Hero'\. Expected a tuple .*\('Hero',\)"))
  def test_refused(self, sources, message):
    with self.assertRaisesRegex(UsageError, message):
      TaskSettings('Alien', sources)

  def test_codecs(self):
    self.assertEqual(TaskSettings('Alien', ('Hero',)).codec, 'lossless')
    with self.assertRaisesRegex(
        UsageError, r"TaskSettings\.codec is 'png'\. Expected one of "
        "'lossless', 'jpeg'"):
      TaskSettings('Alien', ('Hero',), codec='png')


class StageSettingsTest(parameterized.TestCase):

  @parameterized.parameters(
      'updates', 'batch_size', 'num_envs', 'save_interval', 'log_interval',
      'acting_update_period', 'evaluation_episodes', 'max_episode_steps')
  def test_counts_are_at_least_1(self, name):
    with self.assertRaisesRegex(
        UsageError, rf'StageSettings\.{name} is 0\. Expected at least 1'):
      StageSettings(**{'updates': 10, name: 0})

  @parameterized.parameters(10., '10', True)
  def test_counts_are_whole_numbers(self, value):
    with self.assertRaisesRegex(
        UsageError, 'updates is .*10.*a whole number|updates is True'):
      StageSettings(updates=value)

  @parameterized.parameters('env_steps', 'start_env_steps',
                            'off_policy_interval', 'evaluation_interval')
  def test_what_may_be_left_out_is_at_least_0(self, name):
    self.assertEqual(getattr(StageSettings(**{'updates': 1, name: 0}), name), 0)
    with self.assertRaisesRegex(UsageError, f'{name} is -1. Expected at least 0'
                                ):
      StageSettings(**{'updates': 1, name: -1})

  def test_pace_is_above_0(self):
    with self.assertRaisesRegex(UsageError, r'updates_per_env_step is 0\.0\. '
                                'Expected more than 0'):
      StageSettings(updates=10, updates_per_env_step=0.)

  def test_training_that_would_never_begin(self):
    with self.assertRaisesRegex(
        UsageError, "start_env_steps is 11, more than the stage's 10"):
      StageSettings(updates=10, env_steps=10, start_env_steps=11)
    StageSettings(updates=10, env_steps=10, start_env_steps=10)

  @parameterized.parameters(
      (120_000, 1., 2000, 100_000), (200, 0.2, 500, 1500), (10, 0.1, 120, 220),
      (30, 0.3, 120, 220), (1, 1., 10, 11), (41, 2., 0, 20))
  def test_a_stage_plays_all_its_steps_or_is_refused(self, updates, pace,
                                                     start, reached):
    arguments = {'updates': updates, 'updates_per_env_step': pace,
                 'start_env_steps': start}
    StageSettings(**arguments, env_steps=reached)
    # What the trainer allows after the last update.
    most = TrainingSchedule(**arguments, env_steps=10**9).allowed_env_steps(
        updates)
    self.assertLessEqual(reached, most)
    with self.assertRaisesRegex(
        UsageError, f'env_steps is {most + 1}, but {start} steps before .* '
        f'{updates} updates, {pace} a step, play only {most}. Expected at '
        r'least (\d+) updates') as caught:
      StageSettings(**arguments, env_steps=most + 1)
    needed = int(re.search(r'least (\d+)', str(caught.exception))[1])
    self.assertGreater(needed, updates)
    StageSettings(**{**arguments, 'updates': needed}, env_steps=most + 1)

  @parameterized.product(
      name=('policy_reanalyze_ratio', 'value_reanalyze_ratio'),
      value=(-0.1, 1.1, float('nan')))
  def test_ratios_are_shares(self, name, value):
    self.assertEqual(getattr(StageSettings(updates=1), name), 1.)
    with self.assertRaisesRegex(
        UsageError, rf'StageSettings\.{name} is {value}\. Expected 0 to 1'):
      StageSettings(**{'updates': 1, name: value})

  def test_an_offline_stage_needs_no_start(self):
    self.assertEqual(StageSettings(updates=1, start_env_steps=5).env_steps, 0)


class OtherSettingsTest(parameterized.TestCase):

  @parameterized.parameters('max_size', 'unroll_steps', 'td_steps')
  def test_counts_of_the_replay(self, name):
    with self.assertRaisesRegex(UsageError, f'ReplaySettings.{name} is 0'):
      ReplaySettings(**{name: 0})

  def test_priority_exponent(self):
    with self.assertRaisesRegex(UsageError, 'priority_exponent is -1. Expected'
                                ):
      ReplaySettings(priority_exponent=-1)

  def test_teacher_pass(self):
    with self.assertRaisesRegex(UsageError, 'PassSettings.batch_size is 0'):
      TeacherPassSettings(batch_size=0)
    with self.assertRaisesRegex(UsageError, 'noise_fraction is 2. Expected 0'):
      TeacherPassSettings(noise_fraction=2)


if __name__ == '__main__':
  absltest.main()
