"""Targets made by a process of its own: the learner's, and in time for it."""

import threading
import time

import gin
import numpy as np
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.experiments import configuration, roles, training
from xtra_tf.experiments.collector_role import CollectorPlace, CollectorRole
from xtra_tf.experiments.reanalyzer_role import ReanalyzerPlace, ReanalyzerRole
from xtra_tf.experiments.remote_run import RemoteRun
from xtra_tf.experiments.run_server import RunServer
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay import Composition, Extras
from xtra_tf.replay.batches import as_batch
from xtra_tf.replay.reanalyzed_queue import (
  MOST_BATCHES,
  ReanalyzedQueue,
  batch_spec,
)
from xtra_tf.replay.weights_table import Weights, WeightsChannel
from xtra_tf.runs import RunDirectory, read_metrics

UPDATES, ENV_STEPS, ROWS, PERIOD = 12, 100, 8, 3
_STAGE = 'scratch/xtra_tf.experiments.StageSettings.'
_BINDINGS = (
    'NUM_SIMULATIONS = 2', f'BATCH_SIZE = {ROWS}',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    'xtra_tf.planning.MctsPlanner.compile_search = False',
    f'{_STAGE}updates = {UPDATES}', f'{_STAGE}env_steps = {ENV_STEPS}',
    f'{_STAGE}updates_per_env_step = 0.3',
    f'{_STAGE}start_env_steps = 60', f'{_STAGE}num_envs = 2',
    f'{_STAGE}acting_update_period = {PERIOD}',
    f'{_STAGE}off_policy_interval = 20', f'{_STAGE}log_interval = 4',
    f'{_STAGE}evaluation_interval = 0', f'{_STAGE}save_interval = 1000')
_SETTINGS = 'hash'


def _in_thread(role, results, name):
  def run():
    results[name] = role.run()
  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  return thread


class ReanalyzerRoleTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    """A stage that one reanalyzer and one collector bring to its end."""
    super().setUpClass()
    cls.addClassCleanup(gin.clear_config)
    cls.addClassCleanup(
        configuration.ExecutionSettings(graph_optimizer=True).apply)
    configuration.parse(['protocols/smoke.gin'], _BINDINGS)
    configuration.ExecutionSettings(graph_optimizer=False).apply()
    cls.parts = parts = roles.resolve_parts(seed=0)
    cls.directory = RunDirectory(cls().create_tempdir().full_path).stage(
        'scratch', parts.target.name)
    cls.plan = plan = TrainingPlan(
        stage='scratch', title='', directory=cls.directory,
        tasks=(parts.target,), rows=(ROWS,), targets='reanalyzed', logs={},
        online=True)
    server = cls.serve()
    cls.said, cls.results = [], {}
    place = CollectorPlace(server.address, 0, 1, _SETTINGS, 60.)
    # In an order in which each waits for others.
    threads = [
        _in_thread(ReanalyzerRole(parts, plan, cls.place(server),
                                  cls.said.append), cls.results, 'reanalyzer'),
        _in_thread(CollectorRole(parts, plan, place, cls.said.append),
                   cls.results, 'collector')]
    cls.result = training.train(parts, plan, remote=RemoteRun(
        server.address, 60., cls.said.append, reanalyzed=True))
    for thread in threads:
      thread.join(60.)
    server.stop()

  @classmethod
  def serve(cls):
    server = RunServer(cls.parts, cls.plan, _SETTINGS)
    server.load()
    return server

  @classmethod
  def place(cls, server):
    return ReanalyzerPlace(server.address, 1, _SETTINGS, 60.)

  def test_the_stage_comes_to_its_end(self):
    self.assertEqual(self.result, {'updates': UPDATES,
                                   'env_steps': ENV_STEPS})
    self.assertEqual(self.results['collector'], ENV_STEPS)
    # More than were used waited in the queue, and not many more.
    self.assertBetween(self.results['reanalyzer'], UPDATES,
                       UPDATES + MOST_BATCHES + 4)

  def test_the_learner_has_not_searched(self):
    reader = tf.train.load_checkpoint(self.directory.checkpoints)
    calls, = [name for name in reader.get_variable_to_shape_map()
              if '_targets' in name and 'calls' in name]
    self.assertEqual(reader.get_tensor(calls), 0)

  def test_how_old_the_weights_of_targets_were_is_logged(self):
    rows = [row for row in read_metrics(
        self.directory.metrics_file('learner')) if 'loss/total' in row]
    self.assertLen(rows, UPDATES // 4)
    for row in rows:
      mean, most = (row[f'targets/weights_behind_{name}']
                    for name in ('mean', 'max'))
      self.assertBetween(mean, 0., most)
      # Those of the queue, of the data set, and the period of publishing.
      self.assertLessEqual(most, MOST_BATCHES + 3 + 2 * PERIOD)
    self.assertGreater(rows[-1]['targets/weights_behind_max'], 0.)

  def test_targets_are_those_of_the_learners_own_function(self):
    parts, plan = self.parts, self.plan
    server = self.serve()
    self.addCleanup(server.stop)
    task, window = parts.target, roles.window_spec(
        parts.target, parts.stages['scratch'].replay, parts.planner)
    model = roles.build_model(parts, 5)
    for index, variable in enumerate(model.trainable_variables):
      variable.assign(.3 * tf.random.stateless_normal(variable.shape,
                                                      [3, index]))
    weights = Weights([v.numpy() for v in model.variables], 7, 0, 1., 1.,
                      played={'0': 60, '1': 30})
    channel = WeightsChannel(server.address)
    channel.publish(weights)
    role = ReanalyzerRole(parts, plan, self.place(server), self.said.append)
    found = {}
    thread = _in_thread(role, found, 'batches')
    queue = ReanalyzedQueue(server.address, window, ROWS)
    end = time.monotonic() + 60.
    while queue.size() < MOST_BATCHES and time.monotonic() < end:
      time.sleep(.05)
    channel.publish(weights._replace(finished=True))
    thread.join(60.)
    self.assertEqual(found['batches'], MOST_BATCHES)

    place = self.place(server)
    own = roles.reanalyzed_targets(parts, 'scratch', model, task,
                                   place.seed(plan.seed(parts.seed)))
    extras = Extras(roles.legal_masks([task]), tf.Variable(
        [90], dtype=tf.int64))

    @tf.function(autograph=False)
    def expected(windows):
      unroll, _ = as_batch(windows, window, extras, Composition((ROWS,)))
      return own(unroll), unroll.age

    bare = dict(targets=(), targets_step=())
    expected(tf.nest.map_structure(  # the role's own first call
        lambda column: tf.zeros(column.shape, column.dtype),
        batch_spec(window, ROWS)._replace(**bare)))
    ages = []
    for _ in range(MOST_BATCHES):
      batch = queue.take()
      targets, age = expected(tf.nest.map_structure(
          tf.constant, batch._replace(**bare)))
      for name, ours, theirs in zip(targets._fields, targets, batch.targets,
                                    strict=True):
        self.assertAllClose(ours, theirs, rtol=1e-6, atol=1e-6, msg=name)
      self.assertAllEqual(batch.targets_step, np.full([ROWS], 7))
      ages.append(age)
    self.assertIsNone(queue.take())
    self.assertGreater(np.ptp(ages), 20.)  # more than one n of the bootstrap

  def test_a_queue_of_other_windows_is_refused(self):
    server = self.serve()
    self.addCleanup(server.stop)
    window = roles.window_spec(
        self.parts.target, self.parts.stages['scratch'].replay,
        self.parts.planner)
    ReanalyzedQueue(server.address, window, ROWS).check()
    with self.assertRaisesRegex(
        IncompatibleDataError, r'run:reanalyzed .* is not that of this stage: '
        r'00: expected \(1, 9, 7\), found \(1, 8, 7\)|expected'):
      ReanalyzedQueue(server.address, window, ROWS + 1).check()


if __name__ == '__main__':
  tf.test.main()
