"""Official checkpoints in and out, and what is refused on the way."""

import os

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.errors import (
  CheckpointError,
  DataFileError,
  IncompatibleDataError,
  UsageError,
)
from xtra_tf.experiments import official_checkpoints
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.models.official_names import official_tensors
from xtra_tf.models.official_weights import exported_weights
from xtra_tf.tasks import get_task
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.variables import (
  StateDict,
  load_model_description,
  module_versions,
  read_state_dict,
  resolve_checkpoint,
  restore_world_model,
  save_world_model,
  write_state_dict,
)

_HEAD = 'prediction_network.fc_policy.3.weight'


def _config(**changes):
  return EfficientZeroConfig(**{
      'observation_shape': (32, 32, 12), 'num_actions': 6, 'channels': 4,
      'head_channels': 2, 'head_hidden': (4,), 'lstm_size': 4, 'support': 3,
      'projection_hidden': 8, 'projection_size': 8, 'projection_head_hidden': 4,
      'zero_initial_heads': False, **changes})


def _official(family, **changes):
  """A state dict as the official code has it, idle modules and all."""
  config = _config(**changes)
  model = EfficientZero(config, seed=3)
  rows = official_tensors(config, family)
  random = np.random.default_rng(0)
  tensors = exported_weights(model, rows, {})
  for row in rows:
    if row.variable is None:  # other than what a model born here has
      tensors[row.name] = np.array(random.integers(1, 1000, row.shape),
                                   row.dtype)
  return tensors


