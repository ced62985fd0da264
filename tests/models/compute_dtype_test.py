"""A network that computes in bfloat16, in all that is done with a network."""

import dataclasses

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.errors import UsageError
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.planning import MctsPlanner
from xtra_tf.policies import PlanningPolicy
from xtra_tf.variables import (
  copy_variables,
  restore_world_model,
  save_world_model,
)

EXACT = EfficientZeroConfig(
    (16, 16, 6), num_actions=3, channels=8, head_channels=4, head_hidden=(8,),
    lstm_size=8, support=5, projection_hidden=8, projection_size=8,
    projection_head_hidden=8, zero_initial_heads=False)
SHORT = dataclasses.replace(EXACT, compute_dtype='bfloat16')


def both():
  """The same weights in either precision."""
  exact, short = EfficientZero(EXACT, seed=0), EfficientZero(SHORT, seed=1)
  copy_variables(exact, short)
  return exact, short


def said(model, observation, training=False):
  """Outputs of two steps and the projection."""
  root = model.initial_inference(observation, training=training)
  later = model.recurrent_inference(
      root.state, tf.tile([0, 1, 2, 0], [8]), training=training)
  return root, later, model.project(later.state, True, training=training)


def _gradient(model, rows):
  """<float32>[P] of all heads' cross entropies over an unroll of 3 steps."""
  random = np.random.default_rng(0)
  config = model.config
  observation = tf.constant(
      random.uniform(size=[rows, *config.observation_shape]), tf.float32)
  with tf.GradientTape() as tape:
    output = model.initial_inference(observation, training=True)
    losses = []
    for step in range(4):
      if step:
        output = model.recurrent_inference(output.state, tf.constant(
            random.integers(0, config.num_actions, [rows])), training=True)
      losses += [tf.nn.sparse_softmax_cross_entropy_with_logits(
          random.integers(0, logits.shape[-1], [rows]), logits)
                 for logits in (output.value_logits, output.policy_logits,
                                output.reward_logits)]
    total = tf.reduce_mean(tf.stack(losses))
  found = tape.gradient(total, model.trainable_variables,
                        unconnected_gradients='zero')
  return tf.concat([tf.reshape(g, [-1]) for g in found], axis=0)


class ComputeDtypeTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(False, True)
  def test_outputs_are_near_and_float32(self, training):
    observation = tf.random.stateless_uniform([32, 16, 16, 6], [0, 0])
    exact, short = (tf.nest.flatten(said(m, observation, training))
                    for m in both())
    for one, other in zip(exact, short):
      self.assertEqual(other.dtype, tf.float32)
      # Batch statistics of few cells can be small, and divide what differs.
      bound = 0.3 if training else 0.1
      self.assertLess(tf.norm(one - other), bound * tf.norm(one) + 1e-6)
    self.assertTrue(any(
        np.any(np.not_equal(one, other)) for one, other in zip(exact, short)))

  def test_gradients_point_the_same_way(self):
    exact, short = (EfficientZero(dataclasses.replace(
        EXACT, observation_shape=(48, 48, 4), channels=16,
        compute_dtype=dtype), seed=0) for dtype in ('float32', 'bfloat16'))
    copy_variables(exact, short)
    found = [_gradient(model, rows=64) for model in (exact, short)]
    norms = [float(tf.norm(gradient)) for gradient in found]
    self.assertNear(norms[0], norms[1], 0.1 * norms[0])
    cosine = float(tf.tensordot(*found, axes=1)) / (norms[0] * norms[1])
    self.assertGreater(cosine, 0.9)
    self.assertLess(cosine, 1. - 1e-6)

  def test_convolutions_and_maps_compute_in_bfloat16(self):
    _, short = both()
    traced = tf.function(lambda x: said(short, x, True)).get_concrete_function(
        tf.TensorSpec([32, 16, 16, 6]))
    kinds = {'Conv2D': set(), 'FusedBatchNormV3': set(), 'MatMul': set(),
             'Softmax': set()}
    for op in traced.graph.get_operations():
      if op.type in kinds:
        kinds[op.type].add(op.outputs[0].dtype)
    self.assertEqual(kinds['Conv2D'], {tf.bfloat16})
    # The last layers are float32.
    self.assertEqual(kinds['MatMul'], {tf.bfloat16, tf.float32})
    self.assertEqual(kinds['Softmax'], {tf.float32})

  def test_statistics_of_a_batch_norm_are_float32(self):
    _, short = both()
    norm = short.representation.stem_norm
    x = tf.random.stateless_normal([4, 8, 8, 4], [0, 1], mean=100., stddev=1.)
    norm(tf.cast(x, tf.bfloat16), training=True)
    rounded = tf.cast(tf.cast(x, tf.bfloat16), tf.float32)
    mean = tf.reduce_mean(rounded, axis=[0, 1, 2])
    # 0.1 of the mean of what came in; bfloat16 knows 100 to the nearest half.
    self.assertAllClose(norm.running_mean, 0.1 * mean, rtol=1e-5)

  @parameterized.parameters(False, True)
  def test_policy_acts(self, compile_search):
    _, short = both()
    specs = (ts.time_step_spec({
        'frame': tensor_spec.TensorSpec((16, 16, 3), tf.uint8),
        'legal_actions': tensor_spec.TensorSpec([3], tf.bool)}),
        tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2))
    policy = PlanningPolicy(
        *specs, short,
        MctsPlanner(num_simulations=4, compile_search=compile_search), 2)
    time_step = ts.restart({
        'frame': tf.zeros([2, 16, 16, 3], tf.uint8),
        'legal_actions': tf.constant([[True, False, True]] * 2)}, batch_size=2)
    step = tf.function(policy.action)(
        time_step, policy.get_initial_state(2), seed=[0, 1])
    self.assertAllInSet(step.action, [0, 2])

  def test_checkpoints_are_those_of_float32(self):
    exact, short = both()
    folder = self.create_tempdir().full_path
    save_world_model(short, folder, short.description())
    again = EfficientZero(EXACT, seed=7)
    restore_world_model(again, folder)
    for one, other in zip(exact.variables, again.variables):
      self.assertEqual(one.dtype, tf.float32)
      self.assertAllEqual(one, other)

  def test_other_dtypes_are_refused_by_name(self):
    with self.assertRaisesRegex(UsageError, "`compute_dtype` is 'float16'.*"
                                'bfloat16.*loss scaling'):
      dataclasses.replace(EXACT, compute_dtype='float16')


if __name__ == '__main__':
  tf.test.main()
