"""The sizes of a network: defaults, JSON, and what is refused."""

import json

from absl.testing import parameterized
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.models import EfficientZero, EfficientZeroConfig, build_world_model


class EfficientZeroConfigTest(tf.test.TestCase, parameterized.TestCase):

  def test_json_round_trip(self):
    config = EfficientZeroConfig((96, 96, 12), num_actions=6,
                                 head_hidden=(8, 4), downsample=False,
                                 state_gradient_scale=0.25,
                                 action_ids=(0, 5, 3))
    text = json.dumps(config.to_json())
    self.assertEqual(EfficientZeroConfig.from_json(json.loads(text)), config)

  def test_fields_left_out_have_their_defaults(self):
    config = EfficientZeroConfig.from_json({'observation_shape': [4]})
    self.assertEqual(config, EfficientZeroConfig((4,)))

  @parameterized.named_parameters(
      ('paper', (96, 96, 12), True, (6, 6, 64)),
      ('not_square', (64, 32, 3), True, (4, 2, 64)),
      ('full_resolution', (10, 10, 10), False, (10, 10, 64)),
      ('vector', (8,), True, (1, 1, 64)))
  def test_latent_shape(self, observation_shape, downsample, expected):
    config = EfficientZeroConfig(observation_shape, downsample=downsample)
    self.assertEqual(config.latent_shape, expected)

  @parameterized.parameters((4, (12, 8, 4)), (8, (6, 4, 4)), (16, (3, 2, 4)))
  def test_network_shrinks_as_its_latent_shape_says(self, shrinkage, expected):
    config = EfficientZeroConfig(
        (48, 32, 4), channels=4, lstm_size=4, support=2, projection_hidden=4,
        projection_size=4, projection_head_hidden=4, shrinkage=shrinkage)
    self.assertEqual(config.latent_shape, expected)
    output = EfficientZero(config, seed=0).initial_inference(
        tf.zeros([1, 48, 32, 4]))
    self.assertEqual(output.state.latent.shape, (1, *expected))

  @parameterized.named_parameters(
      ('odd_resolution', {'observation_shape': (84, 84, 4)},
       'multiples of 16, got 84 x 84'),
      ('action_encoding', {'action_encoding': 'onehot'},
       "`action_encoding` is 'onehot'. Did you mean one_hot"),
      ('prefix_norm', {'prefix_norm': 'layers'},
       "`prefix_norm` is 'layers'. Did you mean layer"),
      ('shrinkage', {'shrinkage': 6}, r'`shrinkage` of \(4, 8, 16\), got 6'),
      ('odd_resolution_by_8', {'observation_shape': (84, 84, 4),
                               'shrinkage': 8},
       'multiples of 8, got 84 x 84'),
      ('rank', {'observation_shape': (96, 96)},
       r'\(height, width, channels\) or \(size,\), got \(96, 96\)'),
      ('zero', {'lstm_size': 0}, '`lstm_size` must be .* > 0, got 0'),
      ('fraction', {'support': 1.5}, '`support` must be .*, got 1.5'),
      ('empty_axis', {'observation_shape': (96, 0, 12)},
       '`observation_shape` must be'),
      ('no_action', {'action_ids': ()}, r'at least one, .*, got \(\)'),
      ('action_twice', {'action_ids': (1, 1)}, r'distinct .*, got \(1, 1\)'),
      ('unknown_action', {'action_ids': (0, 18)},
       r'numbers of 0\.\.17, .*, got \(0, 18\)'),
      ('no_number', {'action_ids': (0, True)}, r'got \(0, True\)'),
      ('odd_channels', {'channels': 7}, 'even number of `channels`, got 7'))
  def test_refuses(self, changes, message):
    with self.assertRaisesRegex(UsageError, message):
      EfficientZeroConfig(**{'observation_shape': (96, 96, 12), **changes})

  def test_unknown_field_names_the_nearest(self):
    with self.assertRaisesRegex(
        UsageError, "no setting 'lstm_sise'. Did you mean lstm_size"):
      EfficientZeroConfig.from_json(
          {'observation_shape': [4], 'lstm_sise': 3})

  def test_missing_observation_shape(self):
    with self.assertRaisesRegex(UsageError, 'needs an `observation_shape`'):
      EfficientZeroConfig.from_json({'lstm_size': 3})


class RegistryTest(tf.test.TestCase):

  def test_description_rebuilds_the_model(self):
    config = EfficientZeroConfig((4,), num_actions=2, channels=4, lstm_size=4,
                                 support=3, projection_hidden=4,
                                 projection_size=4, projection_head_hidden=2)
    model = EfficientZero(config, seed=3)
    described = json.loads(json.dumps(
        {**model.description(), 'codec': 'lossless'}))
    again = build_world_model(described, seed=3)
    self.assertIsInstance(again, EfficientZero)
    self.assertEqual(again.config, config)
    for first, second in zip(model.variables, again.variables):
      self.assertAllEqual(first, second)

  def test_unknown_family(self):
    with self.assertRaisesRegex(
        UsageError, "of family 'eficientzero'. Did you mean efficientzero"):
      build_world_model({'family': 'eficientzero', 'config': {}})


if __name__ == '__main__':
  tf.test.main()
