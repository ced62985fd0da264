"""Acceptance checks 1, 4, 5, 6 and 12: the network is the official one.

EfficientZero is commit 468bb03 of the official repository, XTRA 233a8fa.
"""

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from xtra_tf.experiments import configuration, roles
from xtra_tf.learners import LearnerSettings, unroll_loss
from xtra_tf.models import EfficientZero, EfficientZeroConfig, layers
from xtra_tf.models.initializers import Seeds
from xtra_tf.testing import training_batches

_CHANNELS = 64
# Modules that the official constructors make and no forward pass calls: a
# residual block of the reward head (EfficientZero config/atari/model.py:
# 236-238; XTRA config/atari/model.py:229-231) and, in EfficientZero, the stem
# for networks without downsampling (config/atari/model.py:165-169).
_DEAD_BLOCK = 2 * 9 * _CHANNELS**2 + 4 * _CHANNELS
_DEAD_STEM = 9 * 12 * _CHANNELS + 2 * _CHANNELS


def count(weights):
  return sum(int(tf.size(weight)) for weight in weights)


class ParameterCountTest(parameterized.TestCase, tf.test.TestCase):
  """Check 1: EfficientZero and EfficientZero-L have the official sizes.

  Numbers of the official constructors (EfficientZero config/atari/model.py from
  line 52 on; XTRA config/atari/model.py:141-270 for the larger representation)
  with 18 actions and 12x96x96 observations.
  """

  @parameterized.named_parameters(
      ('efficientzero', 'efficientzero', 318_016, 8_350_708, 10_336,
       8_431_732, 10_720, _DEAD_BLOCK + _DEAD_STEM, 256 + 128),
      ('efficientzero_l', 'efficientzero_l', 1_039_552, 9_072_244, 13_024,
       9_146_228, 13_280, _DEAD_BLOCK, 256))
  def test_01_counts(self, size, representation, total, statistics, declared,
                     declared_statistics, dead, dead_statistics):
    self.addCleanup(gin.clear_config)
    configuration.parse(['protocols/paper.gin', f'sizes/{size}.gin'], [])
    model = roles.build_model(roles.resolve_parts(seed=0), seed=0)
    self.assertEqual(count(model.representation.trainable_weights),
                     representation)
    self.assertEqual(count(model.dynamics.trainable_weights), 2_382_281)
    self.assertEqual(count(model.prediction.trainable_weights), 133_611)
    self.assertEqual(count(model.projection.trainable_weights),
                     4_465_664 + 1_051_136)
    self.assertEqual(count(model.trainable_weights), total)
    self.assertEqual(count(model.trainable_weights), declared - dead)
    # Running means and variances; official counters of batches are no number
    # that anything reads.
    self.assertEqual(count(model.non_trainable_weights), statistics)
    self.assertEqual(statistics, declared_statistics - dead_statistics)

  def test_01_an_action_has_33_parameters(self):
    # One row of the policy's last layer (EfficientZero config/atari/model.py:
    # 42): 32 weights and a bias.
    sizes = [count(EfficientZero(EfficientZeroConfig(
        (96, 96, 12), num_actions=actions), seed=0).prediction
                   .trainable_weights) for actions in (18, 4)]
    self.assertEqual(sizes[0] - sizes[1], 14 * 33)


class FirstOutputsTest(parameterized.TestCase, tf.test.TestCase):
  """Check 4: before training the network says nothing, whatever it sees.

  The last layers of value, policy and prefix begin with zeros: EfficientZero
  config/atari/model.py:45-47.
  """

  @parameterized.product(blocks=(1, 4), training=(False, True))
  def test_04_values_and_prefixes_are_0_and_policies_uniform(self, blocks,
                                                             training):
    model = EfficientZero(EfficientZeroConfig(
        (96, 96, 12), representation_blocks=blocks), seed=blocks)
    random = np.random.default_rng(0)
    shape = (96, 96, 12)
    seen = tf.constant(np.stack([
        np.zeros(shape), np.ones(shape), random.uniform(size=shape),
        100. * random.normal(size=shape)]), tf.float32)
    output = model.initial_inference(seen, training=training)
    outputs = [output]
    for action in ([0, 5, 9, 17], [3, 3, 3, 3]):
      output = model.recurrent_inference(
          output.state, tf.constant(action), training=training)
      outputs.append(output)
    for output in outputs:
      self.assertAllEqual(output.value, np.zeros([4]))
      self.assertAllEqual(output.reward, np.zeros([4]))
      self.assertAllEqual(tf.nn.softmax(output.policy_logits),
                          np.full([4, 18], 1 / 18, np.float32))
    # Only these heads are silent.
    self.assertNotAllClose(output.state.latent[2], output.state.latent[3])
    self.assertGreater(np.abs(model.project(output.state, True)).max(), 0.)


