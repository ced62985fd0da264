"""Networks, losses and gradients of the official code, number by number.

Every pair `efficientzero_*.{p,npz}` and `xtra_*.{p,npz}` in the folder named by
XTRA_GOLDEN_DIR (default: data/ beside this file) is a case; sizes are read from
the files. README.md in data/ says what is in them, and how exact they are.
"""

import dataclasses
import functools
import glob
import os

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.experiments import official_checkpoints
from xtra_tf.learners import unroll_loss
from xtra_tf.learners.settings import LearnerSettings
from xtra_tf.models import EfficientZero
from xtra_tf.models.official_names import official_tensors
from xtra_tf.models.official_weights import exported_weights
from xtra_tf.numerics import losses
from xtra_tf.types import LossParts, Unroll
from xtra_tf.variables import copy_variables, read_state_dict

_FOLDER = os.environ.get('XTRA_GOLDEN_DIR') or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), 'data')
_STEMS = sorted({os.path.splitext(path)[0]
                 for family in ('efficientzero', 'xtra')
                 for suffix in ('p', 'npz')
                 for path in glob.glob(
                     os.path.join(_FOLDER, f'{family}_*.{suffix}'))})
# A decorator without any case is an error of its own; see setUp.
_CASES = [(os.path.basename(stem), stem) for stem in _STEMS] or [('none', '')]

_OUTPUT_TOLERANCE = 1e-4
_LOSS_TOLERANCE = 1e-3
_GRADIENT_TOLERANCE = 1e-2  # relative
# A bias in front of a batch norm has a gradient of 0 but for rounding.
_NO_GRADIENT = 1e-4


class Case:
  """One pair of files: a fresh model with its weights, and all numbers."""

  def __init__(self, stem, compute_dtype='float32'):
    loaded = official_checkpoints.load_official_model(f'{stem}.p')
    self.model, self.names = loaded.model, loaded.names
    if compute_dtype != 'float32':
      self.model = EfficientZero(dataclasses.replace(
          loaded.model.config, compute_dtype=compute_dtype))
      copy_variables(loaded.model, self.model)
    self.unplaced = loaded.unplaced
    self.tensors = official_tensors(self.model.config, self.names)
    with np.load(f'{stem}.npz', allow_pickle=False) as file:
      self.data = {name: file[name] for name in file.files}
    self.steps = self.data['actions'].shape[1]
    self.action = tf.constant(self.data['actions'], tf.int32)
    channels = self.model.config.observation_shape[-1]
    colours = (self.data['frames'].shape[1] - channels) // self.steps
    self.settings = LearnerSettings(
        stack=channels // colours, unroll_steps=self.steps,
        support=self.model.config.support, shift=0, intensity=0.)
    rows, _, height, width = self.data['frames'].shape
    frames = self.data['frames'].reshape([rows, -1, colours, height, width])
    self.views = unroll_loss.training_views(
        Unroll(tf.constant(frames.transpose([0, 1, 3, 4, 2])),
               *[None] * (len(Unroll._fields) - 1)),
        self.settings, tf.constant([0, 0]))

  def numbers(self, prefix):
    return {name[len(prefix):]: value for name, value in self.data.items()
            if name.startswith(prefix)}

  def official(self, values):
    """{official name: array} of values that have a variable's shape each."""
    by_variable = {variable.ref(): value for variable, value in zip(
        self.model.variables, values)}
    found = {}
    for row in self.tensors:
      if row.variable is not None and row.alias_of is None:
        variable = functools.reduce(
            lambda at, part: at[int(part)] if part.isdigit()
            else getattr(at, part), row.variable.split('.'), self.model)
        found[row.name] = by_variable[variable.ref()]
    return found


@functools.lru_cache(maxsize=None)
def _inference(stem):
  """What the model says in inference mode: (case, outputs k = 0..K)."""
  case = Case(stem)

  @tf.function
  def unroll():
    output = case.model.initial_inference(case.views.root)
    outputs = [(output, None, None)]
    for k in range(case.steps):
      output = case.model.recurrent_inference(output.state, case.action[:, k])
      outputs.append((output, case.model.project(output.state, True),
                      case.model.project(output.state, False)))
    return outputs

  return case, unroll()


@functools.lru_cache(maxsize=None)
def _training(stem, compute_dtype='float32'):
  """One forward and backward pass: (case, LossParts, gradients)."""
  case = Case(stem, compute_dtype)
  data, model = case.data, case.model
  mask = tf.constant(data['mask'], tf.float32)
  always = tf.concat([tf.ones_like(mask[:, :1]), mask], axis=1)

  def total(name, mask, logits):
    wrong = losses.cross_entropy(tf.constant(data[name], tf.float32),
                                 tf.stack(logits, axis=1))
    return tf.reduce_sum(mask * wrong, axis=1)

  @tf.function
  def step():
    with tf.GradientTape() as tape:
      predicted = unroll_loss.unroll_model(model, case.views, case.action,
                                           case.settings)
      outputs = predicted.outputs
      parts = LossParts(
          value=total('target_value', always,
                      [o.value_logits for o in outputs]),
          value_prefix=total('target_value_prefix', mask,
                             [o.reward_logits for o in outputs[1:]]),
          policy=total('target_policy', always,
                       [o.policy_logits for o in outputs]),
          consistency=tf.reduce_sum(mask * predicted.consistency, axis=1))
      loss = case.settings.loss_scale * tf.reduce_mean(
          unroll_loss.weighted_sum(parts, case.settings))
    gradients = tape.gradient(loss, model.variables,
                              unconnected_gradients='zero')
    return parts, gradients

  return (case, *step())


