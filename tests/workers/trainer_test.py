"""The order of acting, learning and saving, with parts that only count."""

import contextlib
import signal

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent

from xtra_tf.errors import NonFiniteError, Stopped
from xtra_tf.runs import read_incidents, stop_request
from xtra_tf.types import LossParts, SampleInfo, TrainingMetrics
from xtra_tf.workers.trainer import (
  Trainer,
  TrainerHooks,
  TrainingSchedule,
  training_scalars,
)


class CountingLearner:
  """Counts steps."""
  saved_bytes = 0

  def __init__(self, events, non_finite=(), signals=()):
    self.train_step = tf.Variable(0, dtype=tf.int64)
    self.broken = []
    self.rows = [SampleInfo(
        key=np.array([3], np.uint64), task=np.array([0], np.int32),
        position=np.array([[7, 11]]), probability=np.ones([1]))]
    self._events = events
    self._non_finite = non_finite  # steps
    self._signals = dict(signals)  # {step: sent while it is made}

  def run(self, iterations):
    self.train_step.assign_add(iterations)
    self._events.append('learn')
    one, step = tf.ones([1]), int(self.train_step)
    if step in self._signals:
      signal.raise_signal(self._signals[step])
    finite = step not in self._non_finite
    value = one if finite else one * np.nan
    return tf_agent.LossInfo(value[0], TrainingMetrics(
        parts=LossParts(value, one, one, one), task=tf.zeros([1], tf.int32),
        priority=one, task_loss=one, gradient_norm=tf.constant(1.),
        learning_rate=tf.constant(1.), cosine=one * np.nan,
        task_gradient_norm=one * np.nan, finite=tf.constant(finite),
        agreement=one * np.nan, divergence=one * np.nan))

  def save(self):
    self._events.append('save')

  def non_finite_variables(self):
    return self.broken

  def take_waited(self):
    return 0.


class CountingCollector:
  """Counts environment steps, two at a time."""
  recent_return = None
  log_lines = [5]

  @property
  def committed_env_steps(self):
    return self.env_steps

  def __init__(self, events):
    self.env_steps = 0
    self._events = events

  def collect(self, iterations):
    self.env_steps += 2 * iterations
    if iterations:
      self._events.append('act')
    return []

  def flush(self):
    self._events.append('flush')

  def take_search_means(self):
    return {}


class Checkpoints:
  """Remembers what the manifests say."""
  directory = '/nowhere'

  def __init__(self):
    self.committed = []

  def latest(self):
    return None

  def commit(self, step, env_steps, state, arrays=None):
    self.committed.append((step, env_steps))
    self.state, self.arrays = state, arrays


class Progress(contextlib.nullcontext):
  title = 'Teacher: task'

  def update(self, step, **fields):
    pass


class Metrics:

  def __init__(self):
    self.rows = []

  def write(self, step, env_steps, scalars):
    self.rows.append((step, scalars))


class TrainerTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(1, 2, 3)
  def test_last_update_earns_environment_steps_too(self, save_interval):
    events, checkpoints = [], Checkpoints()
    schedule = TrainingSchedule(
        updates=2, env_steps=12, updates_per_env_step=0.5, start_env_steps=8,
        save_interval=save_interval)
    Trainer(CountingLearner(events), schedule, checkpoints, Metrics(),
            Progress(), ['task'], collector=CountingCollector(events),
            logs_dir='').run()
    saves = ['flush', 'save'] if save_interval == 1 else []
    self.assertEqual(events, ['act'] * 4 + ['learn', *saves, 'act', 'learn',
                                            'act', 'flush', 'save'])
    # The last manifest has them, and there is one of that step only.
    self.assertEqual(checkpoints.committed[-1], (2, 12))
    self.assertLen({step for step, _ in checkpoints.committed},
                   len(checkpoints.committed))


