"""Names, shapes and sizes of the official networks against ours."""

import collections

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import CheckpointError
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.models.official_names import family_of, official_tensors
from xtra_tf.models.official_sizes import (
  TensorKind,
  check_tensors,
  official_config,
  official_family,
)
from xtra_tf.models.official_weights import (
  assign_weights,
  exported_weights,
  unplaced_tensors,
)

SMALL = {'observation_shape': (32, 32, 6), 'num_actions': 5, 'channels': 6,
         'head_channels': 3, 'head_hidden': (7,), 'lstm_size': 4, 'support': 2,
         'projection_hidden': 10, 'projection_size': 9,
         'projection_head_hidden': 8}

NETWORKS = (
    ('efficientzero', 'efficientzero', {}),
    ('efficientzero_l', 'efficientzero', {'representation_blocks': 4}),
    ('efficientzero_at_full_resolution', 'efficientzero',
     {'downsample': False, 'observation_shape': (5, 5, 3)}),
    ('xtra', 'xtra', {'representation_blocks': 4, 'num_actions': 18}),
    ('xtra_small', 'xtra', {'representation_blocks': 1}),
    ('two_hidden_layers', 'xtra', {'head_hidden': (7, 4)}),
    ('no_hidden_layer', 'efficientzero', {'head_hidden': ()}),
    ('one_colour', 'efficientzero', {'observation_shape': (48, 48, 4)}))


def config_of(changes):
  return EfficientZeroConfig(**{**SMALL, **changes})


def kinds(rows):
  return {row.name: TensorKind(row.dtype, row.shape) for row in rows}


class OfficialNamesTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(
      ('efficientzero', 'efficientzero', 1, 8_431_732, 113, 112),
      ('xtra', 'xtra', 4, 9_146_228, 182, 181))
  def test_counts_of_the_official_constructors(
      self, family, blocks, parameters, names, tensors):
    """Modules that are never called included; an alias is a name more."""
    rows = official_tensors(EfficientZeroConfig(
        (96, 96, 12), representation_blocks=blocks), family)
    weights = [row for row in rows if not row.name.endswith(
        ('running_mean', 'running_var', 'num_batches_tracked'))]
    own = [row for row in weights if row.alias_of is None]
    self.assertLen(weights, names)
    self.assertLen(own, tensors)
    self.assertEqual(sum(int(np.prod(row.shape)) for row in own), parameters)

  @parameterized.named_parameters(*NETWORKS)
  def test_every_variable_has_one_name(self, family, changes):
    config = config_of(changes)
    model = EfficientZero(config, seed=0)
    rows = official_tensors(config, family)
    random = np.random.default_rng(0)
    tensors = {row.name: random.normal(size=row.shape).astype(row.dtype)
               for row in rows}
    for row in rows:
      if row.alias_of:
        tensors[row.name] = tensors[row.alias_of]
    for variable in model.variables:
      variable.assign(tf.fill(variable.shape, np.nan))
    assign_weights(model, rows, tensors)
    for variable in model.variables:
      self.assertAllEqual(np.isfinite(variable), np.ones(variable.shape),
                          variable.name)
    uses = collections.Counter(row.variable for row in rows
                               if row.variable and not row.alias_of)
    self.assertEqual(set(uses.values()), {1})
    self.assertLen(uses, len(model.variables))

  @parameterized.named_parameters(*NETWORKS)
  def test_there_and_back_again(self, family, changes):
    config = config_of(changes)
    rows = official_tensors(config, family)
    random = np.random.default_rng(1)
    tensors = {row.name: random.integers(
        2**31, size=row.shape, dtype=np.uint32).view(np.float32).reshape(
            row.shape) if row.dtype == 'float32'
               else np.array(random.integers(2**62)) for row in rows}
    for row in rows:
      if row.alias_of:
        tensors[row.name] = tensors[row.alias_of]
    model = EfficientZero(config, seed=0)
    assign_weights(model, rows, tensors)
    found = exported_weights(model, rows, unplaced_tensors(rows, tensors))
    self.assertEqual(list(found), [row.name for row in rows])
    for name, array in tensors.items():
      self.assertEqual(found[name].shape, array.shape, name)
      self.assertEqual(found[name].tobytes(), array.tobytes(), name)
      self.assertEqual(found[name].dtype, array.dtype, name)

  @parameterized.named_parameters(*NETWORKS)
  def test_sizes_are_read_off_the_shapes(self, family, changes):
    config = config_of(changes)
    rows = kinds(official_tensors(config, family))
    self.assertEqual(official_family('a.p', list(rows)), family)
    self.assertEqual(official_config('a.p', family, rows), config)

  def test_a_head_of_some_actions_has_their_size(self):
    config = config_of({'num_actions': 18, 'action_ids': (0, 3, 4)})
    rows = kinds(official_tensors(config, 'efficientzero'))
    self.assertEqual(rows['prediction_network.fc_policy.3.weight'].shape,
                     (3, 7))

  def test_initial_values_of_modules_that_do_not_exist_here(self):
    config = config_of({})
    rows = official_tensors(config, 'efficientzero')
    first, second = (
        exported_weights(EfficientZero(config, seed=seed), rows, {})
        for seed in (0, 1))
    idle = 'dynamics_network.reward_resblocks.0.'
    self.assertAllEqual(first[f'{idle}bn1.weight'], np.ones([6]))
    self.assertAllEqual(first[f'{idle}bn1.bias'], np.zeros([6]))
    self.assertAllEqual(first[f'{idle}bn2.running_mean'], np.zeros([6]))
    self.assertAllEqual(first[f'{idle}bn2.running_var'], np.ones([6]))
    counter = first['projection.1.num_batches_tracked']
    self.assertEqual((counter.dtype, counter.shape, counter), (np.int64, (), 0))
    kernel = first[f'{idle}conv1.weight']
    bound = 1. / np.sqrt(6 * 9)
    self.assertAllInRange(kernel, -bound, bound)
    self.assertGreater(kernel.std(), bound / 2)
    # They are never called, so no seed need decide them.
    self.assertAllEqual(kernel, second[f'{idle}conv1.weight'])

  def test_an_alias_is_one_array(self):
    config = config_of({})
    rows = official_tensors(config, 'xtra')
    found = exported_weights(EfficientZero(config, seed=0), rows, {})
    front = 'representation_network.downsample_dict.front'
    self.assertIs(found[f'{front}.downsample_block.downsample.weight'],
                  found[f'{front}.conv2.weight'])

  @parameterized.parameters(
      ({'observation_shape': (6,)}, 'efficientzero', 'vectors of 6 numbers'),
      ({'downsample': False}, 'xtra', 'always downsample'),
      ({'shrinkage': 8}, 'xtra', 'shrink images by 16, this one by 8'),
      ({'action_encoding': 'one_hot'}, 'efficientzero', 'as one plane'),
      ({'prefix_norm': 'layer'}, 'xtra', 'LSTM, this one a layer norm'),
      ({}, 'other', "no family 'other', only efficientzero and xtra"))
  def test_no_such_official_network(self, changes, family, message):
    with self.assertRaisesRegex(ValueError, message):
      official_tensors(config_of(changes), family)