class NetworksGoldenTest(tf.test.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    if not _STEMS:
      # A folder of the caller's own may hold the other kind alone.
      self.assertNotEmpty(glob.glob(os.path.join(_FOLDER, 'search_*.npz')),
                          f'No golden files in {_FOLDER}.')
      self.skipTest(f'No efficientzero_* or xtra_* (.p and .npz) in {_FOLDER}.')

  def assert_near(self, found, expected, tolerance, message):
    self.assertAllClose(found, expected, rtol=tolerance, atol=tolerance,
                        msg=message)

  @parameterized.named_parameters(*_CASES)
  def test_both_files_are_there(self, stem):
    for suffix in ('p', 'npz'):
      self.assertTrue(os.path.exists(f'{stem}.{suffix}'), f'{stem}.{suffix}')

  @parameterized.named_parameters(*_CASES)
  def test_inference(self, stem):
    case, outputs = _inference(stem)
    for k, (output, online, target) in enumerate(outputs):
      found = {'state': tf.transpose(output.state.latent, [0, 3, 1, 2]),
               'policy': output.policy_logits, 'value': output.value_logits}
      if k:
        found |= {'value_prefix': output.reward_logits,
                  'lstm_h': output.state.lstm_hidden,
                  'lstm_c': output.state.lstm_cell,
                  'projection': online, 'target_projection': target}
      for name, value in found.items():
        self.assert_near(value, case.data[f'{name}_{k}'], _OUTPUT_TOLERANCE,
                         f'{name}_{k}')

  @parameterized.named_parameters(*_CASES)
  def test_losses(self, stem):
    case, parts, _ = _training(stem)
    for name, value in parts._asdict().items():
      self.assert_near(value, case.data[f'loss_{name}'], _LOSS_TOLERANCE, name)

  @parameterized.named_parameters(*_CASES)
  def test_batch_loss_in_bfloat16(self, stem):
    case, parts, gradients = _training(stem, 'bfloat16')
    _, exact, _ = _training(stem)
    found, wanted = (
        float(tf.reduce_mean(unroll_loss.weighted_sum(p, case.settings)))
        for p in (parts, exact))
    self.assertNotEqual(found, wanted)
    self.assertLess(abs(found - wanted), 0.01 * abs(wanted))
    for gradient in gradients:
      self.assertEqual(gradient.dtype, tf.float32)

  @parameterized.named_parameters(*_CASES)
  def test_gradients(self, stem):
    case, _, gradients = _training(stem)
    found = {name: np.linalg.norm(gradient) for name, gradient
             in case.official(gradients).items()}
    expected = case.numbers('grad_norm/')
    self.assertNotEmpty(expected)
    self.assertContainsSubset(expected, found)
    wrong = {
        name: (found[name], float(norm)) for name, norm in expected.items()
        if abs(found[name] - norm) > _GRADIENT_TOLERANCE * norm
        and max(found[name], norm) > _NO_GRADIENT}
    self.assertEmpty(wrong, '{name: (found, expected)}')
    trainable = {name for name, variable in case.official(
        case.model.variables).items() if variable.trainable}
    self.assertEqual(trainable, set(expected))

  @parameterized.named_parameters(*_CASES)
  def test_running_statistics(self, stem):
    case, _, _ = _training(stem)
    found = exported_weights(case.model, case.tensors, case.unplaced)
    expected = case.numbers('after_step/')
    self.assertNotEmpty(expected)
    for name, value in expected.items():
      self.assert_near(found[name], value, _OUTPUT_TOLERANCE, name)

  @parameterized.named_parameters(*_CASES)
  def test_there_and_back_again(self, stem):
    """Through a checkpoint of ours, and no bit has changed."""
    folder = self.create_tempdir().full_path
    checkpoint, path = (os.path.join(folder, name) for name in ('model', 'a.p'))
    official_checkpoints.import_checkpoint(f'{stem}.p', checkpoint)
    official_checkpoints.export_checkpoint(checkpoint, path)
    before = read_state_dict(f'{stem}.p').tensors
    after = read_state_dict(path).tensors
    self.assertEqual(list(after), list(before))
    for name, array in before.items():
      self.assertEqual(after[name].dtype, array.dtype, name)
      self.assertEqual(after[name].shape, array.shape, name)
      self.assertEqual(after[name].tobytes(), array.tobytes(), name)


if __name__ == '__main__':
  tf.test.main()
