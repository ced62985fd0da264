"""Lives, limits and seeds, on games whose every step is written down."""

import dataclasses
from unittest import mock

import numpy as np
import tensorflow as tf

from xtra_tf import tasks
from xtra_tf.environments import GameEnvironment, game_environment
from xtra_tf.testing.scripted_games import Event, ScriptedGames

FIRST, MID, LAST = 0, 1, 2
# A task with all of six actions, so that any action may be played.
TASK = dataclasses.replace(tasks.get_task('tiny:catch'),
                           legal_actions=(0, 1, 2, 3, 4, 5))


def make(scripts, *, training=True, max_episode_steps=100, task=TASK,
         refused=(), restarts=True):
  games = ScriptedGames(task, scripts, refused=refused)
  environment = GameEnvironment(
      task, games, lambda slot, episode, attempt:
      100 * slot + 10 * episode + attempt,
      life_loss_ends=training, max_episode_steps=max_episode_steps,
      restarts=restarts)
  return environment, games


def step(environment, action=5):
  time_step = environment.step(
      np.full([environment.batch_size], action, np.int32))
  return time_step, environment.get_info()


def time_of(time_step, slot=0):
  """Number of steps of the game that a frame shows."""
  return int(time_step.observation['frame'][slot].flat[0])


class LifeLossTest(tf.test.TestCase):
  SCRIPT = [Event(raw_reward=7), Event(raw_reward=-4, lives=2),
            Event(raw_reward=3, lives=2), Event(lives=2),
            Event(raw_reward=1, terminal=True, lives=0)]

  def test_training_stops_plays_a_noop_and_goes_on_with_the_same_game(self):
    environment, games = make([self.SCRIPT])
    environment.reset()
    time_step, _ = step(environment)
    self.assertEqual(time_step.step_type[0], MID)
    self.assertEqual(time_step.reward[0], 1)

    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], LAST)
    self.assertEqual(time_step.discount[0], 0)
    self.assertEqual(time_step.reward[0], -1)
    self.assertTrue(info.life_loss[0])
    self.assertFalse(info.terminal[0] or info.truncated[0] or info.noop[0])

    time_step, info = step(environment)
    self.assertEqual(games.actions[-1][0], 0)  # NOOP, not the 5 that was asked
    self.assertEqual(time_step.step_type[0], FIRST)
    self.assertEqual(time_step.discount[0], 1)
    self.assertEqual(time_step.reward[0], 0)
    self.assertEqual(info.raw_reward[0], 3)  # counts in the score
    self.assertTrue(info.noop[0])
    self.assertFalse(info.life_loss[0])
    self.assertEqual(time_of(time_step), 3)
    self.assertLen(games.seeds, 1)

  def test_the_last_life_is_the_end_of_the_game(self):
    environment, _ = make([self.SCRIPT])
    environment.reset()
    for _ in range(4):
      step(environment)
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], LAST)
    self.assertTrue(info.terminal[0])
    self.assertFalse(info.life_loss[0])
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], FIRST)
    self.assertEqual(info.raw_reward[0], 0)
    self.assertFalse(info.noop[0])
    self.assertEqual(time_of(time_step), 0)

  def test_evaluation_plays_on_and_reports_no_life_loss(self):
    environment, games = make([self.SCRIPT], training=False)
    environment.reset()
    for _ in range(4):
      time_step, info = step(environment)
      self.assertEqual(time_step.step_type[0], MID)
      self.assertFalse(info.life_loss[0])
    self.assertEqual([a[0] for a in games.actions], [5] * 4)
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], LAST)

  def test_a_noop_that_ends_the_game_gives_the_first_step_of_a_new_one(self):
    environment, games = make([[
        Event(lives=2), Event(raw_reward=9, terminal=True, lives=0)]])
    environment.reset()
    step(environment)
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], FIRST)
    self.assertEqual(time_step.reward[0], 0)
    self.assertEqual(time_step.discount[0], 1)
    self.assertTrue(info.terminal[0] and info.noop[0])
    self.assertEqual(info.raw_reward[0], 9)
    self.assertEqual(time_of(time_step), 0)
    self.assertEqual(games.seeds, [[0], [10]])
    self.assertAllEqual(environment.episode_seeds(), [10])
    # The new game's lives are the standard for its first life loss.
    time_step, info = step(environment)
    self.assertTrue(info.life_loss[0])

  def test_a_life_lost_in_the_noop_is_not_noticed(self):
    environment, _ = make([[
        Event(lives=2), Event(lives=1), Event(lives=1)]])
    environment.reset()
    step(environment)
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], FIRST)
    self.assertFalse(info.life_loss[0])
    time_step, _ = step(environment)
    self.assertEqual(time_step.step_type[0], MID)

  def test_a_game_that_goes_on_without_lives_has_lost_none(self):
    # As in the official code; some games play on for a while at 0 lives.
    environment, _ = make([[Event(lives=1), Event(lives=0)]])
    environment.reset()
    self.assertEqual(step(environment)[0].step_type[0], LAST)
    environment, _ = make([[Event(lives=0)]])
    environment.reset()
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], MID)
    self.assertFalse(info.life_loss[0])

  def test_an_extra_life_is_none_lost(self):
    environment, _ = make([[Event(lives=4), Event(lives=3)]])
    environment.reset()
    self.assertEqual(step(environment)[0].step_type[0], MID)
    self.assertEqual(step(environment)[0].step_type[0], LAST)

  def test_each_slot_has_its_own_story(self):
    calm = [Event(raw_reward=2)] * 5
    environment, games = make([calm, self.SCRIPT])
    environment.reset()
    types = [step(environment)[0].step_type.tolist() for _ in range(5)]
    self.assertEqual(types, [[MID, MID], [MID, LAST], [MID, FIRST], [MID, MID],
                             [MID, LAST]])
    self.assertAllEqual(games.actions[2], [5, 0])


