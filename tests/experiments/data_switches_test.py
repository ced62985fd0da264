"""The switches of the data path, from gin to what a stage does with them."""

from unittest import mock

from absl.testing import parameterized
import gin
import tensorflow as tf

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import UsageError
from xtra_tf.experiments import configuration, roles, training
from xtra_tf.experiments.settings import ReplaySettings, StageSettings
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay import IndexedTable, IndexedTables, ReverbTables
from xtra_tf.runs import RunDirectory
from xtra_tf.tasks import get_task
from xtra_tf.types import SCALARS
from xtra_tf.variables import load_model_description

UPDATES, START, BATCH, BLOCK = 8, 40, 16, 3
_REPLAY = 'xtra_tf.experiments.ReplaySettings.'
_STAGE = 'scratch/xtra_tf.experiments.StageSettings.'
SMALL = (
    'NUM_SIMULATIONS = 2', f'BATCH_SIZE = {BATCH}',
    f'{_REPLAY}unroll_steps = 2', f'{_REPLAY}td_steps = 2',
    f'{_STAGE}updates = {UPDATES}', f'{_STAGE}env_steps = {START + 4}',
    f'{_STAGE}updates_per_env_step = 1.0', f'{_STAGE}start_env_steps = {START}',
    f'{_STAGE}num_envs = 2', f'{_STAGE}evaluation_interval = 0',
    f'{_STAGE}save_interval = 1000')
OFFICIAL = (
    f'{_REPLAY}with_replacement = False', f'{_REPLAY}block_length = {BLOCK}',
    f'{_STAGE}random_warm_up = True', f'{_STAGE}warm_up_target = "uniform"',
    f'{_STAGE}action_head = "task"')


class ScratchStageTest(tf.test.TestCase):
  """A stage with the official values of all of them."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.addClassCleanup(gin.clear_config)
    cls.addClassCleanup(
        configuration.ExecutionSettings(graph_optimizer=True).apply)
    configuration.parse(['protocols/smoke.gin'], (*SMALL, *OFFICIAL))
    configuration.ExecutionSettings(graph_optimizer=False).apply()
    cls.parts = parts = roles.resolve_parts(seed=0)
    cls.directory = RunDirectory(cls().create_tempdir().full_path).stage(
        'scratch', parts.target.name)
    cls.samples, cls.updates, cls.seeds = [], [], []
    sample, update = IndexedTable.sample, IndexedTable.update_priorities

    def watched_sample(table, count, seed):
      cls.seeds.append(list(seed))
      cls.samples.append(sample(table, count, seed))
      return cls.samples[-1]

    def watched_update(table, key, priority):
      cls.updates.append(key.tolist())
      update(table, key, priority)

    with mock.patch.multiple(IndexedTable, sample=watched_sample,
                             update_priorities=watched_update):
      cls.result = training.train(parts, TrainingPlan(
          stage='scratch', title='', directory=cls.directory,
          tasks=(parts.target,), rows=(BATCH,), targets='reanalyzed', logs={},
          online=True))

  def test_trains_to_its_end(self):
    self.assertEqual(self.result['updates'], UPDATES)
    self.assertGreaterEqual(self.result['env_steps'], START + 4)

  def test_no_window_twice_in_a_batch(self):
    self.assertBetween(len(self.samples), UPDATES, UPDATES + 1)
    for sample in self.samples:
      self.assertLen(set(sample.key.tolist()), BATCH)

  def test_batches_are_numbered_by_gradient_steps(self):
    self.assertEqual([seed[1] for seed in self.seeds],
                     list(range(len(self.seeds))))

  def test_every_batch_gets_its_priorities_back(self):
    self.assertEqual(self.updates,
                     [s.key.tolist() for s in self.samples[:UPDATES]])

  def test_windows_are_cut_into_blocks(self):
    truncated = SCALARS.index('truncated')
    seen = {bool(row[truncated]) for sample in self.samples
            for row in sample.data['scalars'][:, 0]}
    self.assertEqual(seen, {True, False})

  def test_warm_up_stores_the_uniform_policy(self):
    legal = self.parts.target.legal_mask().astype('float32')
    rows = 0
    for episode in EpisodeLog(self.directory.episodes).episodes():
      for row in range(len(episode.real)):
        if episode.real[row] and episode.env_step[row] < START:
          self.assertTrue(episode.has_search[row])
          self.assertAllEqual(episode.search[row], legal)
          rows += 1
    self.assertGreater(rows, START - 4)

  def test_model_json_says_which_actions_there_are(self):
    described = load_model_description(self.directory.path)
    target = self.parts.target
    self.assertLess(len(target.legal_actions), target.num_actions)
    self.assertEqual(described['config']['action_ids'],
                     list(target.legal_actions))


class WiringTest(parameterized.TestCase, tf.test.TestCase):

  def tearDown(self):
    super().tearDown()
    gin.clear_config()

  def _parts(self, *bindings):
    configuration.parse(['protocols/demo.gin'], [
        'SOURCE_TASKS = ("Phoenix", "Alien", "Amidar")', 'BATCH_SIZE = 8',
        *bindings])
    return roles.resolve_parts(seed=0)

  def test_default(self):
    parts = self._parts()
    self.assertEqual(
        roles.batch_rows(parts, 'finetune', with_target=True), (8, 3, 3, 2))
    composition = roles.batch_composition(
        parts.stages['finetune'], (8, 3, 3, 2), online=True, seed=1)
    self.assertEqual(composition.mixed, ())
    tables = roles.replay_tables(
        parts, 'scratch', [get_task('tiny:catch')], True, 0)
    self.addCleanup(tables.stop)
    self.assertIsInstance(tables, ReverbTables)

  def test_official_composition(self):
    parts = self._parts(f'{_REPLAY}offline_composition = "random"',
                        "xtra_tf.learners.TaskWeightSettings.use = 'loss'")
    for stage, rows, mixed in (('finetune', (8, 2, 2, 2), (1, 2, 3)),
                               ('student', (2, 2, 2), (0, 1, 2))):
      online = stage == 'finetune'
      self.assertEqual(roles.batch_rows(parts, stage, with_target=online), rows)
      composition = roles.batch_composition(
          parts.stages[stage], rows, online, seed=1)
      self.assertEqual(composition.mixed, mixed)
      composition.check(['x'] * len(rows))
    # Nothing is to be drawn where there is one task.
    alone = roles.batch_composition(
        parts.stages['teacher'], (8,), online=False, seed=1)
    alone.check(['x'])
    self.assertEqual(alone.draw(5).tolist(), [0])

  def test_without_replacement(self):
    parts = self._parts(f'{_REPLAY}with_replacement = False')
    tables = roles.replay_tables(
        parts, 'scratch', [get_task('tiny:catch')], True, 0)
    self.assertIsInstance(tables, IndexedTables)

  @parameterized.parameters(
      (ReplaySettings, 'block_length', -1, 'Expected at least 0'),
      (ReplaySettings, 'with_replacement', 1, 'Expected one of True, False'),
      (ReplaySettings, 'offline_composition', 'mixed',
       "Expected one of 'one_of_each', 'random'"),
      (StageSettings, 'warm_up_target', 'search',
       "Expected one of 'none', 'uniform'"))
  def test_refused(self, settings, name, value, message):
    given = {'updates': 1} if settings is StageSettings else {}
    with self.assertRaisesRegex(
        UsageError, rf'{settings.__name__}\.{name} is {value!r}\. {message}'):
      settings(**given, **{name: value})


if __name__ == '__main__':
  tf.test.main()
