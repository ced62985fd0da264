"""The order of acting, learning and saving, with parts that only count."""

import contextlib

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent

from xtra_tf.types import LossParts, TrainingMetrics
from xtra_tf.workers.trainer import (
  Trainer,
  TrainingSchedule,
  training_scalars,
)


class CountingLearner:
  """Counts steps."""

  def __init__(self, events):
    self.train_step = tf.Variable(0, dtype=tf.int64)
    self._events = events

  def run(self, iterations):
    self.train_step.assign_add(iterations)
    self._events.append('learn')
    one = tf.ones([1])
    return tf_agent.LossInfo(tf.constant(1.), TrainingMetrics(
        parts=LossParts(one, one, one, one), task=tf.zeros([1], tf.int32),
        priority=one, task_loss=one, gradient_norm=tf.constant(1.),
        learning_rate=tf.constant(1.), cosine=one * np.nan,
        task_gradient_norm=one * np.nan, finite=tf.constant(True),
        agreement=one * np.nan, divergence=one * np.nan))

  def save(self):
    self._events.append('save')

  def take_waited(self):
    return 0.


class CountingCollector:
  """Counts environment steps, two at a time."""
  recent_return = None

  def __init__(self, events):
    self.env_steps = 0
    self._events = events

  def collect(self, iterations):
    self.env_steps += 2 * iterations
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

  def commit(self, step, env_steps, state):
    self.committed.append((step, env_steps))


class Progress(contextlib.nullcontext):

  def update(self, step, **fields):
    pass


class Metrics:

  def write(self, step, env_steps, scalars):
    pass


class TrainerTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(1, 2, 3)
  def test_last_update_earns_environment_steps_too(self, save_interval):
    events, checkpoints = [], Checkpoints()
    schedule = TrainingSchedule(
        updates=2, env_steps=12, updates_per_env_step=0.5, start_env_steps=8,
        save_interval=save_interval)
    Trainer(CountingLearner(events), schedule, checkpoints, Metrics(),
            Progress(), ['task'], collector=CountingCollector(events)).run()
    saves = ['flush', 'save'] if save_interval == 1 else []
    self.assertEqual(events, ['act'] * 4 + ['learn', *saves, 'act', 'learn',
                                            'act', 'flush', 'save'])
    # The last manifest has them, and there is one of that step only.
    self.assertEqual(checkpoints.committed[-1], (2, 12))
    self.assertLen({step for step, _ in checkpoints.committed},
                   len(checkpoints.committed))


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
