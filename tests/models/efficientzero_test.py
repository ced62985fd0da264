"""EfficientZero: sizes, first outputs, gradients, kinds of observation."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.models import EfficientZero, EfficientZeroConfig


def small_config(**changes):
  """A network of 2x2 latents with random heads."""
  settings = {
      'observation_shape': (32, 32, 2), 'num_actions': 4, 'channels': 4,
      'head_channels': 2, 'head_hidden': (4,), 'lstm_size': 4, 'support': 5,
      'projection_hidden': 8, 'projection_size': 8, 'projection_head_hidden': 4,
      'zero_initial_heads': False}
  return EfficientZeroConfig(**{**settings, **changes})


def observations(config, rows=3):
  random = np.random.default_rng(0)
  return tf.constant(random.uniform(size=[rows, *config.observation_shape]),
                     tf.float32)


def count(weights):
  return sum(int(tf.size(weight)) for weight in weights)


class EfficientZeroTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(
      ('downsampled', {}, (2, 2, 4)),
      ('four_blocks', {'representation_blocks': 4}, (2, 2, 4)),
      ('full_resolution',
       {'observation_shape': (10, 10, 3), 'downsample': False}, (10, 10, 4)),
      ('vector', {'observation_shape': (6,)}, (1, 1, 4)))
  def test_kinds_of_observation(self, changes, latent_shape):
    config = small_config(**changes)
    model = EfficientZero(config, seed=0)
    root = model.initial_inference(observations(config), training=True)
    step = model.recurrent_inference(root.state, tf.constant([0, 1, 3]),
                                     training=True)
    self.assertEqual(step.state.latent.shape, (3, *latent_shape))
    self.assertNotAllClose(root.state.latent, step.state.latent)
    self.assertEqual(model.project(step.state, True, training=True).shape,
                     (3, 8))

  def test_latents_are_not_negative(self):
    config = small_config()
    root = EfficientZero(config, seed=0).initial_inference(observations(config))
    self.assertAllGreaterEqual(root.state.latent, 0.)

  def test_wrong_observation_names_both_shapes(self):
    model = EfficientZero(small_config(), seed=0)
    with self.assertRaisesRegex(
        ValueError, r'\[B, 32, 32, 2\], got \(3, 32, 32, 3\)'):
      model.initial_inference(tf.zeros([3, 32, 32, 3]))

  def test_network_sees_the_action_as_a_fraction(self):
    model = EfficientZero(small_config(num_actions=8), seed=0)
    dynamics = model.dynamics
    for conv in (dynamics.conv, dynamics.block.conv_1, dynamics.block.conv_2):
      conv.kernel.assign(tf.zeros_like(conv.kernel))
    kernel = dynamics.conv.kernel.numpy()
    kernel[1, 1, -1] = 1.  # the plane, as it is
    dynamics.conv.kernel.assign(kernel)
    state = model.initial_inference(tf.zeros([2, 32, 32, 2])).state
    state = state._replace(latent=tf.zeros_like(state.latent))
    step = model.recurrent_inference(state, tf.constant([2, 7]))
    self.assertAllClose(step.state.latent[0], np.full([2, 2, 4], 2 / 8),
                        rtol=1e-5)
    self.assertAllClose(step.state.latent[1], np.full([2, 2, 4], 7 / 8),
                        rtol=1e-5)

  def test_network_sees_the_action_as_a_plane_of_its_own(self):
    model = EfficientZero(
        small_config(num_actions=3, action_encoding='one_hot'), seed=0)
    dynamics = model.dynamics
    for conv in (dynamics.conv, dynamics.block.conv_1, dynamics.block.conv_2):
      conv.kernel.assign(tf.zeros_like(conv.kernel))
    kernel = dynamics.conv.kernel.numpy()
    kernel[1, 1, -3:] = [[7.], [0.], [5.]]  # the planes of actions 0, 1, 2
    dynamics.conv.kernel.assign(kernel)
    state = model.initial_inference(tf.zeros([3, 32, 32, 2])).state
    state = state._replace(latent=tf.zeros_like(state.latent))
    step = model.recurrent_inference(state, tf.constant([0, 1, 2]))
    self.assertAllClose(step.state.latent[:, 0, 0, 0], [7., 0., 5.], rtol=1e-5)

  def test_dynamics_has_a_skip_connection_around_its_convolutions(self):
    config = small_config()
    model = EfficientZero(config, seed=0)
    dynamics = model.dynamics
    for conv in (dynamics.conv, dynamics.block.conv_1, dynamics.block.conv_2):
      conv.kernel.assign(tf.zeros_like(conv.kernel))
    root = model.initial_inference(observations(config))
    step = model.recurrent_inference(root.state, tf.constant([0, 1, 3]))
    self.assertGreater(float(tf.reduce_max(root.state.latent)), 0.)
    self.assertAllEqual(step.state.latent, root.state.latent)

  def test_prefix_comes_from_the_lstm(self):
    config = small_config()
    model = EfficientZero(config, seed=0)
    root = model.initial_inference(observations(config))
    action = tf.constant([1, 1, 1])
    first = model.recurrent_inference(root.state, action)
    memory = first.state._replace(latent=root.state.latent)
    # Same latent and action, another memory: only the prefix differs.
    second = model.recurrent_inference(memory, action)
    self.assertAllEqual(first.state.latent, second.state.latent)
    self.assertAllEqual(first.value, second.value)
    self.assertNotAllClose(first.reward_logits, second.reward_logits)

  def test_training_moves_the_statistics_of_what_was_called(self):
    config = small_config()
    model = EfficientZero(config, seed=0)
    parts = (model.representation, model.prediction, model.dynamics,
             model.projection)
    before = [[w.numpy() for w in p.non_trainable_weights] for p in parts]
    model.initial_inference(observations(config), training=True)
    moved = [any(np.any(w.numpy() != old) for w, old in
                 zip(part.non_trainable_weights, values))
             for part, values in zip(parts, before)]
    self.assertEqual(moved, [True, True, False, False])

  def test_variables_are_named_after_their_place(self):
    names = [v.name for v in EfficientZero(small_config(), seed=0).variables]
    self.assertIn('dynamics/block/conv_1/kernel:0', names)
    self.assertLen(set(names), len(names))

  def test_keras_can_summarise_a_built_model(self):
    model = EfficientZero(small_config(), seed=0)
    model.build_variables()
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    self.assertIn(f'{count(model.trainable_weights)}',
                  '\n'.join(lines).replace(',', ''))


class StateGradientTest(tf.test.TestCase):

  def test_reaches_the_prefix_of_the_same_step(self):
    norms = []
    for scale in (0.5, 1.):
      model = EfficientZero(small_config(state_gradient_scale=scale), seed=0)
      state = model.initial_inference(observations(model.config)).state
      with tf.GradientTape() as tape:
        output = model.recurrent_inference(state, tf.constant([0, 1, 2]))
        loss = tf.reduce_sum(output.reward_logits[:, 0])
      trunk, head = tape.gradient(
          loss, [model.dynamics.conv.kernel, model.dynamics.lstm.input_bias])
      norms.append([float(tf.norm(trunk)), float(tf.norm(head))])
    self.assertAllClose(norms[0][0], 0.5 * norms[1][0], rtol=1e-4)
    self.assertAllClose(norms[0][1], norms[1][1], rtol=1e-5)


if __name__ == '__main__':
  tf.test.main()
