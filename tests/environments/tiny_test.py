"""The tiny games: rules, scores, and that one frame tells all."""

from absl.testing import parameterized
import numpy as np

from xtra_tf import environments, tasks
from xtra_tf.environments.tiny import GAMES, TinyGames, game
from xtra_tf.errors import UsageError

NAMES = tuple(GAMES)


def mean_score(name, scripted, num_games=32):
  """Mean raw score of the evaluation games 0..31."""
  task = tasks.get_task(name)
  environment = environments.load(task, num_envs=num_games, seed=0,
                                  training=False)
  random = np.random.default_rng(0)
  time_step = environment.reset()
  total = np.zeros([num_games])
  playing = np.ones([num_games], bool)
  while playing.any():
    actions = (environment.games.scripted_actions() if scripted else
               random.choice(task.legal_actions, num_games).astype(np.int32))
    time_step = environment.step(actions)
    total += environment.get_info().raw_reward * playing
    playing &= ~time_step.is_last()
  return float(total.mean())


class TinyTest(parameterized.TestCase):

  @parameterized.parameters(*NAMES)
  def test_scores_are_the_recorded_ones_and_far_apart(self, name):
    task = tasks.get_task(name)
    self.assertEqual(mean_score(name, scripted=False), task.random_score)
    self.assertEqual(mean_score(name, scripted=True), task.human_score)
    self.assertGreater(task.human_score, task.random_score + 4)

  @parameterized.parameters(*NAMES)
  def test_games_have_the_tasks_frames_actions_and_length(self, name):
    task = tasks.get_task(name)
    self.assertEqual(task.stack, 1)
    self.assertEqual(task.legal_actions, GAMES[name].ACTIONS)
    playing = GAMES[name](seed=0)
    length, over = 0, False
    while not over:
      frame = playing.frame()
      self.assertEqual(frame.shape, task.observation_shape)
      self.assertEqual(frame.dtype, np.uint8)
      self.assertContainsSubset(np.unique(frame), [0, 255])
      self.assertGreater(frame[..., game.PLAYER].sum(), 0)
      _, over = playing.step(game.NOOP)
      length += 1
    self.assertEqual(length, GAMES[name].LENGTH)
    self.assertLessEqual(length, 60)
    self.assertFalse(playing.frame()[..., game.CLOCK].any())

  @parameterized.parameters(*NAMES)
  def test_the_clock_runs_down(self, name):
    playing = GAMES[name](seed=0)
    lit = []
    for _ in range(GAMES[name].LENGTH):
      lit.append(int((playing.frame()[0, :, game.CLOCK] > 0).sum()))
      playing.step(game.NOOP)
    self.assertEqual(lit, sorted(lit, reverse=True))
    self.assertEqual((lit[0], lit[-1]), (10, 1))

  @parameterized.parameters(*NAMES)
  def test_a_frame_tells_what_an_action_leads_to(self, name):
    # Same frame and action, same next reward, over many games: no hidden state
    # but what new objects are drawn by chance.
    random = np.random.default_rng(3)
    seen = {}
    repeated = 0
    for seed in range(120):
      playing = GAMES[name](seed)
      over = False
      while not over:
        # The clock does not matter for the reward of the next step.
        frame = playing.frame()[..., :game.CLOCK].tobytes()
        action = int(random.choice(GAMES[name].ACTIONS))
        reward, over = playing.step(action)
        repeated += (frame, action) in seen
        self.assertEqual(seen.setdefault((frame, action), reward), reward)
    self.assertGreater(repeated, 20)

  def test_evaluation_games_are_numbered_through(self):
    environment = environments.load(
        tasks.get_task('tiny:collect'), num_envs=3, seed=0, training=False,
        first_index=5, max_episode_steps=2)
    environment.reset()
    seeds = [environment.episode_seeds().tolist()]
    for _ in range(6):
      if environment.step(np.zeros([3], np.int32)).is_first()[0]:
        seeds.append(environment.episode_seeds().tolist())
    self.assertEqual(seeds, [[5, 6, 7], [8, 9, 10], [11, 12, 13]])

  def test_standing_still_does_not_dodge(self):
    playing = GAMES['tiny:dodge'](seed=0)
    rewards = [playing.step(game.NOOP).reward for _ in range(45)]
    self.assertEqual(sum(rewards), -9)

  def test_a_returned_ball_flies_on_and_a_missed_one_is_served_anew(self):
    for seed in range(20):
      playing = GAMES['tiny:paddle'](seed)
      for _ in range(9):
        reward, _ = playing.step(game.NOOP)
      row = int(np.argwhere(playing.frame()[..., game.PREY])[0, 0])
      self.assertEqual(row, 9 if reward > 0 else 0)

  def test_a_task_of_another_shape_is_refused(self):
    task = tasks.TaskSpec.from_json(dict(
        tasks.get_task('tiny:catch').to_json(), observation_shape=[8, 8, 10]))
    with self.assertRaisesRegex(UsageError, 'frames of 10 x 10 x 10'):
      TinyGames(task, 1)
    task = tasks.TaskSpec.from_json(dict(task.to_json(), name='tiny:catsh'))
    with self.assertRaisesRegex(UsageError, 'Did you mean tiny:catch'):
      TinyGames(task, 1)

  def test_a_game_must_have_begun(self):
    games = TinyGames(tasks.get_task('tiny:catch'), 1)
    with self.assertRaisesRegex(ValueError, 'call begin first'):
      games.scripted_actions()
