"""Atari against the official wrappers, written out slowly over ALEInterface."""

import dataclasses
from unittest import mock

import ale_py
import numpy as np
import tensorflow as tf

from xtra_tf import environments, tasks
from xtra_tf.environments.atari import AtariGames
from xtra_tf.errors import UsageError

FIRST, MID, LAST = 0, 1, 2


def native(name, gray=False, **changes):
  """A task whose frames are the whole screen, so that nothing is resized."""
  return dataclasses.replace(
      tasks.get_task(name), observation_shape=(210, 160, 1 if gray else 3),
      **changes)


class OfficialWrappers:
  """NoopReset(n), MaxAndSkip, TimeLimit and EpisodicLife, one game at a time.

  As in EfficientZero core/utils.py and config/atari/env_wrapper.py; the number
  of no-ops is given, as the two random generators differ.
  """

  def __init__(self, task, limit):
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    self.task, self.limit = task, limit
    self.ale = ale_py.ALEInterface()
    self.lives = 0

  def screen(self):
    if self.task.observation_shape[-1] == 1:
      return self.ale.getScreenGrayscale()[..., None]
    return self.ale.getScreenRGB()

  def new_game(self, seed, noops):
    self.ale.setFloat('repeat_action_probability', self.task.sticky_actions)
    self.ale.setInt('random_seed', int(seed))
    self.ale.loadROM(
        ale_py.roms.get_rom_path(tasks.atari_rom(self.task.name)))
    self.ale.reset_game()
    for _ in range(noops):
      self.ale.act(0)
    self.lives, self.steps = self.ale.lives(), 0
    return self.screen()

  def step(self, action):
    """-> frame (None if stale), reward, over, truncated, life lost."""
    reward, frames = 0, []
    for _ in range(self.task.frame_skip):
      reward += self.ale.act(int(action))
      frames.append(self.screen())
      if self.ale.game_over():
        break
    self.steps += 1
    over = self.ale.game_over()
    lives, before = self.ale.lives(), self.lives
    self.lives = lives
    frame = None if over else np.max(frames[-2:], axis=0)
    return (frame, reward, over, self.steps >= self.limit and not over,
            0 < lives < before)


def play_against_the_twin(test, task, *, training, steps, limit=1000, seed=0):
  """Compares every step of every slot; returns what kinds of steps occurred."""
  environment = environments.load(task, num_envs=2, seed=seed,
                                  training=training, max_episode_steps=limit)
  test.addCleanup(environment.close)
  twins = [OfficialWrappers(task, limit) for _ in range(2)]

  def begin(i):
    return twins[i].new_game(environment.episode_seeds()[i],
                             environment.games.noops[i])

  time_step = environment.reset()
  for i in range(2):
    test.assertAllEqual(time_step.observation['frame'][i], begin(i))
  state = [MID, MID]  # what the next step of a slot is: MID plays
  seen = set()
  random = np.random.default_rng(1)
  for number in range(steps):
    actions = random.choice(task.legal_actions, 2).astype(np.int32)
    time_step = environment.step(actions)
    info = environment.get_info()
    for i in range(2):
      seen.add(state[i])
      at = f'{task.name}, step {number}, slot {i}, {state[i]}'
      if state[i] == 'new':
        frame, reward, over, cut, life = begin(i), 0, False, False, False
      else:
        frame, reward, over, cut, life = twins[i].step(
            0 if state[i] == 'noop' else actions[i])
      life = life and training and state[i] == MID
      last = (over or cut or life) and state[i] == MID
      if state[i] == 'noop' and (over or cut):
        frame = begin(i)
      first = state[i] != MID
      test.assertEqual(info.raw_reward[i], reward, at)
      test.assertEqual(time_step.reward[i], 0 if first else np.sign(reward), at)
      test.assertEqual(bool(info.terminal[i]), over, at)
      test.assertEqual(bool(info.truncated[i]), cut, at)
      test.assertEqual(bool(info.life_loss[i]), life, at)
      test.assertEqual(bool(info.noop[i]), state[i] == 'noop', at)
      test.assertEqual(time_step.step_type[i],
                       LAST if last else FIRST if first else MID, at)
      test.assertEqual(time_step.discount[i], float(not last or cut), at)
      if frame is not None:
        test.assertAllEqual(time_step.observation['frame'][i], frame, at)
      state[i] = ('new' if last and (over or cut) else
                  'noop' if last else MID)
      seen.update(k for k, v in (('over', over), ('cut', cut), ('life', life),
                                 ('reward', reward)) if v)
  return seen


