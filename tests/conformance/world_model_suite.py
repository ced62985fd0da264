"""What every world model must do; inherit it and say how to make one.

A test class takes this suite and a TestCase:

  class MyModelTest(world_model_suite.WorldModelSuite, tf.test.TestCase):
    OBSERVATION_SHAPE = (32, 32, 2)

    @classmethod
    def make_model(cls, seed):
      return MyModel(..., seed=seed)
"""

import os
from typing import Tuple

import numpy as np
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.models.world_model import WorldModel

_ROWS = 3


class WorldModelSuite:
  """The checks. One model is shared by all that do not change it."""

  OBSERVATION_SHAPE: Tuple[int, ...]  # of a stacked observation

  @classmethod
  def make_model(cls, seed: int) -> WorldModel:
    """A small model whose outputs differ from input to input."""
    raise NotImplementedError

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = cls.make_model(seed=0)

  def setUp(self):
    super().setUp()
    self.observation = self.make_observation(_ROWS)
    ids = self.known_actions()
    self.action = tf.constant([ids[i % len(ids)] for i in range(_ROWS)])

  def known_actions(self):
    """Ids of the actions that the model knows."""
    ids = self.model.action_ids
    return list(range(self.model.num_actions) if ids is None else ids)

  def other_actions(self):
    """An action of each row that is not `self.action`'s."""
    ids = self.known_actions()
    return [ids[(i + 1) % len(ids)] for i in range(_ROWS)]

  def make_observation(self, rows, seed=0):
    random = np.random.default_rng(seed)
    return tf.constant(random.uniform(size=[rows, *self.OBSERVATION_SHAPE]),
                       tf.float32)

  def assert_same(self, first, second, **tolerance):
    """Nests of equal structure and equal numbers."""
    tf.nest.assert_same_structure(first, second)
    for one, other in zip(tf.nest.flatten(first), tf.nest.flatten(second)):
      self.assertAllClose(one, other, **tolerance)

  def unroll(self, model, steps, training=False):
    """Outputs of the initial inference and of `steps` further ones."""
    outputs = [model.initial_inference(self.observation, training=training)]
    for _ in range(steps):
      outputs.append(model.recurrent_inference(
          outputs[-1].state, self.action, training=training))
    return outputs

  def test_shapes_and_types(self):
    for output in self.unroll(self.model, 2):
      self.assertEqual(output.reward.shape, (_ROWS,))
      self.assertEqual(output.value.shape, (_ROWS,))
      self.assertEqual(output.policy_logits.shape,
                       (_ROWS, self.model.num_actions))
      self.assertEqual(output.reward_logits.shape[0], _ROWS)
      self.assertEqual(output.value_logits.shape[0], _ROWS)
      for tensor in tf.nest.flatten(output):
        self.assertEqual(tensor.dtype, tf.float32)
        self.assertEqual(tensor.shape[0], _ROWS)
        self.assertAllInRange(tensor, -1e6, 1e6)

  def test_state_keeps_its_structure(self):
    # A loop can carry it only then.
    root, step = self.unroll(self.model, 1)
    tf.nest.assert_same_structure(root.state, step.state)
    for before, after in zip(tf.nest.flatten(root.state),
                             tf.nest.flatten(step.state)):
      self.assertEqual(before.shape, after.shape)
      self.assertEqual(before.dtype, after.dtype)

  def test_nothing_is_rewarded_before_the_first_action(self):
    root = self.model.initial_inference(self.observation)
    self.assertAllEqual(root.reward, np.zeros([_ROWS]))

  def test_outputs_depend_on_observation_and_action(self):
    root, step = self.unroll(self.model, 1)
    self.assertNotAllClose(root.value_logits[0], root.value_logits[1])
    other = self.model.recurrent_inference(
        root.state, tf.constant(self.other_actions()))
    self.assertNotAllClose(step.reward_logits, other.reward_logits)
    self.assertNotAllClose(step.policy_logits, other.policy_logits)

  def test_unknown_actions_have_no_probability(self):
    unknown = np.ones([self.model.num_actions], bool)
    unknown[self.known_actions()] = False
    for output in self.unroll(self.model, 1):
      policy = tf.nn.softmax(output.policy_logits).numpy()
      self.assertAllEqual(policy[:, unknown], np.zeros([_ROWS, unknown.sum()]))
      self.assertAllGreater(policy[:, ~unknown], 0.)

  def test_tasks_with_unknown_actions_are_refused(self):
    known = self.known_actions()
    self.model.check_plays('SomeTask', known)
    self.model.check_plays('SomeTask', known[-1:])
    stranger = self.model.num_actions
    with self.assertRaises(IncompatibleDataError) as caught:
      self.model.check_plays('SomeTask', [*known, stranger])
    for part in ('SomeTask', self.model.name, str(known),
                 str([*known, stranger]), f'[{stranger}] are missing'):
      self.assertIn(part, str(caught.exception))

  def test_rows_do_not_see_each_other_in_inference(self):
    together = self.unroll(self.model, 2)[-1]
    row = slice(1, 2)
    self.observation, self.action = self.observation[row], self.action[row]
    alone = self.unroll(self.model, 2)[-1]
    self.assert_same(alone, tf.nest.map_structure(lambda x: x[row], together),
                     atol=1e-5)

  def test_inference_changes_nothing(self):
    before = [v.numpy() for v in self.model.variables]
    outputs = self.unroll(self.model, 2)
    self.model.project(outputs[-1].state, True)
    self.model.project(outputs[-1].state, False)
    for variable, value in zip(self.model.variables, before):
      self.assertAllEqual(variable, value)

  def test_training_mode_changes_statistics_only(self):
    model = self.make_model(seed=1)
    before = [v.numpy() for v in model.trainable_variables]
    outputs = self.unroll(model, 1, training=True)
    model.project(outputs[-1].state, True, training=True)
    for variable, value in zip(model.trainable_variables, before):
      self.assertAllEqual(variable, value)

  def test_gradients_reach_every_trained_variable(self):
    model = self.make_model(seed=1)
    with tf.GradientTape() as tape:
      outputs = self.unroll(model, 2, training=True)
      projected = model.project(outputs[-1].state, True, training=True)
      weighted = [
          tf.reduce_sum(x * tf.range(1., x.shape[-1] + 1.))
          for output in outputs
          for x in (output.policy_logits, output.value_logits,
                    output.reward_logits)]
      loss = tf.add_n(weighted) + tf.reduce_sum(projected**2)
    gradients = tape.gradient(loss, model.trainable_variables)
    unused = [v.name for v, g in zip(model.trainable_variables, gradients)
              if g is None]
    self.assertEmpty(unused)

  def test_fresh_state_has_nothing_to_reset(self):
    state = self.model.initial_inference(self.observation).state
    self.assert_same(
        self.model.reset_prefix(state, tf.ones([_ROWS], tf.bool)), state,
        rtol=0., atol=0.)

  def test_reset_touches_the_rows_that_are_named(self):
    state = self.unroll(self.model, 2)[-1].state
    reset = self.model.reset_prefix(state, tf.constant([True, False, True]))
    kept = tf.nest.map_structure(lambda x: x[1], reset)
    self.assert_same(kept, tf.nest.map_structure(lambda x: x[1], state),
                     rtol=0., atol=0.)
    changed = [np.any(before.numpy()[0] != after.numpy()[0])
               for before, after in zip(tf.nest.flatten(state),
                                        tf.nest.flatten(reset))]
    self.assertTrue(any(changed), 'Nothing was reset.')

  def test_reset_changes_the_prefix_and_nothing_else(self):
    state = self.unroll(self.model, 2)[-1].state
    reset = self.model.reset_prefix(state, tf.ones([_ROWS], tf.bool))
    plain = self.model.recurrent_inference(state, self.action)
    fresh = self.model.recurrent_inference(reset, self.action)
    self.assertNotAllClose(plain.reward_logits, fresh.reward_logits)
    self.assertAllClose(plain.value_logits, fresh.value_logits)
    self.assertAllClose(plain.policy_logits, fresh.policy_logits)

  def test_projections_of_both_sides_have_one_shape(self):
    state = self.unroll(self.model, 1)[-1].state
    with_head = self.model.project(state, True)
    without = self.model.project(state, False)
    self.assertEqual(with_head.shape, without.shape)
    self.assertEqual(with_head.shape.rank, 2)
    self.assertNotAllClose(with_head, without)

  def test_seed_decides_the_weights(self):
    same, other = self.make_model(seed=0), self.make_model(seed=7)
    for variable, again in zip(self.model.variables, same.variables):
      self.assertAllEqual(variable, again)
    self.assertTrue(any(
        np.any(variable.numpy() != different.numpy())
        for variable, different in zip(self.model.variables, other.variables)))

  def test_simulator_is_the_model_in_inference(self):
    simulator = self.model.simulator()
    root, step = self.unroll(self.model, 1)
    self.assert_same(simulator.recurrent(root.state, self.action), step)
    where = tf.constant([True, False, True])
    self.assert_same(simulator.reset_prefix(step.state, where),
                     self.model.reset_prefix(step.state, where))
    self.assertEqual(simulator.prefix_horizon, self.model.prefix_horizon)
    self.assertGreaterEqual(simulator.prefix_horizon, 1)

  def test_compiled_loop_equals_eager_steps(self):
    steps = 3
    simulator = self.model.simulator()

    @tf.function(jit_compile=True, autograph=False)
    def imagine(root, action):
      def body(step, output):
        state = simulator.reset_prefix(
            output.state, tf.fill([_ROWS], step == 1))
        return step + 1, simulator.recurrent(state, action)
      return tf.while_loop(lambda step, _: step < steps, body, (0, root))[1]

    output = root = self.model.initial_inference(self.observation)
    for step in range(steps):
      state = simulator.reset_prefix(output.state,
                                     tf.fill([_ROWS], step == 1))
      output = simulator.recurrent(state, self.action)
    self.assert_same(imagine(root, self.action), output, atol=1e-5, rtol=1e-4)

  def test_traces_as_a_plain_function(self):
    @tf.function(autograph=False)
    def look(observation):
      return self.model.initial_inference(observation)
    self.assert_same(look(self.observation),
                     self.model.initial_inference(self.observation), atol=1e-5)

  def test_checkpoint_round_trip(self):
    path = os.path.join(self.create_tempdir().full_path, 'model')
    tf.train.Checkpoint(world_model=self.model).write(path)
    other = self.make_model(seed=7)
    tf.train.Checkpoint(world_model=other).read(path).assert_consumed()
    for variable, again in zip(self.model.variables, other.variables):
      self.assertAllEqual(variable, again)
