"""The one place for how TensorFlow executes graphs."""

import tensorflow as tf

from xtra_tf.experiments.execution import ExecutionSettings


class ExecutionTest(tf.test.TestCase):

  def tearDown(self):
    super().tearDown()
    ExecutionSettings().apply()

  def test_graph_optimizer_is_switched_both_ways(self):
    for wanted in (False, True, False):
      ExecutionSettings(graph_optimizer=wanted).apply()
      options = tf.config.optimizer.get_experimental_options()
      self.assertEqual(options['disable_meta_optimizer'], not wanted)


if __name__ == '__main__':
  tf.test.main()