class StopTest(parameterized.TestCase, tf.test.TestCase):
  """Signals and non-finite losses."""

  def setUp(self):
    super().setUp()
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
      self.addCleanup(signal.signal, number, handler)
    stop_request.install()
    self.events, self.checkpoints = [], Checkpoints()
    self.metrics = Metrics()
    self.folder = self.create_tempdir().full_path

  def train(self, updates=6, evaluation_interval=0, evaluate=None, **learner):
    self.learner = CountingLearner(self.events, **learner)
    trainer = Trainer(
        self.learner, TrainingSchedule(
            updates=updates, log_interval=100,
            evaluation_interval=evaluation_interval), self.checkpoints,
        self.metrics, Progress(), ['task'], logs_dir=self.folder,
        hooks=TrainerHooks(evaluate=evaluate))
    trainer.run()

  @parameterized.parameters((signal.SIGTERM, 0), (signal.SIGINT, 130))
  def test_signal_in_a_step_is_answered_by_a_save_after_it(self, number, code):
    with self.assertRaisesRegex(
        Stopped, rf'^Stopped by {number.name}. Saved: 3 updates of Teacher: '
        'task.$') as caught:
      self.train(signals={3: number})
    self.assertEqual(caught.exception.exit_code, code)
    self.assertEqual(self.events, ['learn'] * 3 + ['save'])
    self.assertEqual(self.checkpoints.committed, [(3, 0)])
    # What was learned since the last row of metrics is logged.
    self.assertEqual([step for step, _ in self.metrics.rows], [3])

  def test_first_step_is_not_waited_for(self):
    with self.assertRaisesRegex(Stopped, '^Stopped by SIGTERM.$'):
      self.train(signals={1: signal.SIGTERM})
    self.assertEqual(self.checkpoints.committed, [])

  def test_signal_in_an_evaluation_ends_it_and_saves(self):
    played = []

    def evaluate(step, env_steps):
      del env_steps
      signal.raise_signal(signal.SIGTERM)
      played.append(step)

    with self.assertRaisesRegex(Stopped, 'Saved: 2 updates'):
      self.train(evaluation_interval=2, evaluate=evaluate)
    self.assertEqual(played, [])
    self.assertEqual(self.checkpoints.committed, [(2, 0)])

  def test_evaluations_are_due_at_their_interval_and_not_at_the_end(self):
    played = []
    self.train(evaluation_interval=2, updates=6, evaluate=lambda step, _: (
        played.append(step) or {'score': 1.}))
    self.assertEqual(played, [2, 4])
    self.assertIn((4, {'score': 1.}), self.metrics.rows)

  def test_two_bad_steps_are_borne_and_recorded(self):
    self.train(non_finite=(2, 4))
    self.assertEqual(self.checkpoints.committed, [(6, 0)])
    incidents = read_incidents(self.folder)
    self.assertEqual([i['step'] for i in incidents], [2, 4])
    self.assertEqual(incidents[0]['rows'], [
        {'task': 'task', 'episode': 7, 'step': 11, 'parts': ['value']}])
    [(step, row)] = self.metrics.rows
    self.assertEqual(step, 6)
    self.assertEqual(row['optim/steps_not_applied'], 2.)
    self.assertEqual(row['loss/total'], 1.)  # of the steps that were applied

  def test_three_bad_steps_stop_the_run(self):
    with self.assertRaisesRegex(
        NonFiniteError, r"not finite at step 5, as at 2 of the 100 .* loss nan,"
        r".*'value': nan.*Last good checkpoint: none was saved yet"):
      self.train(non_finite=(2, 4, 5))
    self.assertLen(read_incidents(self.folder), 3)

  def test_three_bad_steps_far_apart_are_borne(self):
    self.train(updates=190, non_finite=(2, 80, 102, 181))
    self.assertEqual(self.checkpoints.committed, [(190, 0)])
    self.assertLen(read_incidents(self.folder), 4)

  def test_variables_that_are_not_finite_are_not_saved(self):
    learner = CountingLearner(self.events)
    learner.broken = ['kernel:0', 'bias:0']
    trainer = Trainer(learner, TrainingSchedule(updates=2), self.checkpoints,
                      self.metrics, Progress(), ['task'], logs_dir=self.folder)
    with self.assertRaisesRegex(
        NonFiniteError, 'At step 2 2 variables are not finite: kernel:0, '
        'bias:0. Expected finite numbers; nothing was saved.'):
      trainer.run()
    self.assertEqual(self.checkpoints.committed, [])
    self.assertNotIn('save', self.events)


def _update(task, agreement, divergence):
  """A gradient step's LossInfo, with what it says of the policies."""
  one = np.ones([1], np.float32)
  return tf_agent.LossInfo(np.float32(1.), TrainingMetrics(
      parts=LossParts(one, one, one, one), task=np.array(task, np.int32),
      priority=one, task_loss=np.ones([3], np.float32), gradient_norm=one[0],
      learning_rate=one[0], cosine=np.full([3], np.nan),
      task_gradient_norm=np.full([3], np.nan), finite=np.array(True),
      agreement=np.array(agreement, np.float32),
      divergence=np.array(divergence, np.float32)))


class TrainingScalarsTest(tf.test.TestCase):

  def test_agreement_is_the_mean_over_a_tasks_searched_rows(self):
    nan = float('nan')
    found = training_scalars(
        [_update([0, 1, 1, 2], [1., 1., 0., nan], [9., .5, 1., nan]),
         _update([0, 1, 2, 2], [1., 0., nan, 1.], [9., 3., nan, .25])],
        ['target', 'first', 'second'], ['first', 'second'])
    self.assertAllClose(
        {tag: value for tag, value in found.items()
         if tag.startswith('transfer/')},
        {'transfer/agreement/first': 1 / 3, 'transfer/teacher_kl/first': 1.5,
         'transfer/agreement/second': 1., 'transfer/teacher_kl/second': .25})

  def test_a_task_without_searched_rows_is_left_out(self):
    found = training_scalars([_update([0, 1], [1., float('nan')], [1., 1.])],
                             ['first', 'second', 'third'],
                             ['second', 'third'])
    self.assertNotIn('transfer/agreement/second', found)
    self.assertNotIn('transfer/agreement/third', found)
    self.assertFalse([tag for tag in found if 'first' in tag
                      and tag.startswith('transfer/')])

  def test_losses_are_of_the_batches_that_a_task_is_in(self):
    nan = float('nan')
    updates = [
        _update([0, 1, 1], [nan] * 3, [nan] * 3),
        _update([0, 0, 0], [nan] * 3, [nan] * 3)]
    losses = ([1., 4., 0.], [3., 0., 0.])  # 0 where there was no row
    updates = [update._replace(extra=update.extra._replace(
        task_loss=np.array(loss))) for update, loss in zip(updates, losses)]
    found = training_scalars(updates, ['target', 'first', 'second'])
    self.assertEqual(found['loss/target/total'], 2.)
    self.assertEqual(found['loss/first/total'], 4.)
    self.assertNotIn('loss/second/total', found)
    self.assertEqual([found[f'replay/{task}/rows'] for task in
                      ('target', 'first', 'second')], [2., 1., 0.])


if __name__ == '__main__':
  tf.test.main()
