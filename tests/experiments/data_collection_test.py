"""Collected episodes: what they hold, that they go on, and what is refused."""

import json
import os
import tempfile
from unittest import mock

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import (
  IncompatibleDataError,
  SettingsChangedError,
  UsageError,
)
from xtra_tf.experiments import configuration, roles
from xtra_tf.experiments.data_collection import (
  CollectionSettings,
  DataCollection,
)
from xtra_tf.models.registry import build_world_model
from xtra_tf.tasks import get_task
from xtra_tf.variables import save_world_model
from xtra_tf.workers import Collector

TASK = 'tiny:catch'
_COMPILE = 'xtra_tf.planning.MctsPlanner.compile_search = False'


class DataCollectionTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    configuration.parse(['protocols/smoke.gin'], [])
    description = roles.resolve_parts(0).description
    folder = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.checkpoint = os.path.join(folder, 'model')
    save_world_model(build_world_model(description, seed=0), cls.checkpoint,
                     description, step=7)
    cls.addClassCleanup(gin.clear_config)

  def setUp(self):
    super().setUp()
    self.output = os.path.join(self.create_tempdir().full_path, 'data')

  def settings(self, **changes):
    values = {'task': TASK, 'output': self.output, 'num_envs': 2, **changes}
    if not {'env_steps', 'episodes'} & set(changes):
      values['env_steps'] = 30
    return CollectionSettings(**values)

  def collect(self, **changes):
    return DataCollection(self.settings(**changes)).run()

  def test_random_play(self):
    collected = self.collect(env_steps=60)
    self.assertBetween(collected.env_steps, 60, 61)
    log = EpisodeLog(self.output, expected_task=get_task(TASK))
    log.verify()
    self.assertEqual(log.columns, ())
    self.assertEqual(log.num_episodes, collected.episodes + collected.cut)
    played = np.concatenate([e.action[e.real] for e in log.episodes()])
    self.assertEqual(set(played.tolist()), set(log.task.legal_actions))
    self.assertFalse(any(e.has_search.any() for e in log.episodes()))
    provenance = log.header.provenance
    self.assertEqual(provenance['acting'], {'policy': 'random'})
    self.assertEqual(provenance['environment']['num_envs'], 2)
    self.assertEqual(provenance['environment']['sticky_actions'], 0)
    self.assertIn('tensorflow', provenance['versions'])
    self.assertIn('commit', provenance['code'])
    self.assertTrue(log.sealed)
    self.assertEqual(collected.provenance, provenance)

  def test_sticky_actions_are_played_and_recorded(self):
    sticky = 'xtra_tf.experiments.TaskSettings.sticky_actions = 0.25'
    frames = 'xtra_tf.experiments.TaskSettings.resolution = 16'
    self.collect(task='Pong', env_steps=6, gin_bindings=(sticky, frames))
    log = EpisodeLog(self.output)
    self.assertEqual(log.task.sticky_actions, 0.25)
    self.assertEqual(log.header.provenance['environment']['sticky_actions'],
                     0.25)
    with self.assertRaisesRegex(SettingsChangedError, 'sticky_actions: expec'):
      self.collect(task='Pong', env_steps=9, gin_bindings=(frames,))

  def test_play_of_a_checkpoint_has_searches(self):
    self.collect(env_steps=24, checkpoint=self.checkpoint, num_simulations=3,
                 temperature=0.5, gin_bindings=(_COMPILE,))
    log = EpisodeLog(self.output)
    self.assertEqual(log.columns, ('search', 'root_value'))
    for episode in log.episodes():
      searched = episode.search[episode.has_search]
      self.assertAllEqual(searched.sum(-1), np.full([len(searched)], 3.))
      self.assertTrue(episode.has_search[episode.real].all())
    acting = log.header.provenance['acting']
    self.assertEqual((acting['temperature'], acting['greedy']), (0.5, False))
    self.assertEqual(acting['search']['num_simulations'], 3)
    self.assertEqual(acting['checkpoint']['step'], 7)
    self.assertRegex(acting['checkpoint']['weights'], '^[0-9a-f]{64}$')
    # Data travel: no place of this machine.
    self.assertNotIn(os.path.dirname(self.checkpoint),
                     json.dumps(log.header.provenance))

  def test_greedy_play_is_the_most_visited_action(self):
    self.collect(env_steps=24, checkpoint=self.checkpoint, num_simulations=3,
                 greedy=True, gin_bindings=(_COMPILE,))
    for episode in EpisodeLog(self.output).episodes():
      real = episode.real
      self.assertAllEqual(episode.search[real].argmax(-1), episode.action[real])

  def test_whole_games_are_counted(self):
    collected = self.collect(episodes=5)
    self.assertBetween(collected.episodes, 5, 6)

  def test_the_same_settings_do_nothing_more_and_larger_ones_go_on(self):
    first = self.collect(env_steps=30)
    again = self.collect(env_steps=30)
    self.assertEqual((again.env_steps, again.new_env_steps),
                     (first.env_steps, 0))
    more = self.collect(env_steps=50)
    self.assertBetween(more.env_steps, 50, 51)
    self.assertEqual(more.new_env_steps, more.env_steps - first.env_steps)
    EpisodeLog(self.output).verify()

  def test_a_second_session_plays_other_games_with_other_actions(self):
    self.collect(env_steps=18)
    before = EpisodeLog(self.output).num_episodes
    self.collect(env_steps=36)
    episodes = list(EpisodeLog(self.output).episodes())
    self.assertGreater(len(episodes), before)
    seen = [(e.observation.tobytes(), e.action.tobytes()) for e in episodes]
    self.assertLen(set(seen), len(seen))

  def test_equal_seeds_give_equal_data(self):
    self.collect(env_steps=40, seed=3)
    first = [e.action for e in EpisodeLog(self.output).episodes()]
    self.output += '_again'
    self.collect(env_steps=40, seed=3)
    again = [e.action for e in EpisodeLog(self.output).episodes()]
    self.assertAllEqual(np.concatenate(first), np.concatenate(again))

  def test_a_kill_loses_at_most_the_open_blocks(self):
    original = Collector.collect
    with mock.patch.object(Collector, 'collect', autospec=True) as collect:
      def killed_later(collector, steps):
        if collector.env_steps >= 200:
          raise SystemExit  # and nothing below is closed
        return original(collector, steps)
      collect.side_effect = killed_later
      with mock.patch.object(Collector, 'close'), self.assertRaises(SystemExit):
        self.collect(env_steps=240)
    torn = os.path.join(self.output, '0', 'index.jsonl')
    with open(torn, 'ab') as file:
      file.write(b'{"episode":')
    collection = DataCollection(self.settings(env_steps=240))
    # Whole games were committed, the open ones were not.
    self.assertBetween(collection.env_steps, 100, 199)
    self.assertBetween(collection.run().env_steps, 240, 241)
    EpisodeLog(self.output).verify()

  @parameterized.parameters(
      ({'seed': 1}, 'seed: expected 1, found 0'),
      ({'num_envs': 3}, 'environment.num_envs: expected 3, found 2'),
      ({'task': 'tiny:cross'}, "environment.task: expected 'tiny:cross'"))
  def test_other_settings_are_refused(self, changes, message):
    self.collect()
    with self.assertRaisesRegex(
        SettingsChangedError, f'collected otherwise.*{message}.*another'):
      self.collect(**changes)

  def test_another_policy_is_refused(self):
    self.collect()
    with self.assertRaisesRegex(
        SettingsChangedError, "acting.policy: expected 'search', found 'rand"):
      self.collect(checkpoint=self.checkpoint)

  @parameterized.parameters(
      ({'env_steps': None}, 'Expected exactly one of them'),
      ({'env_steps': 3, 'episodes': 3}, 'Expected exactly one of them'),
      ({'env_steps': 0}, '--env_steps is 0. Expected at least 1'),
      ({'num_envs': 0}, '--num_envs is 0'),
      ({'seed': -1}, '--seed is -1'),
      ({'greedy': True}, '--greedy is about a search'),
      ({'temperature': 0.5}, '--temperature is about a search'),
      ({'temperature': 0., 'checkpoint': 'x'}, 'Expected a number above 0'),
      ({'temperature': 1., 'greedy': True, 'checkpoint': 'x'}, 'both given'))
  def test_impossible_settings(self, changes, message):
    with self.assertRaisesRegex(UsageError, message):
      self.settings(**changes)

  def test_a_misspelt_task_has_a_near_name(self):
    with self.assertRaisesRegex(UsageError, 'Did you mean tiny:catch'):
      self.collect(task='tiny:cach')

  def test_a_folder_of_something_else_is_left_alone(self):
    os.makedirs(self.output)
    path = os.path.join(self.output, 'thesis.tex')
    with open(path, 'w', encoding='utf-8') as file:
      file.write('much work')
    with self.assertRaisesRegex(UsageError, 'holds other things: thesis.tex'):
      self.collect()
    self.output = path
    with self.assertRaisesRegex(UsageError, 'is the file'):
      self.collect()

  def test_a_checkpoint_of_other_actions_is_refused(self):
    with self.assertRaisesRegex(IncompatibleDataError, 'does not fit Alien'):
      self.collect(task='Alien', checkpoint=self.checkpoint)


if __name__ == '__main__':
  tf.test.main()
