import os
import shutil

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.utils import common

from xtra_tf.errors import CheckpointError, DataFileError
from xtra_tf.runs import StageDirectory, read_incidents
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.variables import (
  ManifestedCheckpoints,
  load_model_description,
  read_unplaced,
  resolve_checkpoint,
  restore_world_model,
  save_model_description,
  save_world_model,
)

_DESCRIPTION = {'family': 'linear', 'config': {'size': 4, 'shape': (2,)}}


def _model(seed=0, size=4):
  return LinearWorldModel((2,), size=size, seed=seed)


class CheckpointsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.path = os.path.join(self.create_tempdir().full_path, 'student')
    self.stage = StageDirectory(self.path)

  def train(self, *steps):
    """Saves as a stage does, with an optimizer's variables beside the model."""
    step = tf.Variable(0, dtype=tf.int64)
    model = _model(seed=1)
    agent = tf.train.Checkpoint(
        world_model=model, optimizer=tf.train.Checkpoint(m=tf.Variable(3.)))
    checkpoints = ManifestedCheckpoints(self.stage)
    checkpoints.prepare()
    saver = common.Checkpointer(
        self.stage.checkpoints, max_to_keep=3, agent=agent, train_step=step)
    save_model_description(self.path, _DESCRIPTION)
    for number in steps:
      step.assign(number)
      model.encoder.assign(tf.fill([2, 4], float(number)))
      saver.save(step)
      checkpoints.commit(number, 10 * number, {})
    return model

  def assert_same(self, first, second):
    self.assertNotEmpty(first.variables)
    for a, b in zip(first.variables, second.variables):
      self.assertAllEqual(a, b)

  def test_tensors_without_a_place_travel_untouched(self):
    unplaced = {'a.b/c.weight': np.array([np.nan, -0., 1e-45], np.float32),
                'counter': np.array(2**40, np.int64)}
    save_world_model(_model(seed=1), self.path, _DESCRIPTION, 3, unplaced)
    found = read_unplaced(resolve_checkpoint(self.path))
    self.assertEqual(set(found), set(unplaced))
    for name, array in unplaced.items():
      self.assertEqual((found[name].dtype, found[name].shape),
                       (array.dtype, array.shape))
      self.assertEqual(found[name].tobytes(), array.tobytes())
    model = _model(seed=7)
    restore_world_model(model, self.path)
    self.assert_same(model, _model(seed=1))

  def test_a_stage_has_no_tensors_without_a_place(self):
    self.train(1)
    self.assertEqual(read_unplaced(resolve_checkpoint(self.path)), {})

  def test_restores_a_stage(self):
    trained = self.train(1, 2)
    model = _model(seed=7)
    info = restore_world_model(model, self.path)
    self.assert_same(model, trained)
    self.assertEqual((info.step, info.env_steps), (2, 20))
    self.assertEqual(info.description['family'], 'linear')

  @parameterized.parameters(
      ('', 2), ('train/checkpoints', 2), ('train/checkpoints/ckpt-1', 1),
      ('train/checkpoints/ckpt-2.index', 2))
  def test_ways_to_name_a_save(self, name, step):
    self.train(1, 2)
    info = resolve_checkpoint(os.path.join(self.path, name))
    self.assertEqual(info.step, step)
    self.assertEqual(info.prefix, os.path.join(
        self.stage.checkpoints, f'ckpt-{step}'))
    self.assertEqual(info.path, self.path)

  def test_exported_model(self):
    trained = _model(seed=3)
    save_world_model(trained, self.path, _DESCRIPTION, step=50)
    model = _model(seed=7)
    self.assertEqual(restore_world_model(model, self.path).step, 50)
    self.assert_same(model, trained)
    with self.assertRaisesRegex(CheckpointError, 'checkpoint of step 50 alrea'):
      save_world_model(trained, self.path, _DESCRIPTION)

  def test_model_of_another_size(self):
    self.train(1)
    model = _model(size=5)
    before = [v.numpy() for v in model.variables]
    with self.assertRaisesRegex(
        CheckpointError, r'(?s)ckpt-1 does not fit:.*encoder: expected '
        r'float32\[2, 5\], found float32\[2, 4\].*model.json'):
      restore_world_model(model, self.path)
    for variable, value in zip(model.variables, before):
      self.assertAllEqual(variable, value)

  def test_model_without_variables(self):
    with self.assertRaisesRegex(ValueError, 'no variables yet'):
      restore_world_model(tf.keras.Sequential(), self.path)
    with self.assertRaisesRegex(ValueError, 'no variables yet'):
      save_world_model(tf.keras.Sequential(), self.path, _DESCRIPTION)

  def test_goes_back_from_a_damaged_save(self):
    self.train(1, 2)
    os.truncate(os.path.join(self.stage.checkpoints, 'ckpt-2.index'), 3)
    self.assertEqual(restore_world_model(_model(), self.path).step, 1)
    self.assertLen(read_incidents(self.stage.logs), 1)

  def test_a_damaged_save_asked_for_by_name(self):
    self.train(1, 2)
    os.unlink(os.path.join(self.stage.checkpoints, 'ckpt-2.index'))
    with self.assertRaisesRegex(
        CheckpointError, 'step 2 is damaged: .*ckpt-2.index is missing'):
      resolve_checkpoint(os.path.join(self.stage.checkpoints, 'ckpt-2'))
    with self.assertRaisesRegex(DataFileError, '5.json: cannot be read'):
      resolve_checkpoint(os.path.join(self.stage.checkpoints, 'ckpt-5'))

  def test_missing_folder(self):
    with self.assertRaisesRegex(
        CheckpointError, '/nowhere does not exist. Expected the folder of a'):
      resolve_checkpoint('/nowhere')

  def test_folder_of_something_else(self):
    os.makedirs(self.path)
    with self.assertRaisesRegex(CheckpointError, 'no checkpoint, only: nothin'):
      resolve_checkpoint(self.path)
    for name in 'abcdef':
      os.mkdir(os.path.join(self.path, name))
    with self.assertRaisesRegex(CheckpointError, 'only: a, b, c, d, e, ...'):
      resolve_checkpoint(self.path)

  def test_missing_description(self):
    self.train(1)
    os.unlink(os.path.join(self.path, 'model.json'))
    with self.assertRaisesRegex(CheckpointError, 'student has no model.json'):
      resolve_checkpoint(self.path)

  def test_checkpoint_of_something_else(self):
    self.train(1)
    shutil.rmtree(os.path.join(self.path, 'train'))
    checkpoints = ManifestedCheckpoints(self.stage)
    checkpoints.prepare()
    tf.train.Checkpoint(policy=tf.Variable(1.)).write(
        os.path.join(checkpoints.directory, 'ckpt-1'))
    checkpoints.commit(1, 0)
    with self.assertRaisesRegex(CheckpointError, 'expected agent, found pol'):
      restore_world_model(_model(), self.path)


class ModelDescriptionTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.path = os.path.join(self.create_tempdir().full_path, 'new')

  def test_round_trip_and_repeat(self):
    for _ in range(2):
      save_model_description(self.path, _DESCRIPTION)
    self.assertEqual(load_model_description(self.path), {
        'family': 'linear', 'config': {'size': 4, 'shape': [2]}})

  def test_another_model(self):
    save_model_description(self.path, _DESCRIPTION)
    other = {'family': 'linear', 'config': {'size': 5, 'shape': (2,)}, 'b': 1}
    with self.assertRaisesRegex(
        CheckpointError, r'(?s)model.json describes another model:\n  b: None -'
        r'> 1\n  config.size: 4 -> 5\nExpected the same model'):
      save_model_description(self.path, other)
    self.assertEqual(load_model_description(self.path)['config']['size'], 4)

  def test_a_run_that_goes_on_with_another_profile_says_so(self):
    for profile in ('fixed', 'fixed+G28'):
      description = {**_DESCRIPTION, 'profile': profile}
      save_model_description(self.path, description)
      self.assertEqual(load_model_description(self.path)['profile'], profile)
    with self.assertRaisesRegex(CheckpointError, 'another model:\n  family: '):
      save_model_description(self.path, {**description, 'family': 'other',
                                         'profile': 'fixed'})
    self.assertEqual(load_model_description(self.path)['profile'], profile)

  @parameterized.parameters(
      ('{', DataFileError, 'is damaged'),
      ('[]', CheckpointError, 'does not describe a model'),
      ('{"a": 1}', CheckpointError, 'does not describe a model'))
  def test_damaged(self, text, error, message):
    os.makedirs(self.path)
    with open(os.path.join(self.path, 'model.json'), 'w') as file:
      file.write(text)
    with self.assertRaisesRegex(error, message):
      load_model_description(self.path)


if __name__ == '__main__':
  tf.test.main()