class TwinTest(tf.test.TestCase):

  def test_training_games_to_their_end_and_beyond(self):
    seen = play_against_the_twin(self, native('Breakout'), training=True,
                                 steps=260)
    self.assertContainsSubset({'noop', 'new', 'over', 'life', 'reward'}, seen)

  def test_gray_frames_and_a_limit(self):
    seen = play_against_the_twin(self, native('Assault', gray=True),
                                 training=True, steps=170, limit=80)
    self.assertContainsSubset({'noop', 'new', 'cut', 'life', 'reward'}, seen)

  def test_evaluation_plays_whole_games(self):
    seen = play_against_the_twin(self, native('Breakout'), training=False,
                                 steps=180)
    self.assertContainsSubset({'new', 'over'}, seen)
    self.assertNotIn('life', seen)

  def test_sticky_actions_and_another_frame_skip(self):
    play_against_the_twin(
        self, native('MsPacman', sticky_actions=0.25, frame_skip=2),
        training=True, steps=150, limit=100)

  def test_without_a_frame_skip_every_frame_is_shown_alone(self):
    play_against_the_twin(self, native('Breakout', frame_skip=1),
                          training=True, steps=60, limit=40)

  def test_frames_are_area_averages_of_the_screen(self):
    whole = environments.load(native('Alien'), num_envs=1, seed=0,
                              training=False)
    small = environments.load(tasks.get_task('Alien'), num_envs=1, seed=0,
                              training=False)
    self.addCleanup(whole.close)
    self.addCleanup(small.close)
    pairs = [(whole.reset(), small.reset())]
    for action in range(18):
      pairs.append((whole.step(np.array([action])),
                    small.step(np.array([action]))))
    for large, resized in pairs:
      expected = area_average(large.observation['frame'][0], 96)
      # Rounding of a half may go either way.
      self.assertAllClose(resized.observation['frame'][0], expected, rtol=0,
                          atol=0.51)


def area_average(image, size):
  """Each new pixel is the mean of the part of the image that it covers."""
  for axis in (0, 1):
    old = image.shape[axis]
    edges = np.linspace(0, old, size + 1)
    cells = np.arange(old)
    overlap = np.clip(np.minimum(edges[1:, None], cells + 1)
                      - np.maximum(edges[:-1, None], cells), 0, None)
    image = np.moveaxis(np.tensordot(overlap * size / old, image, (1, axis)),
                        0, axis)
  return image


class StartTest(tf.test.TestCase):

  def test_noops_are_1_to_30_and_zero_is_drawn_again(self):
    games = AtariGames(tasks.get_task('Breakout', resolution=8), 1)
    self.addCleanup(games.close)
    slot = np.ones([1], bool)
    # Seed 9 gives no no-op at all with ale-py 0.12.1.
    for seed in (0, 1, 9):
      _, lives, accepted = games.begin(slot, np.array([seed]))
      self.assertEqual(bool(accepted[0]), seed != 9)
      self.assertEqual(games.noops[0] > 0, seed != 9)
      self.assertLessEqual(games.noops[0], 30)
      self.assertEqual(lives[0], 5)

  def test_a_refused_evaluation_game_gets_its_second_seed(self):
    environment = environments.load(
        tasks.get_task('Freeway', resolution=8), num_envs=6, seed=0,
        training=False, first_index=5)
    self.addCleanup(environment.close)
    environment.reset()
    self.assertAllEqual(environment.episode_seeds(),
                        [5, 6, 7, 8, 1_000_009, 10])
    self.assertAllInRange(environment.games.noops, 1, 30)
    self.assertGreater(len(set(environment.games.noops)), 3)