class OfficialCheckpointsTest(tf.test.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'model.p')
    self.output = os.path.join(self.folder, 'imported')
    self.exported = os.path.join(self.folder, 'out', 'exported.p')

  def write(self, tensors):
    write_state_dict(self.source, StateDict(tensors, module_versions(tensors)))

  def refuse_import(self, error, message, task=None):
    with self.assertRaisesRegex(error, message):
      official_checkpoints.import_checkpoint(self.source, self.output, task)
    self.assertFalse(os.path.exists(self.output))

  def assert_same(self, found, expected):
    self.assertEqual(list(found), list(expected))
    for name, array in expected.items():
      self.assertEqual((found[name].dtype, found[name].shape),
                       (array.dtype, array.shape), name)
      self.assertEqual(found[name].tobytes(), array.tobytes(), name)

  @parameterized.named_parameters(
      ('efficientzero', 'efficientzero', {}),
      ('full_resolution', 'efficientzero',
       {'downsample': False, 'observation_shape': (4, 4, 12)}),
      ('xtra', 'xtra', {'representation_blocks': 4, 'num_actions': 18}))
  def test_import_then_export_changes_no_bit(self, family, changes):
    tensors = _official(family, **changes)
    self.write(tensors)
    summary = official_checkpoints.import_checkpoint(self.source, self.output)
    self.assertEqual(summary.names, family)
    written = official_checkpoints.export_checkpoint(self.output, self.exported)
    self.assertEqual(written.names, family)
    self.assertEqual(written.left_out, ())
    self.assertEqual(written.tensors, len(tensors))
    self.assert_same(read_state_dict(self.exported).tensors, tensors)

  def test_imported_model_is_the_one_of_the_file(self):
    self.write(_official('efficientzero'))
    official_checkpoints.import_checkpoint(self.source, self.output)
    model = EfficientZero(_config(), seed=8)
    restore_world_model(model, self.output)
    expected = EfficientZero(_config(), seed=3)
    for found, wanted in zip(model.variables, expected.variables, strict=True):
      self.assertAllEqual(found, wanted)
    self.assertEqual(resolve_checkpoint(self.output).step, 0)

  def test_description(self):
    self.write(_official('efficientzero'))
    official_checkpoints.import_checkpoint(self.source, self.output, 'Pong')
    found = load_model_description(self.output)
    self.assertEqual(found['config']['num_actions'], 18)
    self.assertEqual(found['config']['action_ids'], [0, 1, 3, 4, 11, 12])
    self.assertEqual(found['task']['name'], 'Pong')
    self.assertEqual(found['codec'], 'jpeg')
    self.assertEqual(found['profile'], 'efficientzero_head')
    self.assertEqual(found['origin']['names'], 'efficientzero')
    self.assertEqual(found['origin']['file'], 'model.p')
    self.assertLen(found['origin']['sha256'], 64)

  def test_xtra_needs_no_task(self):
    self.write(_official('xtra', num_actions=18))
    official_checkpoints.import_checkpoint(self.source, self.output)
    found = load_model_description(self.output)
    self.assertIsNone(found['config']['action_ids'])
    self.assertIsNone(found['task'])
    self.assertEqual(found['profile'], 'xtra_official')

  def test_all_18_actions_fit_any_game(self):
    self.write(_official('xtra', num_actions=18))
    official_checkpoints.import_checkpoint(self.source, self.output, 'Pong')
    self.assertIsNone(
        load_model_description(self.output)['config']['action_ids'])

  def test_export_after_an_import_with_its_task(self):
    tensors = _official('efficientzero')
    self.write(tensors)
    official_checkpoints.import_checkpoint(self.source, self.output, 'Pong')
    official_checkpoints.export_checkpoint(self.output, self.exported)
    self.assert_same(read_state_dict(self.exported).tensors, tensors)

  def test_head_of_another_game(self):
    self.write(_official('efficientzero'))
    self.refuse_import(
        IncompatibleDataError,
        rf'model.p: the action head does not fit Breakout. .* {_HEAD} has the '
        r'shape \[6, 4\], expected \[4, 4\] \(the actions of the task\) or '
        r'\[18, 4\] \(all', 'Breakout')

  def test_head_of_another_game_after_the_import(self):
    self.write(_official('efficientzero'))
    config = official_checkpoints.import_checkpoint(
        self.source, self.output, 'Pong').config
    same = get_task('DemonAttack', resolution=32)
    self.assertEqual(
        official_checkpoints.config_for_task(config, same, 'a'), config)
    with self.assertRaisesRegex(IncompatibleDataError, 'does not fit Qbert'):
      official_checkpoints.config_for_task(
          config, get_task('Qbert', resolution=32), 'a')

  def test_frames_of_another_size(self):
    config = _config()
    with self.assertRaisesRegex(
        IncompatibleDataError,
        r'observations of shape \[32, 32, 12\], Pong has \[96, 96, 12\]'):
      official_checkpoints.config_for_task(config, get_task('Pong'), 'a.p')

  def test_unknown_task(self):
    self.write(_official('efficientzero'))
    self.refuse_import(UsageError, 'Did you mean Pong', 'Pnog')

  def test_another_family(self):
    self.write({'layer1.0.conv1.weight': np.zeros([2], np.float32)})
    self.refuse_import(CheckpointError, 'is no checkpoint of EfficientZero or')

  def test_truncated(self):
    self.write(_official('efficientzero'))
    with open(self.source, 'rb+') as file:
      file.truncate(5000)
    self.refuse_import(DataFileError, 'model.p: is truncated after 5000 bytes')

  def test_misshapen(self):
    tensors = _official('efficientzero')
    tensors['projection.4.bias'] = np.zeros([9], np.float32)
    del tensors['projection.0.bias']
    self.write(tensors)
    self.refuse_import(
        CheckpointError, r'(?s)model.p .*missing \(1\).*projection.0.bias.*'
        r'projection.4.bias: expected float32\[8\], found float32\[9\]')

  def test_values_that_are_not_finite(self):
    tensors = _official('efficientzero')
    tensors['projection.4.bias'] = np.full([8], np.nan, np.float32)
    self.write(tensors)
    self.refuse_import(CheckpointError, r'projection.4.bias of shape \[8\] has')

  def test_two_names_of_one_tensor_that_differ(self):
    tensors = _official('efficientzero')
    name = next(n for n in tensors if n.endswith('.downsample.weight'))
    tensors[name] = tensors[name] + 1.
    self.write(tensors)
    self.refuse_import(CheckpointError, 'conv2.weight and .*downsample.weight '
                       'differ')

  def test_two_names_saved_apart(self):
    """As after `.cpu()` of each tensor of a GPU's state dict."""
    tensors = _official('efficientzero')
    name = next(n for n in tensors if n.endswith('.downsample.weight'))
    tensors[name] = tensors[name].copy()
    self.write(tensors)
    official_checkpoints.import_checkpoint(self.source, self.output)

  def test_folder_with_a_checkpoint(self):
    self.write(_official('efficientzero'))
    official_checkpoints.import_checkpoint(self.source, self.output)
    with self.assertRaisesRegex(CheckpointError, 'holds a checkpoint already'):
      official_checkpoints.import_checkpoint(self.source, self.output)

  def save(self, **changes):
    model = EfficientZero(_config(**changes), seed=5)
    return model, save_world_model(
        model, self.output, {**model.description(), 'codec': 'lossless'}, 7)

  def test_a_model_born_here(self):
    model, checkpoint = self.save()
    written = official_checkpoints.export_checkpoint(checkpoint, self.exported)
    self.assertEqual(written.names, 'efficientzero')
    found = read_state_dict(self.exported)
    rows = official_tensors(model.config, 'efficientzero')
    self.assert_same(found.tensors, exported_weights(model, rows, {}))
    self.assertEqual(found.versions['projection.1'], 2)
    # It is as good as one of theirs.
    loaded = official_checkpoints.load_official_model(self.exported)
    for one, other in zip(loaded.model.variables, model.variables, strict=True):
      self.assertAllEqual(one, other)

  def test_a_network_like_xtras_gets_their_names(self):
    _, checkpoint = self.save(representation_blocks=4, num_actions=18)
    self.assertEqual(official_checkpoints.export_checkpoint(
        checkpoint, self.exported).names, 'xtra')

  def test_other_names(self):
    self.write(_official('efficientzero'))
    official_checkpoints.import_checkpoint(self.source, self.output)
    written = official_checkpoints.export_checkpoint(
        self.output, self.exported, 'xtra')
    self.assertContainsSubset({'representation_network.conv.weight'},
                              written.left_out)
    loaded = official_checkpoints.load_official_model(self.exported)
    self.assertEqual(loaded.names, 'xtra')
    for one, other in zip(loaded.model.variables,
                          EfficientZero(_config(), seed=3).variables,
                          strict=True):
      self.assertAllEqual(one, other)

  def test_file_that_exists_is_kept(self):
    _, checkpoint = self.save()
    self.write({})
    with self.assertRaisesRegex(UsageError, 'model.p exists already'):
      official_checkpoints.export_checkpoint(checkpoint, self.source)

  def test_unknown_names(self):
    _, checkpoint = self.save()
    with self.assertRaisesRegex(UsageError, "called 'xtr'. Did you mean xtra"):
      official_checkpoints.export_checkpoint(checkpoint, self.exported, 'xtr')

  def test_vectors_have_no_official_network(self):
    _, checkpoint = self.save(observation_shape=(8,))
    with self.assertRaisesRegex(CheckpointError, 'cannot be exported: .*vecto'):
      official_checkpoints.export_checkpoint(checkpoint, self.exported)

  def test_another_world_model(self):
    model = LinearWorldModel((2,), size=4, seed=0)
    save_world_model(model, self.output, {'family': 'linear', 'config': {}})
    with self.assertRaisesRegex(UsageError, "of family 'linear'"):
      official_checkpoints.export_checkpoint(self.output, self.exported)

  def test_no_checkpoint(self):
    with self.assertRaisesRegex(CheckpointError, 'does not exist'):
      official_checkpoints.export_checkpoint(self.output, self.exported)


if __name__ == '__main__':
  tf.test.main()
