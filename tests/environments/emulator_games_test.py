"""Emulators of one game each, against ale-py's vector environment."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf import environments, tasks
from xtra_tf.environments.atari import AtariGames, drawn_noops
from xtra_tf.environments.emulator_games import EmulatorGames
from xtra_tf.errors import UsageError


def everywhere(count):
  return np.ones([count], bool)


class VectorEnvironmentTest(parameterized.TestCase, tf.test.TestCase):
  """Where a game has both, they are the same, bit for bit."""

  # Breakout ends several times; Pooyan starts up before its no-ops, and has a
  # screen of 220 lines.
  @parameterized.parameters(
      ('Breakout', 96, False, 0., 300), ('Breakout', 48, True, 0.25, 300),
      ('Assault', 96, True, 0., 250), ('Assault', 48, False, 0., 250),
      ('Pooyan', 48, False, 0.25, 200), ('SpaceInvaders', 96, False, 0., 200))
  def test_same_games(self, name, resolution, gray, sticky, steps):
    task = tasks.get_task(name, resolution=resolution, grayscale=gray,
                          sticky_actions=sticky)
    vector, emulators = AtariGames(task, 2), EmulatorGames(task, 2)
    self.addCleanup(vector.close)
    self.assert_all_equal(vector.begin(everywhere(2), np.array([3, 12])),
                          emulators.begin(everywhere(2), np.array([3, 12])))
    random = np.random.default_rng(0)
    rewards, ends = 0., 0
    for _ in range(steps):
      actions = random.choice(task.legal_actions, 2).astype(np.int32)
      ours = emulators.step(actions, ~everywhere(2))
      theirs = vector.step(actions, ~everywhere(2))
      going = ~theirs.terminal  # the last frame is stale
      self.assert_all_equal(theirs[1:], ours[1:])
      self.assertAllEqual(theirs.frames[going], ours.frames[going])
      rewards += np.abs(theirs.raw_reward).sum()
      if theirs.terminal.any():
        ends += 1
        seeds = np.array([40 + ends] * theirs.terminal.sum())
        self.assert_all_equal(vector.begin(theirs.terminal, seeds),
                              emulators.begin(theirs.terminal, seeds))
    self.assertAllEqual(vector.noops, emulators.noops)
    self.assertGreater(rewards, 0)
    self.assertEqual(ends > 0, name == 'Breakout')

  def assert_all_equal(self, first, second):
    for x, y in zip(first, second):
      self.assertAllEqual(x, y)
      self.assertEqual(x.dtype, y.dtype)

  def test_the_number_of_no_ops_is_the_vector_environments(self):
    # Breakout has no frames before them, so that it tells.
    games = AtariGames(tasks.get_task('Breakout', resolution=8), 6)
    self.addCleanup(games.close)
    seeds = np.array([0, 9, 1_000_009, 2**31 - 1, 12345, 77])
    _, info = games._emulators[0].reset(seed=seeds)
    self.assertAllEqual(info['episode_frame_number'],
                        [drawn_noops(int(seed)) for seed in seeds])

  def test_no_no_op_is_refused_in_a_game_with_a_start_up(self):
    # The draw of seed 9 is 0, but NameThisGame is at frame 134 by then.
    task = tasks.get_task('NameThisGame', resolution=8)
    vector, emulators = AtariGames(task, 2), EmulatorGames(task, 2)
    self.addCleanup(vector.close)
    for games in (vector, emulators):
      _, _, accepted = games.begin(everywhere(2), np.array([9, 0]))
      self.assertAllEqual(accepted, [False, True])
      self.assertAllEqual(games.noops, [0, 17])


class FlavourTest(parameterized.TestCase, tf.test.TestCase):

  def play(self, name, steps=30):
    task = tasks.get_task(name, resolution=48)
    environment = environments.load(task, num_envs=1, seed=0, training=False)
    self.addCleanup(environment.close)
    self.assertIsInstance(
        environment.games,
        AtariGames if task.mode is None else EmulatorGames)
    frames = [environment.reset().observation['frame'][0]]
    for number in range(steps):
      action = task.legal_actions[number % len(task.legal_actions)]
      step = environment.step(np.array([action], np.int32))
      frames.append(step.observation['frame'][0])
    return np.stack(frames)

  def test_mode_and_difficulty_are_played(self):
    plain, wall, paddle = (self.play(name) for name in (
        'Breakout', 'Breakout-m12-d0', 'Breakout-m0-d1'))
    # Mode 12 shows no wall; difficulty 1 has a smaller paddle, at the bottom.
    self.assertGreater(np.abs(plain[0] - wall[0].astype(int)).mean(), 5)
    changed = np.flatnonzero((plain[0] != paddle[0]).any(axis=(1, 2)))
    self.assertNotEmpty(changed)
    self.assertGreater(changed.min(), 40)

  def test_a_game_does_not_depend_on_what_ran_before(self):
    # Sticky actions show it when the emulator's random state goes on.
    task = tasks.get_task('SpaceInvaders-m3-d1', resolution=48,
                          sticky_actions=0.25)
    fresh, used = EmulatorGames(task, 1), EmulatorGames(task, 2)
    used.begin(everywhere(2), np.array([4, 5]))
    for _ in range(40):
      used.step(np.array([1, 1]), ~everywhere(2))
    second = np.array([False, True])
    fresh.begin(everywhere(1), np.array([6]))
    used.begin(second, np.array([6]))
    for action in (0, 1, 3, 4, 11, 12) * 8:
      ours = used.step(np.array([0, action]), ~second)
      expected = fresh.step(np.array([action]), ~everywhere(1))
      self.assertAllEqual(ours.frames[1], expected.frames[0])
      self.assertEqual(ours.raw_reward[1], expected.raw_reward[0])

  def test_idle_emulators_stand_still(self):
    games = EmulatorGames(tasks.get_task('Freeway-m1-d0', resolution=16), 2)
    frames, _, _ = games.begin(everywhere(2), np.array([0, 1]))
    with mock.patch.object(games._games[1], 'step',
                           side_effect=AssertionError):
      step = games.step(np.array([2, 2]), np.array([False, True]))
    self.assertAllEqual(step.frames[1], frames[1])
    self.assertNotAllEqual(step.frames[0], frames[0])
    # Memory is the caller's own.
    games.step(np.array([2, 2]), ~everywhere(2))
    self.assertAllEqual(step.frames[1], frames[1])

  def test_the_vector_environment_refuses_a_flavour(self):
    with self.assertRaisesRegex(UsageError, 'Freeway-m1-d0.*EmulatorGames'):
      AtariGames(tasks.get_task('Freeway-m1-d0'), 1)

  def test_frames_that_no_emulator_gives(self):
    with self.assertRaisesRegex(UsageError, r'\[10, 10, 10\]. Expected uint8'):
      EmulatorGames(tasks.get_task('tiny:catch'), 1)


if __name__ == '__main__':
  tf.test.main()
