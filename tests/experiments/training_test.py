"""One short stage of EfficientZero, watched at every gradient step.

The parts have tests of their own; here it is held that a stage is made of them
as the official code is: who waits for whom, whose weights are whose, and what
comes back into the table.
"""

from unittest import mock

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import EpisodeLog
from xtra_tf.experiments import configuration, roles, stage_models, training
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay import (
  PriorityLedger,
  make_dataset,
  tables,
  update_priorities,
)
from xtra_tf.runs import RunDirectory, read_metrics
from xtra_tf.types import POSITION
from xtra_tf.workers import StepLearner, TrainingSchedule

UPDATES, PACE, START, ENV_STEPS, SLOTS = 24, 0.5, 60, 105, 2
TARGET_PERIOD, ACTING_PERIOD = 4, 3
FIRST_PRIORITY = 7.  # more than any error in this task
_STAGE = 'scratch/xtra_tf.experiments.StageSettings.'
_BINDINGS = (
    'NUM_SIMULATIONS = 2', 'BATCH_SIZE = 8',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    f'xtra_tf.learners.LearnerSettings.target_update_period = {TARGET_PERIOD}',
    'xtra_tf.learners.LearnerSettings.warmup_steps = 0',
    f'{_STAGE}updates = {UPDATES}', f'{_STAGE}env_steps = {ENV_STEPS}',
    f'{_STAGE}updates_per_env_step = {PACE}',
    f'{_STAGE}start_env_steps = {START}', f'{_STAGE}num_envs = {SLOTS}',
    f'{_STAGE}acting_update_period = {ACTING_PERIOD}',
    f'{_STAGE}evaluation_interval = 0', f'{_STAGE}save_interval = 1000')


def _numbers(model):
  """All weights of a model as one vector, running statistics included."""
  return np.concatenate([v.numpy().ravel() for v in model.variables])


def _ledger(tasks):
  ledger = PriorityLedger(tasks)
  ledger.maximum = FIRST_PRIORITY
  return ledger


class _Watch:
  """What was seen of a stage, one entry per gradient step."""

  def __init__(self):
    self.env_steps, self.temperature = [], []
    self.online, self.target, self.acting = [], [], []
    self.batches, self.updates = [], []
    self.items = {}  # {key: (priority, probability)} of the table at the end

  def run_session(self, parts, plan, stack):
    """Trains, looking at the session before each step and after the last."""
    session = training._Session(parts, plan, stack,
                                tf.distribute.get_strategy())
    original = StepLearner.run

    def run(learner, iterations=1, **kwargs):
      models = session._models
      self.online.append(_numbers(models.online))
      self.acting.append(_numbers(models.acting))
      self.temperature.append(float(session._policy.temperature.numpy()))
      self.env_steps.append(int(session._collector_of_test.env_steps))
      result = original(learner, iterations, **kwargs)
      self.target.append(_numbers(models.target))
      if len(self.target) == UPDATES:
        self._look_at_items(session)
      return result

    build = session._build_collector
    def build_collector(served, manifest):
      session._tables_of_test = served
      session._collector_of_test = build(served, manifest)
      return session._collector_of_test

    session._build_collector = build_collector
    with mock.patch.object(StepLearner, 'run', run):
      return session.run()

  def _look_at_items(self, session):
    client = session._tables_of_test.server.client()
    for sample in client.sample('tiny:catch', 400, emit_timesteps=False):
      self.items[sample.info.key] = (sample.info.priority,
                                     sample.info.probability)

  def make_dataset(self, *args, **kwargs):
    """The real data set; batches are noted as they are drawn."""
    def note(position, age, key):
      self.batches.append((position, age))
      return key
    def look(unroll, info):
      key = tf.numpy_function(
          note, [unroll.position, unroll.age, info.key], tf.uint64)
      return unroll, info._replace(key=tf.ensure_shape(key, info.key.shape))
    return make_dataset(*args, **kwargs).map(look)

  def update_priorities(self, client, tables, info, priority):
    """The real update; what it was given is noted."""
    def note(keys, values):
      self.updates.append(dict(zip(keys.tolist(), values.tolist())))
      return np.int32(0)
    update_priorities(client, tables, info, priority)
    tf.numpy_function(note, [info.key, priority], tf.int32)


class ScratchStageTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.addClassCleanup(gin.clear_config)
    cls.addClassCleanup(
        configuration.ExecutionSettings(graph_optimizer=True).apply)
    configuration.parse(['protocols/smoke.gin'], _BINDINGS)
    configuration.ExecutionSettings(graph_optimizer=False).apply()
    parts = roles.resolve_parts(seed=0)
    test = cls()
    directory = RunDirectory(test.create_tempdir().full_path).stage(
        'scratch', parts.target.name)
    plan = TrainingPlan(
        stage='scratch', title='', directory=directory, tasks=(parts.target,),
        rows=(8,), targets='reanalyzed', logs={}, online=True)
    cls.watch = watch = _Watch()
    with mock.patch.multiple(
        tables, make_dataset=watch.make_dataset,
        update_priorities=watch.update_priorities), mock.patch.object(
            training, 'PriorityLedger', _ledger):
      with training.contextlib.ExitStack() as stack:
        cls.result = watch.run_session(parts, plan, stack)
    cls.log = EpisodeLog(directory.episodes)
    cls.metrics = read_metrics(directory.metrics_file('learner'))

  def test_acting_and_learning_take_turns(self):
    # EfficientZero core/selfplay_worker.py:164-165.
    schedule = TrainingSchedule(
        updates=UPDATES, env_steps=ENV_STEPS, updates_per_env_step=PACE,
        start_env_steps=START)
    for step, played in enumerate(self.watch.env_steps):
      allowed = schedule.allowed_env_steps(step)
      self.assertBetween(played, allowed, allowed + SLOTS - 1)
    self.assertEqual(self.watch.env_steps[0], START)
    self.assertBetween(self.result['env_steps'], ENV_STEPS,
                       ENV_STEPS + SLOTS - 1)
    self.assertEqual(self.result['updates'], UPDATES)

  def test_the_warm_up_is_random_and_stores_no_search(self):
    for episode in self.log.episodes():
      real = episode.real.astype(bool)
      self.assertAllEqual(episode.has_search[real],
                          episode.env_step[real] >= START)

  def test_ages_are_counted_in_environment_steps(self):
    # EfficientZero core/reanalyze_worker.py:70-72.
    anchor, column = 0, POSITION.index('env_step')  # tiny tasks do not stack
    oldest = 0.
    for step in range(UPDATES):
      position, age = self.watch.batches[step]
      counts = set((age + position[:, anchor, column]).tolist())
      self.assertLen(counts, 1)
      # Drawn with the count of this step or of the one before.
      self.assertIn(counts.pop(),
                    (self.watch.env_steps[max(step - 1, 0)],
                     self.watch.env_steps[max(step - 2, 0)],
                     self.watch.env_steps[step]))
      oldest = max(oldest, age.max())
    self.assertGreater(oldest, START)

  def test_how_old_rows_are_is_logged(self):
    env_steps, column = self.watch.env_steps, POSITION.index('env_step')
    ages, policy_ages = [], []
    for step in range(UPDATES):
      taken_at = self.watch.batches[step][0][:, 0, column]
      ages.append(env_steps[step] - taken_at)
      policy_ages.append([step - max(
          newest for newest in range(0, step + 1, ACTING_PERIOD)
          if not newest or env_steps[newest - 1] <= taken)
                          for taken in taken_at])
    rows = [row for row in self.metrics if 'replay/age_mean' in row]
    self.assertNotEmpty(rows)
    first = 0
    for row in rows:
      for name, found in (('age', ages), ('policy_age', policy_ages)):
        of_row = np.concatenate(found[first:row['step']])
        self.assertAllClose(row[f'replay/{name}_mean'], of_row.mean())
        self.assertEqual(row[f'replay/{name}_max'], of_row.max())
      first = row['step']
    self.assertEqual(first, UPDATES)
    self.assertGreater(max(map(max, policy_ages)), ACTING_PERIOD)

  def test_all_models_begin_alike(self):
    self.assertAllEqual(self.watch.acting[0], self.watch.online[0])
    self.assertAllEqual(self.watch.target[0], self.watch.online[0])

  def test_target_network_lags_one_to_two_periods(self):
    # EfficientZero core/train.py:368-394.
    for step, target in enumerate(self.watch.target):
      snapshot = max(0, step // TARGET_PERIOD - 1) * TARGET_PERIOD
      self.assertAllEqual(target, self.watch.online[snapshot], f'step {step}')
    self.assertNotAllEqual(self.watch.online[0], self.watch.online[1])

  def test_the_actor_gets_new_weights_at_its_period(self):
    for step, acting in enumerate(self.watch.acting):
      newest = step - step % ACTING_PERIOD
      self.assertAllEqual(acting, self.watch.online[newest], f'step {step}')

  def test_temperature_falls_at_a_half_and_three_quarters(self):
    # XTRA config/atari/__init__.py:106-115.
    self.assertAllClose(self.watch.temperature,
                        [1.] * 12 + [0.5] * 6 + [0.25] * 6)

  def test_errors_become_priorities_and_new_data_have_the_highest(self):
    # EfficientZero core/replay_buffer.py:65-125.
    self.assertLen(self.watch.updates, UPDATES)
    newest = {}
    for update in self.watch.updates:
      newest.update(update)
    learned = set(newest) & set(self.watch.items)
    self.assertGreater(len(learned), 8)
    for key in learned:
      self.assertAllClose(self.watch.items[key][0], max(newest[key], 1e-6))
      self.assertLess(newest[key], FIRST_PRIORITY)
    for key in set(self.watch.items) - learned:
      self.assertEqual(self.watch.items[key][0], FIRST_PRIORITY)

  def test_items_are_drawn_by_the_power_0_6_of_their_priority(self):
    priority, probability = np.array(list(self.watch.items.values())).T
    self.assertGreater(np.ptp(priority), 1.)
    share = probability / priority**0.6
    self.assertAllClose(share, np.full_like(share, share[0]), rtol=1e-5)


class WhoseTargetsTest(parameterized.TestCase):
  """Fresh targets are the target network's, stored ones nobody's."""

  @parameterized.parameters(('reanalyzed', 'reanalyzed_targets', True),
                            ('finetuning', 'finetuning_targets', True),
                            ('stored', 'stored_targets', False))
  def test_targets_are_the_target_networks(self, targets, maker, asks_it):
    models = stage_models.Models('online', target='target', acting='acting')
    plan = mock.Mock(targets=targets, stage='scratch', tasks=('task',))
    with mock.patch.object(training.roles, maker) as made:
      found = stage_models.build_targets(mock.Mock(), plan, models, (4,))
    self.assertIs(found, made.return_value)
    given = [a for a in made.call_args.args if a in ('online', 'target',
                                                     'acting')]
    self.assertEqual(given, ['target'] if asks_it else [])


if __name__ == '__main__':
  tf.test.main()