class LimitTest(tf.test.TestCase):

  def test_the_limit_truncates_with_discount_one(self):
    environment, games = make([[Event(raw_reward=1)] * 9], max_episode_steps=3)
    environment.reset()
    for _ in range(2):
      self.assertEqual(step(environment)[0].step_type[0], MID)
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], LAST)
    self.assertEqual(time_step.discount[0], 1)
    self.assertTrue(info.truncated[0])
    self.assertFalse(info.terminal[0])
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], FIRST)
    self.assertEqual(time_of(time_step), 0)
    self.assertFalse(info.truncated[0])
    self.assertEqual(info.raw_reward[0], 0)
    self.assertEqual(games.seeds, [[0], [10]])
    self.assertEqual(games.actions[-1][0], 0)

  def test_the_games_own_limit_counts_as_well(self):
    environment, _ = make([[Event(truncated=True)]])
    environment.reset()
    time_step, info = step(environment)
    self.assertEqual(time_step.discount[0], 1)
    self.assertTrue(info.truncated[0])

  def test_a_game_that_is_over_at_its_limit_is_terminal(self):
    environment, _ = make([[Event(), Event(terminal=True, lives=0)]],
                          max_episode_steps=2)
    environment.reset()
    step(environment)
    time_step, info = step(environment)
    self.assertEqual(time_step.discount[0], 0)
    self.assertTrue(info.terminal[0])
    self.assertFalse(info.truncated[0])

  def test_a_life_lost_at_the_limit_is_both_and_a_new_game_follows(self):
    environment, _ = make([[Event(), Event(lives=2)]], max_episode_steps=2)
    environment.reset()
    step(environment)
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], LAST)
    self.assertEqual(time_step.discount[0], 0)
    self.assertTrue(info.life_loss[0] and info.truncated[0])
    time_step, info = step(environment)
    self.assertFalse(info.noop[0])
    self.assertEqual(time_of(time_step), 0)

  def test_the_noop_counts_and_may_reach_the_limit(self):
    environment, games = make([[Event(lives=2), Event(raw_reward=5, lives=2)]],
                              max_episode_steps=2)
    environment.reset()
    step(environment)
    time_step, info = step(environment)
    self.assertEqual(time_step.step_type[0], FIRST)
    self.assertTrue(info.truncated[0] and info.noop[0])
    self.assertEqual(info.raw_reward[0], 5)
    self.assertEqual(games.seeds, [[0], [10]])


