"""Batch norm against its formula, in all the ways that it is run."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.models.batch_norm import BatchNorm

_SHAPES = (('flat', (3, 5)), ('image', (3, 4, 2, 5)), ('cell', (3, 1, 1, 5)))


class BatchNormTest(tf.test.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.random = np.random.default_rng(0)

  def make(self, shape):
    x = self.random.normal(2., 3., size=shape).astype(np.float32)
    norm = BatchNorm(shape[-1], 'norm')
    for weight in (norm.gamma, norm.beta, norm.running_mean):
      weight.assign(self.random.normal(size=[shape[-1]]))
    norm.running_variance.assign(self.random.uniform(1., 2., [shape[-1]]))
    return norm, x

  @parameterized.named_parameters(*[
      (f'{name}_{how}', shape, how) for name, shape in _SHAPES
      for how in ('eager', 'graph', 'xla')])
  def test_training(self, shape, how):
    norm, x = self.make(shape)
    flat = x.reshape([-1, 5])
    mean, variance = flat.mean(0), flat.var(0)
    unbiased = flat.var(0, ddof=1)
    expected_mean = 0.9 * norm.running_mean.numpy() + 0.1 * mean
    expected_variance = 0.9 * norm.running_variance.numpy() + 0.1 * unbiased
    def call(x):
      return norm(x, training=True)

    if how != 'eager':
      call = tf.function(call, jit_compile=how == 'xla', autograph=False)
    y = call(tf.constant(x))
    self.assertAllClose(
        y, (x - mean) / np.sqrt(variance + 1e-5) * norm.gamma + norm.beta,
        atol=1e-5)
    self.assertAllClose(norm.running_mean, expected_mean)
    self.assertAllClose(norm.running_variance, expected_variance)

  @parameterized.named_parameters(*_SHAPES)
  def test_inference_uses_and_keeps_running_statistics(self, shape):
    norm, x = self.make(shape)
    mean, variance = norm.running_mean.numpy(), norm.running_variance.numpy()
    y = norm(x)
    self.assertAllClose(
        y, (x - mean) / np.sqrt(variance + 1e-5) * norm.gamma + norm.beta)
    self.assertAllEqual(norm.running_mean, mean)
    self.assertAllEqual(norm.running_variance, variance)

  def test_epsilon_is_torchs(self):
    norm = BatchNorm(1, 'norm')
    norm.running_variance.assign([0.])
    # 1.001e-5, cuDNN's old floor, would give 316.07.
    self.assertAllClose(norm(tf.ones([2, 1])), [[316.22775]] * 2, rtol=1e-6)

  def test_gradient_flows_through_the_batch_statistics(self):
    norm, x = self.make((4, 5))
    x = tf.constant(x)
    with tf.GradientTape() as tape:
      tape.watch(x)
      # A batch's normalised sum is constant, whatever x is.
      total = tf.reduce_sum(norm(x, training=True))
    self.assertAllClose(tape.gradient(total, x), np.zeros([4, 5]), atol=1e-5)

  def test_only_gamma_and_beta_are_trained(self):
    norm = BatchNorm(5, 'norm')
    self.assertLen(norm.trainable_weights, 2)
    self.assertLen(norm.non_trainable_weights, 2)

  @parameterized.named_parameters(('flat', (1, 5)), ('image', (1, 1, 1, 5)))
  def test_one_value_per_channel_is_refused(self, shape):
    norm = BatchNorm(5, 'my_norm')
    with self.assertRaisesRegex(
        UsageError, "'my_norm' needs at least two values per channel in "
        'training, got 1 '):
      norm(tf.ones(shape), training=True)
    norm(tf.ones(shape))  # inference takes it

  def test_one_row_is_enough_where_it_has_space(self):
    BatchNorm(5, 'norm')(tf.ones([1, 2, 1, 5]), training=True)

  def test_one_value_is_refused_where_the_batch_is_unknown(self):
    norm = BatchNorm(5, 'my_norm')
    call = tf.function(lambda x: norm(x, training=True), autograph=False,
                       input_signature=[tf.TensorSpec([None, 5])])
    call(tf.ones([2, 5]))
    with self.assertRaisesRegex(tf.errors.InvalidArgumentError,
                                'my_norm.* needs at least two values'):
      call(tf.ones([1, 5]))


if __name__ == '__main__':
  tf.test.main()
