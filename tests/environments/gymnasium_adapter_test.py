"""gymnasium environments against gymnasium itself."""

import dataclasses

import gymnasium
import numpy as np
import tensorflow as tf

from xtra_tf import environments, tasks
from xtra_tf.environments.gymnasium_adapter import GymnasiumGames
from xtra_tf.errors import UsageError

FIRST, MID, LAST = 0, 1, 2


class Corridor(gymnasium.Env):
  """Actions 3 (back) and 4 (on); image observations of two axes."""

  observation_space = gymnasium.spaces.Box(0, 255, (2, 5), np.uint8)
  action_space = gymnasium.spaces.Discrete(2, start=3)

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    self.place = 0
    return self._look(), {}

  def step(self, action):
    assert action in (3, 4)
    self.place += 1 if action == 4 else -1
    return self._look(), 0.5 * self.place, self.place == 3, False, {}

  def _look(self):
    return np.full([2, 5], 10 * (self.place + 10), np.uint8)


gymnasium.register('Corridor-v0', Corridor, max_episode_steps=6)


class GymnasiumTest(tf.test.TestCase):

  def load(self, name, **kwargs):
    settings = {'num_envs': 2, 'seed': 0, 'training': True}
    settings.update(kwargs)
    environment = environments.load(tasks.get_task(name), **settings)
    self.addCleanup(environment.close)
    return environment

  def test_cart_pole_is_gymnasiums_own(self):
    environment = self.load('gym:CartPole-v1')
    time_step = environment.reset()
    twin = gymnasium.make('CartPole-v1')
    expected, _ = twin.reset(seed=int(environment.episode_seeds()[1]))
    self.assertAllEqual(time_step.observation['frame'][1], expected)
    random = np.random.default_rng(0)
    games = 0
    for _ in range(100):
      action = random.integers(2, size=2).astype(np.int32)
      last = time_step.is_last()[1]
      time_step = environment.step(action)
      if last:
        expected, _ = twin.reset(seed=int(environment.episode_seeds()[1]))
        self.assertEqual(time_step.step_type[1], FIRST)
        games += 1
      else:
        expected, reward, over, cut, _ = twin.step(int(action[1]))
        self.assertEqual(environment.get_info().raw_reward[1], reward)
        self.assertEqual(bool(environment.get_info().terminal[1]), over)
        self.assertEqual(bool(environment.get_info().truncated[1]), cut)
      self.assertAllEqual(time_step.observation['frame'][1], expected)
    self.assertGreater(games, 2)

  def test_the_environments_time_limit_truncates(self):
    environment = self.load('gym:Corridor-v0')
    environment.reset()
    for number in range(6):
      time_step = environment.step(np.array([number % 2, 1], np.int32))
    # Slot 0 walked to and fro until the limit of 6, slot 1 reached the end.
    self.assertEqual(time_step.step_type[0], LAST)
    self.assertEqual(time_step.discount[0], 1)
    self.assertTrue(environment.get_info().truncated[0])

  def test_an_end_is_terminal_and_rewards_stay_unclipped(self):
    environment = self.load('gym:Corridor-v0')
    environment.reset()
    rewards = []
    for _ in range(3):
      time_step = environment.step(np.array([0, 1], np.int32))
      rewards.append(float(time_step.reward[1]))
    self.assertEqual(rewards, [0.5, 1.0, 1.5])
    self.assertEqual(time_step.step_type[1], LAST)
    self.assertEqual(time_step.discount[1], 0)
    self.assertEqual(time_step.observation['frame'].shape, (2, 2, 5, 1))
    self.assertAllEqual(time_step.observation['frame'][1],
                        np.full([2, 5, 1], 130))

  def test_a_frame_skip_is_refused(self):
    task = dataclasses.replace(tasks.get_task('gym:CartPole-v1'), frame_skip=4)
    with self.assertRaisesRegex(UsageError, 'frame_skip is 4.*Expected 1'):
      GymnasiumGames(task, 1)

  def test_a_spec_that_does_not_fit_the_environment_is_refused(self):
    task = dataclasses.replace(tasks.get_task('gym:CartPole-v1'),
                               observation_shape=(5,))
    with self.assertRaisesRegex(UsageError, r'and 4 numbers.*shape \[5\]'):
      GymnasiumGames(task, 1)

  def test_a_picture_needs_the_render_mode(self):
    with self.assertRaisesRegex(UsageError, 'cannot be drawn'):
      GymnasiumGames(tasks.get_task('gym:Corridor-v0'), 1,
                     render_mode='rgb_array')


if __name__ == '__main__':
  tf.test.main()