class BordersTest(parameterized.TestCase, tf.test.TestCase):
  """Checks 5 and 6: borders as PyTorch treats them, not as Keras does."""

  @parameterized.product(row=(-1, 0, 1), column=(-1, 0, 1))
  def test_05_output_i_of_a_halving_layer_reads_inputs_2i_and_its_neighbours(
      self, row, column):
    # Convolutions with stride 2 and padding 1, EfficientZero config/atari/
    # model.py:52-55 and 90-109; Keras' own padding reads 2i..2i+2.
    x = np.random.default_rng(0).normal(size=[1, 8, 6, 1]).astype(np.float32)
    conv = layers.Convolution(1, 1, Seeds(1), 'conv', stride=2)
    kernel = np.zeros([3, 3, 1, 1], np.float32)
    kernel[1 + row, 1 + column] = 1.
    conv.kernel.assign(kernel)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    expected = padded[:, 1 + row:9 + row:2, 1 + column:7 + column:2]
    self.assertAllEqual(conv(x), expected)
    if row == column == 0:
      self.assertAllEqual(expected, x[:, 0::2, 0::2])

  def test_06_zeros_around_an_average_count(self):
    # AvgPool2d(3, stride=2, padding=1), EfficientZero config/atari/model.py:
    # 114 and 118; its default counts the padding.
    pooled = layers.average_pool(tf.ones([1, 24, 24, 2]))
    expected = np.ones([12, 12])
    expected[0] = expected[:, 0] = 6 / 9
    expected[0, 0] = 4 / 9
    for channel in range(2):
      self.assertAllClose(pooled[0, :, :, channel], expected)


class StateGradientTest(parameterized.TestCase, tf.test.TestCase):
  """Check 12: a loss k steps ahead reaches the root with 0.5^k.

  EfficientZero core/train.py:166-167, XTRA core/train.py:317: the gradient is
  halved at every predicted state.
  """

  def root_gradient(self, k, scale):
    """Norm at the root's latent of the value loss of step k alone."""
    model = EfficientZero(EfficientZeroConfig(
        (32, 32, 2), num_actions=4, channels=4, head_channels=2,
        head_hidden=(4,), lstm_size=4, support=5, projection_hidden=8,
        projection_size=8, projection_head_hidden=4, zero_initial_heads=False,
        state_gradient_scale=scale), seed=0)
    settings = LearnerSettings(stack=2, support=5)
    batch = training_batches.random_unroll((4,), frame=(32, 32, 1),
                                           num_actions=4)
    targets = training_batches.random_targets(4, num_actions=4)
    targets = tf.nest.map_structure(tf.zeros_like, targets)._replace(
        value=targets.value, value_mask=tf.one_hot([k] * 4, 6))
    with tf.GradientTape() as tape:
      views = unroll_loss.training_views(batch, settings, tf.constant([0, 1]))
      predicted = unroll_loss.unroll_model(
          model, views, batch.action[:, 1:6], settings)
      parts = unroll_loss.loss_parts(predicted, targets, settings.support)
      loss = tf.reduce_mean(unroll_loss.weighted_sum(parts, settings))
    root = predicted.outputs[0].state.latent
    return float(tf.norm(tape.gradient(loss, root)))

  @parameterized.parameters(*range(6))
  def test_12_halves_at_each_predicted_state(self, k):
    default = EfficientZeroConfig((4,)).state_gradient_scale
    self.assertEqual(default, 0.5)
    plain = self.root_gradient(k, 1.)
    self.assertGreater(plain, 0.)
    self.assertAllClose(self.root_gradient(k, default) / plain, 0.5**k,
                        rtol=1e-4)


if __name__ == '__main__':
  tf.test.main()
