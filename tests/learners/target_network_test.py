"""Tests of the lagging copy."""

import tensorflow as tf

from xtra_tf.learners.target_network import TargetNetwork
from xtra_tf.testing.linear_world_model import LinearWorldModel


def _fill(model, value):
  for variable in model.variables:
    variable.assign(tf.fill(variable.shape, float(value)))


class TargetNetworkTest(tf.test.TestCase):

  def test_lags_one_to_two_periods(self):
    online = LinearWorldModel((2,), size=2)
    target = LinearWorldModel((2,), size=2, seed=1)
    network = TargetNetwork(online, target, period=3)
    _fill(online, 100.)  # e.g. a student loaded after construction
    refresh = tf.function(network.refresh)
    found = []
    for step in range(10):
      refresh(tf.constant(step, tf.int64))
      found.append({float(tf.reduce_max(v)) for v in target.variables})
      _fill(online, 101. + step)
    # The online model holds 100 + s at the start of step s.
    expected = [100., 100., 100.,  # step 0: the initial model
                100., 100., 100.,  # step 3 publishes the snapshot of step 0
                103., 103., 103., 106.]
    self.assertEqual(found, [{value} for value in expected])

  def test_running_statistics_are_copied(self):
    online = LinearWorldModel((2,), size=2)
    target = LinearWorldModel((2,), size=2)
    online.norm.running_mean.assign([5., 6.])
    TargetNetwork(online, target).refresh(tf.constant(0, tf.int64))
    self.assertAllEqual(target.norm.running_mean, [5., 6.])

  def test_needs_another_model_of_the_same_structure(self):
    online = LinearWorldModel((2,), size=2)
    with self.assertRaisesRegex(ValueError, 'a model of its own'):
      TargetNetwork(online, online)
    with self.assertRaisesRegex(ValueError, 'the same variables'):
      TargetNetwork(online, LinearWorldModel((2,), size=3))


if __name__ == '__main__':
  tf.test.main()
