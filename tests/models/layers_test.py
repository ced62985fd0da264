"""Layers against loops in NumPy, and PyTorch's conventions by hand."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.models import layers
from xtra_tf.models.initializers import Seeds


def naive_convolution(x, kernel, stride):
  """3x3 with a border of zeros, one output number at a time."""
  batch, height, width, _ = x.shape
  padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
  rows, columns = -(-height // stride), -(-width // stride)
  y = np.zeros([batch, rows, columns, kernel.shape[-1]], np.float32)
  for i in range(rows):
    for j in range(columns):
      top, left = i * stride, j * stride
      window = padded[:, top:top + 3, left:left + 3]
      y[:, i, j] = np.einsum('bijc,ijco->bo', window, kernel)
  return y


def sigmoid(x):
  return 1. / (1. + np.exp(-x))


class ConvolutionTest(tf.test.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.random = np.random.default_rng(0)

  @parameterized.named_parameters(
      ('stride_1', 1, 6, 4), ('stride_2', 2, 6, 4), ('odd_sides', 2, 5, 7))
  def test_agrees_with_loops(self, stride, height, width):
    x = self.random.normal(size=[2, height, width, 3]).astype(np.float32)
    conv = layers.Convolution(3, 4, Seeds(1), 'conv', stride=stride)
    self.assertAllClose(
        conv(x), naive_convolution(x, conv.kernel.numpy(), stride), atol=1e-5)

  def test_1x1_with_bias_is_a_matrix_product(self):
    x = self.random.normal(size=[2, 3, 3, 5]).astype(np.float32)
    conv = layers.Convolution(5, 2, Seeds(1), 'conv', size=1, use_bias=True)
    self.assertGreater(np.abs(conv.bias.numpy()).min(), 0.)
    self.assertAllClose(conv(x), x @ conv.kernel.numpy()[0, 0] + conv.bias)

  def test_weights_lie_within_the_bound_of_the_fan_in(self):
    conv = layers.Convolution(16, 64, Seeds(1), 'conv')
    bound = 1. / np.sqrt(16 * 9)
    largest = np.abs(conv.kernel.numpy()).max()
    self.assertBetween(largest, 0.99 * bound, bound)
    self.assertAllClose(conv.kernel.numpy().std(), bound / np.sqrt(3.),
                        rtol=0.02)


class FlattenTest(tf.test.TestCase):

  def test_channel_is_the_slowest_axis(self):
    x = np.arange(2 * 3 * 4 * 5).reshape([2, 3, 4, 5]).astype(np.float32)
    flat = layers.flatten_channels_first(x)
    for c, i, j in ((0, 0, 0), (0, 0, 1), (0, 2, 3), (4, 1, 2)):
      self.assertAllEqual(flat[:, c * 12 + i * 4 + j], x[:, i, j, c])

  def test_one_cell_keeps_its_order(self):
    x = np.arange(6.).reshape([2, 1, 1, 3])
    self.assertAllEqual(layers.flatten_channels_first(tf.constant(x)),
                        x.reshape([2, 3]))


class ResidualBlockTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(('same', 3, 3, 1), ('halving', 3, 4, 2))
  def test_agrees_with_loops(self, inputs, outputs, stride):
    x = np.random.default_rng(0).normal(
        size=[2, 4, 4, inputs]).astype(np.float32)
    block = layers.ResidualBlock(inputs, outputs, Seeds(1), 'block',
                                 stride=stride)
    shrink = 1. / np.sqrt(1. + 1e-5)  # batch norm with fresh statistics
    y = naive_convolution(x, block.conv_1.kernel.numpy(), stride) * shrink
    y = naive_convolution(np.maximum(y, 0.), block.conv_2.kernel.numpy(), 1)
    skip = x if stride == 1 else naive_convolution(
        x, block.skip.kernel.numpy(), stride)
    self.assertAllClose(block(x), np.maximum(y * shrink + skip, 0.), atol=1e-5)

  def test_skip_of_a_halving_block_has_no_batch_norm(self):
    block = layers.ResidualBlock(32, 64, Seeds(1), 'block', stride=2)
    self.assertEqual(sum(int(tf.size(w)) for w in block.trainable_weights),
                     32 * 64 * 9 + 64 * 64 * 9 + 32 * 64 * 9 + 4 * 64)


class MlpTest(tf.test.TestCase):

  def test_sizes_and_zero_last_layer(self):
    mlp = layers.Mlp([5, 4, 3, 2], Seeds(1), 'mlp', zero_initial=True)
    self.assertLen(mlp.hidden, 2)
    self.assertAllEqual(mlp(tf.random.normal([3, 5])), np.zeros([3, 2]))
    self.assertGreater(np.abs(mlp.hidden[0].kernel.numpy()).max(), 0.)

  def test_without_hidden_layers_is_linear(self):
    mlp = layers.Mlp([3, 2], Seeds(1), 'mlp')
    x = np.eye(3, dtype=np.float32)
    self.assertAllClose(mlp(x), mlp.last.kernel + mlp.last.bias)


class LstmCellTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.cell = layers.LstmCell(3, 4, Seeds(1), 'lstm')
    random = np.random.default_rng(0)
    self.x, self.hidden, self.memory = (
        random.normal(size=[2, size]).astype(np.float32) for size in (3, 4, 4))

  def test_agrees_with_formula(self):
    c = self.cell
    gates = (self.x @ c.input_kernel.numpy() + c.input_bias.numpy()
             + self.hidden @ c.recurrent_kernel.numpy()
             + c.recurrent_bias.numpy())
    let_in, keep, candidate, let_out = np.split(gates, 4, axis=1)
    memory = sigmoid(keep) * self.memory + sigmoid(let_in) * np.tanh(candidate)
    hidden, cell = c(self.x, self.hidden, self.memory)
    self.assertAllClose(cell, memory)
    self.assertAllClose(hidden, sigmoid(let_out) * np.tanh(memory))

  def test_both_biases_get_the_gradient(self):
    with tf.GradientTape() as tape:
      hidden, _ = self.cell(self.x, self.hidden, self.memory)
      loss = tf.reduce_sum(hidden)
    first, second = tape.gradient(
        loss, [self.cell.input_bias, self.cell.recurrent_bias])
    self.assertAllEqual(first, second)
    self.assertGreater(np.abs(first.numpy()).max(), 0.)

  def test_all_weights_lie_within_the_bound_of_the_units(self):
    cell = layers.LstmCell(300, 64, Seeds(1), 'lstm')
    for weight in cell.trainable_weights:
      self.assertBetween(np.abs(weight.numpy()).max(), 0.9 / 8., 1. / 8.)


class MinMaxNormalizeTest(tf.test.TestCase, parameterized.TestCase):

  def test_rows_reach_from_0_to_1(self):
    x = np.random.default_rng(0).normal(3., 5., [4, 3, 3, 2]).astype('f4')
    y = layers.min_max_normalize(tf.constant(x)).numpy()
    low, high = (f(axis=(1, 2, 3), keepdims=True) for f in (x.min, x.max))
    self.assertAllClose(y, (x - low) / (high - low))
    self.assertAllEqual(y.min(axis=(1, 2, 3)), np.zeros(4))
    self.assertAllEqual(y.max(axis=(1, 2, 3)), np.ones(4))

  def test_equal_values_are_0(self):
    self.assertAllEqual(layers.min_max_normalize(tf.fill([2, 1, 1, 3], 7.)),
                        tf.zeros([2, 1, 1, 3]))

  @parameterized.parameters(False, True)
  def test_gradient(self, compiled):
    # y_1 = (x_1 - x_0) / (x_2 - x_0) with 1, 2, 5: dy_1 / dx is
    # (-1 / 4 + 1 / 16, 1 / 4, -1 / 16); the second 1 is no extreme.
    x = tf.constant([1., 2., 5., 1.], shape=[1, 1, 4, 1])

    def gradient(x):
      with tf.GradientTape() as tape:
        tape.watch(x)
        y = layers.min_max_normalize(x)[0, 0, 1, 0]
      return tf.reshape(tape.gradient(y, x), [-1])

    found = tf.function(gradient, jit_compile=compiled)(x)
    self.assertAllClose(found, [-3 / 16, 1 / 4, -1 / 16, 0.])


class SeedsTest(tf.test.TestCase):

  def test_equal_seeds_give_equal_sequences_of_different_numbers(self):
    first, second, other = Seeds(3), Seeds(3), Seeds(4)
    sequence = [first.take() for _ in range(5)]
    self.assertEqual(sequence, [second.take() for _ in range(5)])
    self.assertLen(set(sequence), 5)
    self.assertNotEqual(sequence, [other.take() for _ in range(5)])

  def test_no_seed_differs_each_time(self):
    self.assertNotEqual(Seeds().take(), Seeds().take())


if __name__ == '__main__':
  tf.test.main()
