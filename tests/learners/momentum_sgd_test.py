"""Tests of SGD in torch's order."""

import numpy as np
import tensorflow as tf

from xtra_tf.learners.momentum_sgd import MomentumSgd


class TorchTwin:
  """torch.optim.SGD(momentum, weight_decay) for one parameter."""

  def __init__(self, weights, momentum, weight_decay):
    self.weights = np.array(weights, np.float64)
    self._momentum = momentum
    self._weight_decay = weight_decay
    self._buffer = None

  def step(self, gradient, rate):
    gradient = np.asarray(gradient) + self._weight_decay * self.weights
    if self._buffer is None:
      self._buffer = gradient
    else:
      self._buffer = self._momentum * self._buffer + gradient
    self.weights = self.weights - rate * self._buffer


class MomentumSgdTest(tf.test.TestCase):

  def test_equals_torch_while_the_rate_changes(self):
    random = np.random.default_rng(0)
    start = random.normal(size=[3, 2])
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = MomentumSgd([variable], momentum=0.9, weight_decay=0.01)
    twin = TorchTwin(start, 0.9, 0.01)
    for rate in (0., 0.1, 0.2, 0.2, 0.02, 0.5):
      gradient = random.normal(size=[3, 2])
      optimizer.apply([tf.constant(gradient, tf.float32)], [variable],
                      tf.constant(rate), tf.constant(True))
      twin.step(gradient, rate)
      self.assertAllClose(variable, twin.weights, rtol=1e-5)

  def test_unused_variables_do_not_even_decay(self):
    used, unused = tf.Variable([1.]), tf.Variable([2.])
    optimizer = MomentumSgd([used, unused], weight_decay=0.5)
    optimizer.apply([tf.zeros([1]), None], [used, unused], tf.constant(0.1),
                    tf.constant(True))
    self.assertAllClose(used, [0.95])
    self.assertAllEqual(unused, [2.])

  def test_a_step_that_is_not_applied_changes_nothing(self):
    variable = tf.Variable([1., 2.])
    optimizer = MomentumSgd([variable])
    optimizer.apply([tf.ones([2])], [variable], tf.constant(0.1),
                    tf.constant(True))
    weights, velocity = variable.numpy(), optimizer.velocity[0].numpy()
    optimizer.apply([tf.constant([np.nan, 1.])], [variable], tf.constant(0.1),
                    tf.constant(False))
    self.assertAllEqual(variable, weights)
    self.assertAllEqual(optimizer.velocity[0], velocity)

  def test_nothing_to_train(self):
    with self.assertRaisesRegex(ValueError, 'no trainable variables'):
      MomentumSgd([])


if __name__ == '__main__':
  tf.test.main()
