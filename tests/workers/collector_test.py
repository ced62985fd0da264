"""The collector, with real environments, policies, logs and tables."""

import collections
import os
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter
from xtra_tf.planning import PriorPlanner
from xtra_tf.policies import PlanningPolicy, RandomPolicy
from xtra_tf.replay import ReplayServer, ReplayWriter, TableSpec, WindowSpec
from xtra_tf.tasks import TaskSpec
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.testing.random_environment import Chances, random_environment
from xtra_tf.workers import Collector

STACK, SLOTS = 2, 3
WARM_UP = 30
WINDOW = WindowSpec(stack=STACK, unroll_steps=2, td_steps=1,
                    observation_shape=(3, 3, 1), observation_dtype='uint8',
                    target_shape=(4,))


def _task():
  return TaskSpec(name='noise', observation_shape=(3, 3, 1),
                  observation_dtype='uint8', num_actions=4,
                  legal_actions=(0, 1, 3), action_names=tuple('abcd'),
                  stack=STACK)


def _calls(policy):
  [calls] = [v for v in policy.variables() if v.name == 'calls:0']
  return calls


class _Session:
  """Everything that a collector needs, in one folder."""

  def __init__(self, folder, seed=5, keep_open=False, calls=None, **options):
    self.server = ReplayServer(
        [TableSpec('noise', max_size=10_000, priority_exponent=0.6)], WINDOW)
    environment = random_environment(
        _task(), num_envs=SLOTS, seed=seed,
        chances=Chances(terminal=0.05, life_loss=0.1))
    time_step_spec = tensor_spec.from_spec(environment.time_step_spec())
    action_spec = tensor_spec.from_spec(environment.action_spec())
    model = LinearWorldModel((3, 3, STACK), num_actions=4)
    self.policy = policy = PlanningPolicy(
        time_step_spec, action_spec, model, PriorPlanner(visits=10.), STACK,
        seed=seed)
    if calls is not None:  # as a checkpoint would restore it
      _calls(policy).assign(calls)
    logs = [EpisodeLogWriter(folder, _task(), ('search', 'root_value'),
                             writer=slot, keep_open=keep_open, block_steps=7)
            for slot in range(SLOTS)]
    self.open_games = {slot: log.read_open_episode()
                       for slot, log in enumerate(logs)
                       if keep_open and log.read_open_episode() is not None}
    tables = [ReplayWriter(self.server.client(), 'noise', WINDOW, lambda *_: 1.)
              for _ in range(SLOTS)]
    self.collector = Collector(
        environment, policy, logs, tables, STACK,
        RandomPolicy(time_step_spec, action_spec, seed=seed), WARM_UP,
        open_games=self.open_games, **options)

  def stop(self):
    """Closes the collector; how many items the table holds then."""
    self.collector.close()
    items = self.server.sizes()['noise']
    self.server.stop()
    return items


class CollectorTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    root = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, root)
    folder = os.path.join(root, 'log')
    session = _Session(folder)
    cls.before = session.collector.recent_return
    cls.first_games = session.collector.collect(20)
    cls.after_first = session.collector.env_steps
    # As before a save: what a kill would then leave of the log.
    session.collector.flush()
    cls.saved = EpisodeLog(folder).env_steps
    cls.games = cls.first_games + session.collector.collect(150)
    cls.env_steps = session.collector.env_steps
    cls.recent = session.collector.recent_return
    cls.metrics = session.collector.clipped_metrics()
    cls.items = session.stop()
    cls.log = EpisodeLog(folder, expected_task=_task())
    cls.episodes = list(cls.log.episodes())
    # A game that is broken off gives its last row up as final observation.
    cls.cut = sum(episode.end == 'cut' for episode in cls.episodes)

  def test_plays_as_much_as_asked_and_at_most_a_batch_more(self):
    self.assertBetween(self.after_first, 20, 20 + SLOTS - 1)
    self.assertBetween(self.env_steps, self.after_first + 150,
                       self.after_first + 150 + SLOTS - 1)

  def test_flush_commits_every_step_so_far(self):
    self.assertEqual(self.saved, self.after_first)

  def test_log_holds_every_real_step_once(self):
    self.assertBetween(
        self.log.num_steps, self.env_steps - self.cut, self.env_steps)
    self.assertLessEqual(self.cut, SLOTS)
    self.log.verify()
    for episode in self.episodes:
      self.assertAllInSet(episode.action[episode.real], (0, 1, 3))

  def test_each_real_step_is_an_anchor(self):
    self.assertEqual(self.items, self.log.num_steps)

  def test_finished_games_tell_the_logs_returns(self):
    finished = [e for e in self.episodes if e.end != 'cut']
    self.assertLen(self.games, len(finished))
    told = collections.defaultdict(list)
    for game in self.games:
      told[game.slot].append((game.raw_return, game.length))
    kept = collections.defaultdict(list)
    for episode in finished:
      kept[episode.writer].append(
          (float(episode.raw_reward.sum()), len(episode.real) - 1))
    self.assertEqual(told, kept)

  def test_recent_return(self):
    self.assertIsNone(self.before)
    last = [game.raw_return for game in self.games][-10:]
    self.assertAlmostEqual(self.recent, np.mean(last), places=4)
    self.assertEqual(set(self.metrics), {'return_clipped', 'segment_length'})

  def test_warm_up_is_random_and_then_search_takes_over(self):
    uniform, searched = 0, 0
    for episode in self.episodes:
      for row in np.flatnonzero(episode.real):
        visits = episode.search[row][[0, 1, 3]]
        is_uniform = bool(np.ptp(visits) < 1e-4)
        uniform += is_uniform
        searched += not is_uniform
        # The count of steps decides, over all slots.
        self.assertEqual(is_uniform, episode.env_step[row] < WARM_UP)
    self.assertEqual(uniform + searched, self.log.num_steps)
    self.assertBetween(uniform, WARM_UP, WARM_UP + SLOTS)

  def test_warm_up_has_no_policy_targets(self):
    for episode in self.episodes:
      self.assertAllEqual(episode.has_search[episode.real],
                          episode.env_step[episode.real] >= WARM_UP)

  def test_warm_up_has_a_uniform_policy_target_if_asked(self):
    folder = os.path.join(self.create_tempdir().full_path, 'log')
    session = _Session(folder, warm_up_has_targets=True)
    session.collector.collect(WARM_UP)
    # Nothing has been searched so far, whatever is stored.
    self.assertEmpty(session.collector.take_search_means())
    session.stop()
    for episode in EpisodeLog(folder, expected_task=_task()).episodes():
      self.assertAllEqual(episode.has_search[episode.real],
                          [True] * int(episode.real.sum()))
      self.assertAllEqual(
          episode.search[episode.real],
          np.tile([1., 1., 0., 1.], [int(episode.real.sum()), 1]))
      self.assertAllEqual(episode.root_value, np.zeros(len(episode.real)))

  def test_another_session_goes_on_with_new_games(self):
    folder = os.path.join(self.create_tempdir().full_path, 'log')
    first = _Session(folder)
    first.collector.collect(40)
    steps = first.collector.env_steps
    first.stop()
    seen = {episode.number: episode.observation[0].tobytes()
            for episode in EpisodeLog(folder).episodes()}
    # A game that is cut loses its last row's action.
    kept = EpisodeLog(folder).env_steps
    self.assertBetween(kept, steps - SLOTS, steps)
    second = _Session(folder)
    self.assertEqual(second.collector.env_steps, kept)
    second.collector.collect(10)
    second.stop()
    new = [e for e in EpisodeLog(folder).episodes() if e.number not in seen]
    self.assertNotEmpty(new)
    for episode in new:
      self.assertNotIn(episode.observation[0].tobytes(), seen.values())

  def _episodes(self, folder):
    return list(EpisodeLog(folder, expected_task=_task()).episodes())

  def test_games_left_open_are_gone_on_with_as_if_nothing_had_been(self):
    folders = [os.path.join(self.create_tempdir().full_path, name)
               for name in ('whole', 'broken')]
    whole = _Session(folders[0], keep_open=True)
    expected = whole.collector.collect(300)
    calls = int(_calls(whole.policy))
    whole.stop()
    broken = _Session(folders[1], keep_open=True)
    games, done = broken.collector.collect(WARM_UP), 0
    resumed = 0
    for steps in (33, 61, 62, 63, 100, 101, 170, 240, 300):
      games += broken.collector.collect(steps - broken.collector.env_steps)
      done = int(_calls(broken.policy))
      broken.stop()
      broken = _Session(folders[1], keep_open=True, calls=done)
      resumed += len(broken.open_games)
    broken.stop()
    self.assertGreater(resumed, 15)
    self.assertEqual(done, calls)
    self.assertEqual(games, expected)
    for one, other in zip(*map(self._episodes, folders), strict=True):
      for name, values, found in zip(one._fields, one, other):
        self.assertAllEqual(values, found, name)

  def test_a_game_that_does_not_come_back_ends_as_cut(self):
    folder = os.path.join(self.create_tempdir().full_path, 'log')
    first = _Session(folder, keep_open=True)
    first.collector.collect(45)
    first.stop()
    told = []
    # Another seed makes other games of all slots.
    second = _Session(folder, seed=6, keep_open=True,
                      on_cut=lambda *place: told.append(place))
    left = dict(second.open_games)
    second.collector.collect(30)
    second.stop()
    self.assertEqual(sorted(slot for slot, _ in told), sorted(left))
    episodes = {e.number: e for e in self._episodes(folder)}
    for game in left.values():
      self.assertEqual(episodes[game.number].end, 'cut')
      self.assertLen(episodes[game.number].real, len(game.real))
      self.assertIn(game.number + 1, episodes)


if __name__ == '__main__':
  tf.test.main()
