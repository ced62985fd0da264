"""Recorded games, played again for their pictures."""

import dataclasses

import numpy as np
import tensorflow as tf

from xtra_tf import environments, tasks
from xtra_tf.errors import IncompatibleDataError


def record(task, index, steps):
  """Actions and raw rewards of a random evaluation game, at most `steps`."""
  environment = environments.load(task, num_envs=1, seed=0, training=False,
                                  first_index=index)
  random = np.random.default_rng(index)
  time_step = environment.reset()
  frames = [time_step.observation['frame'][0]]
  actions, rewards = [], []
  while len(actions) < steps and not time_step.is_last()[0]:
    action = random.choice(task.legal_actions, 1).astype(np.int32)
    time_step = environment.step(action)
    frames.append(time_step.observation['frame'][0])
    actions.append(int(action[0]))
    rewards.append(float(environment.get_info().raw_reward[0]))
  environment.close()
  return np.stack(frames), actions, rewards


class RenderingTest(tf.test.TestCase):

  def test_atari_screens_are_what_the_agent_played_on(self):
    task = dataclasses.replace(tasks.get_task('Breakout'),
                               observation_shape=(210, 160, 3))
    # Game 9 gets its second seed, the first has no no-ops.
    frames, actions, rewards = record(task, 9, steps=300)
    self.assertLess(len(actions), 300)
    shown = environments.render_game(task, 9, actions, rewards)
    self.assertEqual(shown.dtype, np.uint8)
    self.assertEqual(shown.shape, (len(actions) + 1, 210, 160, 3))
    # The agent's frame of the last step is stale.
    self.assertAllEqual(shown[:-1], frames[:-1])

  def test_the_start_is_the_vector_environments(self):
    # Assault differs between one reset after loading and two.
    task = dataclasses.replace(tasks.get_task('Assault'),
                               observation_shape=(210, 160, 3))
    frames, actions, rewards = record(task, 0, steps=20)
    self.assertAllEqual(
        environments.render_game(task, 0, actions, rewards), frames)

  def test_the_size_of_the_agents_frames_does_not_matter(self):
    small = tasks.get_task('Alien', resolution=32, grayscale=True)
    _, actions, rewards = record(small, 0, steps=30)
    self.assertGreater(np.count_nonzero(rewards), 0)
    self.assertEqual(
        environments.render_game(small, 0, actions, rewards).shape,
        (31, 210, 160, 3))

  def test_a_flavour_and_a_game_with_a_start_up(self):
    # Before its no-ops, NameThisGame starts up for 134 frames of its own.
    for name in ('Breakout-m16-d1', 'NameThisGame'):
      task = dataclasses.replace(tasks.get_task(name),
                                 observation_shape=(210, 160, 3))
      frames, actions, rewards = record(task, 0, steps=20)
      self.assertAllEqual(
          environments.render_game(task, 0, actions, rewards), frames)

  def test_another_reward_is_refused(self):
    task = tasks.get_task('tiny:catch')
    _, actions, rewards = record(task, 3, steps=45)
    environments.render_game(task, 3, actions, rewards)
    rewards[8] = 0.0
    with self.assertRaisesRegex(IncompatibleDataError,
                                'game 3: replayed step 8 gave .*recorded is 0'):
      environments.render_game(task, 3, actions, rewards)

  def test_actions_beyond_the_end_are_refused(self):
    task = tasks.get_task('tiny:catch')
    with self.assertRaisesRegex(IncompatibleDataError,
                                'ends after 45 of 46 actions'):
      environments.render_game(task, 0, [0] * 46)
    with self.assertRaisesRegex(IncompatibleDataError, 'ends after [0-9]+ of'):
      environments.render_game(tasks.get_task('Breakout'), 0, [1] * 300)

  def test_lists_of_different_length_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'got 1 for 2 actions'):
      environments.render_game(tasks.get_task('tiny:catch'), 0, [0, 0], [0.0])

  def test_tiny_boards_have_colours(self):
    task = tasks.get_task('tiny:cross')
    shown = environments.render_game(task, 0, [0] * 10)
    self.assertEqual(shown.shape, (11, 160, 160, 3))
    self.assertGreater(len(np.unique(shown[0].reshape(-1, 3), axis=0)), 5)
    self.assertTrue(np.any(shown[0] != shown[1]))

  def test_gymnasium_draws_itself(self):
    task = tasks.get_task('gym:CartPole-v1')
    _, actions, rewards = record(task, 0, steps=5)
    shown = environments.render_game(task, 0, actions, rewards)
    self.assertEqual(shown.shape[:1] + shown.shape[3:], (6, 3))
    self.assertTrue(np.any(shown[0] != shown[-1]))


if __name__ == '__main__':
  tf.test.main()