class IndependenceTest(tf.test.TestCase):
  """A game is a function of its seed and actions."""

  def record(self, environment, slot, steps=25):
    frames = [environment.current_time_step().observation['frame'][slot]]
    for number in range(steps):
      action = self.task.legal_actions[number % len(self.task.legal_actions)]
      environment.step(np.full([environment.batch_size], action, np.int32))
      frames.append(
          environment.current_time_step().observation['frame'][slot])
    return np.stack(frames)

  def setUp(self):
    super().setUp()
    # Assault shows it when only the game, and not the ROM, is started anew.
    self.task = tasks.get_task('Assault', resolution=48)

  def load(self, **kwargs):
    environment = environments.load(self.task, **kwargs)
    self.addCleanup(environment.close)
    return environment

  def test_a_training_game_does_not_depend_on_what_ran_before(self):
    played = self.load(num_envs=3, seed=4, training=True, max_episode_steps=40)
    played.reset()
    random = np.random.default_rng(0)
    for _ in range(41):  # to the limit, and into the second game
      time_step = played.step(
          random.choice(self.task.legal_actions, 3).astype(np.int32))
    self.assertAllEqual(time_step.step_type, [FIRST] * 3)
    fresh = self.load(num_envs=2, seed=4, training=True)
    fresh.set_episode_numbers(np.array([1, 1]))
    fresh.reset()
    self.assertAllEqual(fresh.episode_seeds(), played.episode_seeds()[:2])
    self.assertAllEqual(self.record(fresh, 1), self.record(played, 1))

  def test_an_evaluation_game_does_not_depend_on_how_many_are_played(self):
    many = self.load(num_envs=3, seed=1, training=False)
    one = self.load(num_envs=1, seed=2, training=False, first_index=2)
    many.reset()
    one.reset()
    self.assertAllEqual(many.episode_seeds()[2:], one.episode_seeds())
    self.assertAllEqual(self.record(many, 2), self.record(one, 0))


class RestTest(tf.test.TestCase):
  """Games of their own emulators, of which finished ones are left alone."""

  def test_separate_games_are_the_same_games(self):
    task = tasks.get_task('Assault', resolution=48)
    together, apart = (AtariGames(task, 3, separate=s) for s in (False, True))
    self.addCleanup(together.close)
    self.addCleanup(apart.close)
    everywhere = np.ones([3], bool)
    for x, y in zip(together.begin(everywhere, np.arange(3)),
                    apart.begin(everywhere, np.arange(3))):
      self.assertAllEqual(x, y)
    random = np.random.default_rng(0)
    for number in range(40):
      if number == 20:
        some = np.array([True, False, True])
        for x, y in zip(together.begin(some, np.array([7, 8])),
                        apart.begin(some, np.array([7, 8]))):
          self.assertAllEqual(x, y)
      actions = random.choice(task.legal_actions, 3).astype(np.int32)
      for x, y in zip(together.step(actions, ~everywhere),
                      apart.step(actions, ~everywhere)):
        self.assertAllEqual(x, y)
        self.assertEqual(x.dtype, y.dtype)
    self.assertAllEqual(together.noops, apart.noops)

  def test_an_idle_emulator_stands_still(self):
    games = AtariGames(tasks.get_task('Breakout', resolution=8), 2,
                       separate=True)
    self.addCleanup(games.close)
    frames, _, _ = games.begin(np.ones([2], bool), np.array([0, 1]))
    emulators = games._emulators[1]
    with mock.patch.object(emulators, 'send', side_effect=AssertionError):
      for _ in range(5):
        step = games.step(np.array([1, 1]), np.array([False, True]))
    self.assertAllEqual(step.frames[1], frames[1])
    self.assertEqual(step.raw_reward[1], 0)
    self.assertFalse(step.terminal[1] or step.truncated[1])


class RefusalTest(tf.test.TestCase):

  def test_frames_that_no_emulator_gives(self):
    task = dataclasses.replace(tasks.get_task('Pong'),
                               observation_shape=(96, 96, 4))
    with self.assertRaisesRegex(UsageError, r'uint8\[96, 96, 4\]. Expected'):
      AtariGames(task, 1)
    task = dataclasses.replace(task, observation_shape=(128,))
    with self.assertRaisesRegex(UsageError, r'uint8\[128\]. Expected'):
      AtariGames(task, 1)

  def test_impossible_numbers_of_load(self):
    task = tasks.get_task('tiny:catch')
    for name, value in (('num_envs', 0), ('seed', -1), ('first_index', -1),
                        ('max_episode_steps', 0)):
      settings = {'num_envs': 1, 'seed': 0, 'training': True}
      settings[name] = value
      with self.assertRaisesRegex(UsageError, f'{name} is {value}. Expected'):
        environments.load(task, **settings)


if __name__ == '__main__':
  tf.test.main()
