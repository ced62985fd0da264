"""What a learner draws, and how long it says to have waited for it."""

import time

import tensorflow as tf

from xtra_tf.workers import StepLearner

_SECONDS = 0.05  # that each batch takes


class _Agent(tf.Module):
  """Returns its batch."""
  policy = collect_policy = None

  def __init__(self):
    super().__init__()
    self.train_step_counter = tf.Variable(0, dtype=tf.int64)
    self.traces = 0

  def initialize(self):
    pass

  def train(self, experience):
    self.traces += 1
    self.train_step_counter.assign_add(1)
    return experience


def _slow_batches():
  """(number, info) pairs."""
  def draw(number):
    time.sleep(_SECONDS)
    return number

  return tf.data.Dataset.range(100).map(lambda number: (
      tf.ensure_shape(tf.numpy_function(draw, [number], tf.int64), []), ()))


class StepLearnerTest(tf.test.TestCase):

  def _learner(self, dataset):
    agent = _Agent()
    return agent, StepLearner(
        self.create_tempdir().full_path, agent.train_step_counter, agent,
        dataset, checkpoint_interval=10**12, summary_interval=0,
        run_optimizer_variable_init=False)

  def test_batches_come_in_order_through_one_trace(self):
    agent, learner = self._learner(_slow_batches)
    self.assertEqual([int(learner.run(1)) for _ in range(3)], [0, 1, 2])
    self.assertEqual(int(learner.run(2)), 4)
    self.assertEqual(agent.traces, 1)

  def test_waiting_is_counted_once(self):
    _, learner = self._learner(_slow_batches)
    begun = time.perf_counter()
    learner.run(4)
    seconds = time.perf_counter() - begun
    # The first batch may be drawn ahead while the learner is built.
    self.assertBetween(learner.take_waited(), 3 * _SECONDS, seconds)
    self.assertEqual(learner.take_waited(), 0.)

  def test_what_is_at_hand_is_not_waited_for(self):
    _, learner = self._learner(lambda: tf.data.Dataset.range(100).map(
        lambda number: (number, ())))
    learner.run(4)
    self.assertLess(learner.take_waited(), _SECONDS)


if __name__ == '__main__':
  tf.test.main()