class RestTest(tf.test.TestCase):

  def test_a_slot_rests_after_its_game(self):
    environment, games = make(
        [[Event(), Event(raw_reward=2, terminal=True)], [Event()] * 6],
        training=False, max_episode_steps=5, restarts=False)
    environment.reset()
    stepped = []
    with mock.patch.object(games, 'step', wraps=games.step) as step_games:
      for _ in range(5):
        time_step, info = step(environment)
        stepped.append([info.terminal.tolist(), info.truncated.tolist(),
                        info.raw_reward.tolist()])
    self.assertEqual(
        [call.args[1].tolist() for call in step_games.call_args_list],
        [[False, False]] * 2 + [[True, False]] * 3)
    self.assertEqual(stepped[1], [[True, False], [False, False], [2, 0]])
    self.assertEqual(stepped[2:4], [[[False] * 2, [False] * 2, [0, 0]]] * 2)
    self.assertEqual(stepped[4], [[False] * 2, [False, True], [0, 0]])
    self.assertEqual(time_of(time_step, 1), 5)
    self.assertLen(games.seeds, 1)  # no other game has begun

  def test_nothing_moves_when_all_games_are_over(self):
    environment, games = make([[Event(terminal=True)]], training=False,
                              restarts=False)
    environment.reset()
    for _ in range(3):
      step(environment)
    self.assertLen(games.seeds, 1)
    environment.reset()
    self.assertEqual(games.seeds[1:], [[10]])

  def test_a_life_loss_cannot_be_a_rest(self):
    with self.assertRaisesRegex(ValueError, 'must restart'):
      make([[Event()]], training=True, restarts=False)


class CodecTest(tf.test.TestCase):

  def test_resting_slots_are_not_coded(self):
    task = dataclasses.replace(TASK, observation_shape=(16, 16, 3),
                               codec='jpeg')
    environment, _ = make([[Event(terminal=True)], [Event()] * 3], task=task,
                          training=False, restarts=False)
    sizes = []
    code = game_environment.jpeg_codec.round_trip
    with mock.patch.object(
        game_environment.jpeg_codec, 'round_trip',
        side_effect=lambda frames: sizes.append(len(frames)) or code(frames)):
      environment.reset()
      for _ in range(3):
        step(environment)
    self.assertEqual(sizes, [2, 2, 1, 1])


class SeedTest(tf.test.TestCase):

  def test_seeds_count_slots_games_and_refusals(self):
    over = [Event(terminal=True)]
    environment, games = make([over, [Event()] * 5], refused=(0, 10, 11))
    environment.reset()
    self.assertEqual(games.seeds, [[0, 100], [1]])
    self.assertAllEqual(environment.episode_seeds(), [1, 100])
    step(environment)
    step(environment)
    self.assertEqual(games.seeds[2:], [[10], [11], [12]])
    self.assertAllEqual(environment.episode_seeds(), [12, 100])

  def test_a_resumed_run_goes_on_with_fresh_numbers(self):
    environment, games = make([[Event()], [Event()]])
    environment.set_episode_numbers(np.array([4, 7]))
    environment.reset()
    environment.reset()
    self.assertEqual(games.seeds, [[40, 170], [50, 180]])

  def test_wrong_episode_numbers_are_refused(self):
    environment, _ = make([[Event()], [Event()]])
    with self.assertRaisesRegex(ValueError, 'Expected 2 episode numbers'):
      environment.set_episode_numbers(np.array([1]))
    with self.assertRaisesRegex(ValueError, 'of at least 0'):
      environment.set_episode_numbers(np.array([1, -1]))

  def test_a_game_without_any_acceptable_start_is_an_error(self):
    environment, _ = make([[Event()]], refused=range(100))
    with self.assertRaisesRegex(RuntimeError, 'no acceptable start in 64'):
      environment.reset()


class RewardTest(tf.test.TestCase):

  def test_rewards_stay_as_they_are_where_the_task_says_so(self):
    task = dataclasses.replace(TASK, clip_reward=False)
    environment, _ = make([[Event(raw_reward=-2.5)]], task=task)
    environment.reset()
    self.assertEqual(step(environment)[0].reward[0], -2.5)

  def test_info_needs_a_game(self):
    environment, _ = make([[Event()]])
    with self.assertRaisesRegex(ValueError, 'call reset first'):
      environment.get_info()

  def test_closing_closes_the_games(self):
    environment, games = make([[Event()]])
    environment.close()
    self.assertTrue(games.closed)


if __name__ == '__main__':
  tf.test.main()