class OfficialSizesTest(parameterized.TestCase):
  """Messages for state dicts that are not as they should be."""

  def setUp(self):
    super().setUp()
    self.config = config_of({})
    self.rows = official_tensors(self.config, 'efficientzero')
    self.found = kinds(self.rows)

  def refused(self, message):
    return self.assertRaisesRegex(CheckpointError, message)

  def test_another_family(self):
    names = ['module.layer1.0.weight', 'fc.weight']
    self.assertIsNone(family_of(names))
    with self.refused(r'resnet.p is no checkpoint of EfficientZero or XTRA: '
                      r'expected .*repblocks.* found module.layer1.0.weight, '
                      'fc.weight'):
      official_family('resnet.p', names)

  def test_names_of_both(self):
    names = [row.name for family in ('efficientzero', 'xtra')
             for row in official_tensors(self.config, family)]
    with self.refused('is no checkpoint'):
      official_family('a.p', names)

  def test_nothing(self):
    with self.refused('found no tensors'):
      official_family('a.p', [])

  def test_a_tensor_that_shows_a_size_is_missing(self):
    del self.found['projection.6.weight']
    with self.refused('a.p lacks the tensor projection.6.weight, .* 2 axes'):
      official_config('a.p', 'efficientzero', self.found)

  def test_a_tensor_that_shows_a_size_has_another_rank(self):
    self.found['dynamics_network.conv.weight'] = TensorKind('float32', (6,))
    with self.refused(r'dynamics_network.conv.weight has the shape \[6\], '
                      'expected 4 axes'):
      official_config('a.p', 'efficientzero', self.found)

  @parameterized.parameters(
      ('prediction_network.fc_value.0.weight', (7, 13), 'no square latent'),
      ('prediction_network.fc_value.3.weight', (4, 7), '4 bins, expected an '
       'odd'),
      ('dynamics_network.conv.weight', (0, 7, 3, 3), 'cannot be built: `chan'),
      ('dynamics_network.conv.weight', (7, 8, 3, 3), 'an even number'))
  def test_sizes_of_no_network(self, name, shape, message):
    self.found[name] = TensorKind('float32', shape)
    with self.refused(message):
      official_config('a.p', 'efficientzero', self.found)

  def test_all_that_is_wrong_is_listed(self):
    del self.found['projection.0.bias']
    self.found['extra.weight'] = TensorKind('int64', (3,))
    self.found['dynamics_network.bn.bias'] = TensorKind('float32', (5,))
    self.found['projection.1.bias'] = TensorKind('float64', (10,))
    with self.assertRaises(CheckpointError) as caught:
      check_tensors('a.p', self.rows, self.found)
    self.assertEqual(str(caught.exception).split('\n')[1:-1], [
        '  missing (1):',
        '    projection.0.bias: expected float32[10], found nothing',
        '  unexpected (1):',
        '    extra.weight: expected nothing, found int64[3]',
        '  misshapen (2):',
        '    dynamics_network.bn.bias: expected float32[6], found float32[5]',
        '    projection.1.bias: expected float32[10], found float64[10]'])

  def test_a_long_list_is_cut(self):
    with self.refused(r'missing \(\d{3}\):\n(.*\n){12}    ... and \d+ more'):
      check_tensors('a.p', self.rows, {})

  def test_a_second_block_in_the_dynamics_is_not_ignored(self):
    name = 'dynamics_network.resblocks.1.conv1.weight'
    self.found[name] = TensorKind('float32', (6, 6, 3, 3))
    with self.refused(f'{name}: expected nothing, found float32'):
      check_tensors('a.p', self.rows, self.found)


if __name__ == '__main__':
  tf.test.main()
