"""Acting by search: frames, samples, seeds, drivers, errors."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.policies import py_tf_eager_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.planning import MctsPlanner
from xtra_tf.policies import PlanningPolicy
from xtra_tf.policies.planning_policy import sample_visits
from xtra_tf.testing.linear_world_model import LinearWorldModel

_SLOTS, _STACK, _ACTIONS, _FRAME = 3, 4, 5, (4, 4, 1)
_LEGAL = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0]], bool)
FIRST, MID, LAST = (int(x) for x in (
    ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


def _specs(actions=_ACTIONS, maximum=None, frame_dtype=tf.uint8):
  observation = {
      'frame': tensor_spec.TensorSpec(_FRAME, frame_dtype),
      'legal_actions': tensor_spec.TensorSpec([actions], tf.bool)}
  maximum = actions - 1 if maximum is None else maximum
  return (ts.time_step_spec(observation),
          tensor_spec.BoundedTensorSpec([], tf.int32, 0, maximum))


def _time_step(step_types, frames, legal=_LEGAL):
  rows = len(step_types)
  frame = np.broadcast_to(
      np.reshape(frames, [rows, 1, 1, 1]), [rows, *_FRAME]).astype(np.uint8)
  return ts.TimeStep(np.array(step_types, np.int32), np.zeros([rows], 'f'),
                     np.ones([rows], 'f'),
                     {'frame': frame, 'legal_actions': legal[:rows]})


class PlanningPolicyTest(tf.test.TestCase, parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = LinearWorldModel((4, 4, _STACK), _ACTIONS)
    cls.planner = MctsPlanner(num_simulations=8, compile_search=False)

  def make_policy(self, **arguments):
    return PlanningPolicy(*_specs(), self.model, self.planner, _STACK,
                          **arguments)

  def as_python(self, policy):
    return py_tf_eager_policy.PyTFEagerPolicy(
        policy, use_tf_function=True, batch_time_steps=False)

  def test_stack_is_filled_by_the_first_frame_and_pushed_after(self):
    policy = self.as_python(self.make_policy())
    state = policy.get_initial_state(_SLOTS)
    seen = []
    for step_types, frames in (([FIRST, FIRST, MID], [1, 2, 3]),
                               ([MID, LAST, MID], [4, 5, 6]),
                               ([MID, FIRST, MID], [7, 8, 9])):
      step = policy.action(_time_step(step_types, frames), state)
      state = step.state
      seen.append(np.asarray(state['frames'])[:, :, 0, 0, 0])
    self.assertAllEqual(seen[0], [[1] * 4, [2] * 4, [0, 0, 0, 3]])
    self.assertAllEqual(seen[1], [[1, 1, 1, 4], [2, 2, 2, 5], [0, 0, 3, 6]])
    self.assertAllEqual(seen[2], [[1, 1, 4, 7], [8] * 4, [0, 3, 6, 9]])
    self.assertEqual(state['frames'].dtype, tf.uint8)

  def test_info_is_the_search_of_the_stacked_scaled_frames(self):
    planner = MctsPlanner(num_simulations=8, compile_search=False,
                          tie_break='lowest')
    policy = PlanningPolicy(*_specs(), self.model, planner, _STACK, greedy=True)
    frames = np.arange(_SLOTS * _STACK).reshape([_SLOTS, _STACK]) * 20
    state = {'frames': tf.constant(
        np.broadcast_to(frames[:, :, None, None, None],
                        [_SLOTS, _STACK, *_FRAME]).astype(np.uint8))}
    step = self.as_python(policy).action(
        _time_step([MID] * 3, [5, 250, 100]), state)
    stacked = np.concatenate([frames[:, 1:], [[5], [250], [100]]], axis=1)
    observation = np.broadcast_to(stacked[:, None, None] / 255.,
                                  [_SLOTS, 4, 4, _STACK])
    root = self.model.initial_inference(tf.constant(observation, tf.float32))
    found = planner.bind(self.model.simulator())(
        root, tf.constant(_LEGAL), tf.constant(0.), tf.constant([1, 2]))
    self.assertAllEqual(step.info['search'], found.target)
    self.assertAllClose(step.info['root_value'], found.root_value)
    for one, other in zip(step.info['statistics'], found.statistics):
      self.assertAllClose(one, other)
    self.assertAllEqual(step.action, np.argmax(found.target, axis=1))

  def test_actions_are_legal_and_info_fits_its_spec(self):
    policy = self.make_policy()
    python = self.as_python(policy)
    state = python.get_initial_state(_SLOTS)
    for _ in range(12):
      step = python.action(_time_step([MID] * 3, [1, 2, 3]), state)
      state = step.state
      self.assertTrue(_LEGAL[np.arange(3), np.asarray(step.action)].all())
      self.assertAllEqual(step.info['search'].numpy().sum(axis=1), [8.] * 3)
      spec = tensor_spec.add_outer_dim(policy.info_spec, _SLOTS)
      tf.nest.map_structure(
          lambda s, x: self.assertTrue(s.is_compatible_with(x)), spec,
          step.info)

  def test_seed_and_call_decide(self):
    def play(seed):
      policy = self.as_python(self.make_policy(seed=seed))
      state = policy.get_initial_state(_SLOTS)
      steps = [policy.action(_time_step([FIRST] * 3, [9, 9, 9]), state)
               for _ in range(6)]
      return np.stack([s.info['search'] for s in steps])
    first, again, other = play(1), play(1), play(2)
    self.assertAllEqual(first, again)
    self.assertNotAllEqual(first, other)
    # Equal observations, but each call draws noise and ties of its own.
    self.assertNotAllEqual(first[0], first[1])

  def test_counter_is_in_the_checkpoint(self):
    policy = self.make_policy()
    python = self.as_python(policy)
    step = _time_step([FIRST] * 3, [1, 2, 3])
    state = python.get_initial_state(_SLOTS)
    python.action(step, state)
    saved = tf.train.Checkpoint(policy=policy).save(
        self.create_tempfile().full_path)
    expected = python.action(step, state).info['search']
    resumed = self.make_policy()
    tf.train.Checkpoint(policy=resumed).restore(saved).assert_consumed()
    self.assertAllEqual(
        self.as_python(resumed).action(step, state).info['search'], expected)

  def test_temperature_is_read_at_every_step(self):
    policy = self.make_policy()
    python = self.as_python(policy)
    state = python.get_initial_state(_SLOTS)
    step = _time_step([MID] * 3, [1, 2, 3])
    policy.temperature.assign(1e-3)
    for _ in range(10):
      found = python.action(step, state)
      visits = np.asarray(found.info['search'])
      self.assertAllEqual(
          visits[np.arange(3), np.asarray(found.action)], visits.max(axis=1))
    policy.temperature.assign(1e3)
    actions = {int(python.action(step, state).action[0]) for _ in range(30)}
    self.assertGreater(len(actions), 2)

  @parameterized.named_parameters(
      ('stack', {'stack': 0}, UsageError, '`stack` .* got 0'),
      ('noise', {'noise_fraction': 1.5}, UsageError,
       '`noise_fraction` .* got 1.5'),
      ('model', {'model': LinearWorldModel((4, 4, 4), 7)},
       IncompatibleDataError, 'has 5 actions, .* was made for 7'),
      ('observation', {'specs': (
          ts.time_step_spec(tf.TensorSpec([3], tf.float32)), _specs()[1])},
       ValueError, "parts .*'frame', 'legal_actions'"),
      ('action_range', {'specs': _specs(maximum=7)}, ValueError,
       r'must be 0\.\.4, .* got 0\.\.7'))
  def test_refuses(self, arguments, error, message):
    arguments = {'specs': _specs(), 'model': self.model, 'stack': _STACK,
                 **arguments}
    specs, model, stack = (arguments.pop(k) for k in ('specs', 'model',
                                                      'stack'))
    with self.assertRaisesRegex(error, message):
      PlanningPolicy(*specs, model, self.planner, stack, **arguments)

  def test_refuses_a_planner_without_visits(self):
    class OtherPlanner(MctsPlanner):

      def target_shape(self, num_actions):
        return (2, 3)

    with self.assertRaisesRegex(UsageError, r'OtherPlanner .* \(2, 3\)'):
      PlanningPolicy(*_specs(), self.model, OtherPlanner(), _STACK)


class SampleVisitsTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.named_parameters(
      ('counts', 1., [.1, .3, 0., .6]),
      ('sharper', .5, [1 / 46, 9 / 46, 0., 36 / 46]),
      ('argmax', .01, [0., 0., 0., 1.]))
  def test_shares(self, temperature, expected):
    rows = 8000
    visits = tf.tile([[5., 15., 0., 30.]], [rows, 1])
    drawn = sample_visits(visits, tf.constant(temperature),
                          tf.constant([1, 2]))
    self.assertEqual(drawn.dtype, tf.int32)
    share = np.bincount(drawn.numpy(), minlength=4) / rows
    self.assertEqual(share[2], 0.)
    self.assertAllClose(share, expected, atol=.03)


if __name__ == '__main__':
  tf.test.main()
