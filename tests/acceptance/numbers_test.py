"""Acceptance checks 2, 3, 9, 10, 11 and 13: scales, schedules and weights.

The settings are those of gin/protocols/paper.gin, so that the checks hold the
files that a run is made of, and not only the functions behind them.
EfficientZero is commit 468bb03 of the official repository, XTRA 233a8fa.
"""

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.experiments import configuration, roles
from xtra_tf.learners import TaskWeights, WorldModelAgent
from xtra_tf.numerics import scaling, two_hot
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.types import SCALARS

_SUPPORT = 300
_FRAME = (2, 2, 1)
_STAGES = ('data', 'finetune', 'scratch')  # those that play


def paper_parts():
  """All settings of the paper's protocol, but for the cost of a search."""
  configuration.parse(['protocols/paper.gin'], ['NUM_SIMULATIONS = 1'])
  return roles.resolve_parts(seed=0)


class ScalesTest(parameterized.TestCase, tf.test.TestCase):
  """Checks 2 and 3: from scalars to bins and back.

  h(x) = sign(x) (sqrt(|x| + 1) - 1) + 0.001 x, EfficientZero core/config.py:
  303-313; its inverse and the two bins there in `inverse_scalar_transform` and
  `_phi`.
  """

  @parameterized.parameters(
      (0., 0.), (1., 0.4152135624), (-1., -0.4152135624), (5., 1.4544897428),
      (-5., -1.4544897428), (-20., -3.6025756950), (83.70927224, 8.2874732979))
  def test_02_known_values(self, x, expected):
    self.assertAllClose(scaling.scale(tf.constant(x)), expected, rtol=3e-7)

  def test_02_round_trip(self):
    # The second part lies beyond what clipped rewards can add up to.
    x = np.concatenate([np.linspace(-80, 80, 3001), [1e4, -1e5, 0.0015]])
    x = tf.constant(x, tf.float32)
    self.assertAllClose(scaling.unscale(scaling.scale(x)), x,
                        rtol=1e-6, atol=0)

  def test_03_a_whole_number_has_one_bin(self):
    whole = tf.range(-float(_SUPPORT), _SUPPORT + 1.)
    self.assertAllEqual(two_hot.two_hot(whole, -_SUPPORT, _SUPPORT),
                        np.eye(2 * _SUPPORT + 1))

  def test_03_bins_of_five(self):
    found = two_hot.scalar_to_two_hot(tf.constant([5.]), -_SUPPORT, _SUPPORT)
    self.assertAllClose(found[0, 301:303], [0.5455102572, 0.4544897428])
    self.assertEqual(np.count_nonzero(found), 2)

  def test_03_expectation_inverts(self):
    values = tf.constant([[-2.5, 0.25], [299.75, -0.001]])
    logits = tf.math.log(two_hot.two_hot(values, -_SUPPORT, _SUPPORT))
    self.assertAllClose(two_hot.expectation(logits, -_SUPPORT, _SUPPORT),
                        values)
    # And through the value scale, as targets and predictions do.
    scalars = tf.constant([-83.7, -55., -0.5, 0., 1., 3.7, 83.7])
    logits = tf.math.log(
        two_hot.scalar_to_two_hot(scalars, -_SUPPORT, _SUPPORT))
    self.assertAllClose(
        two_hot.logits_to_scalar(logits, -_SUPPORT, _SUPPORT), scalars,
        rtol=1e-5)


class HorizonTest(parameterized.TestCase, tf.test.TestCase):
  """Checks 9 and 11: how far value targets look, and with which discounts."""

  # EfficientZero core/reanalyze_worker.py:70-72 and core/config.py:397-400;
  # the last age, far beyond a run's, shows the least horizon.
  AGES = (0., 29_999., 30_000., 59_999., 60_000., 90_000., 1e6)
  STEPS = (5, 5, 4, 4, 3, 2, 1)

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.addClassCleanup(gin.clear_config)
    cls.parts = paper_parts()
    cls.model = LinearWorldModel((2, 2, 4), num_actions=18)
    cls.model.value_head.assign(tf.zeros_like(cls.model.value_head))

  def values_of_ones(self, targets):
    """Value targets at the anchor of rows of all ages, each reward 1."""
    batch = training_batches.random_unroll(
        [len(self.AGES)], frame=_FRAME, stack=4, num_actions=18)
    scalars = batch.scalars.numpy()
    scalars[..., SCALARS.index('reward')] = 1.
    return targets(batch._replace(
        scalars=tf.constant(scalars),
        age=tf.constant(self.AGES))).value[:, 0]

  def sums(self, steps):
    discount = configuration.discount_of(self.parts.planner)
    return [sum(discount**j for j in range(n)) for n in steps]

  @parameterized.parameters(*_STAGES)
  def test_09_horizons_shrink_with_age(self, stage):
    targets = roles.reanalyzed_targets(
        self.parts, stage, self.model, self.parts.target)
    self.assertAllClose(self.values_of_ones(targets), self.sums(self.STEPS))

  def test_09_fixed_data_do_not_age(self):
    # XTRA core/game_detach.py:156-159.
    for targets in (
        roles.reanalyzed_targets(
            self.parts, 'teacher', self.model, self.parts.target),
        roles.stored_targets(self.parts, 'finetune', self.parts.target)):
      self.assertAllClose(self.values_of_ones(targets),
                          [4.881957512] * len(self.AGES))

  def test_11_powers_of_the_discount(self):
    # 0.997 a frame, four frames a step: EfficientZero config/atari/
    # __init__.py:12-83.
    discount = configuration.discount_of(self.parts.planner)
    np.testing.assert_allclose(
        discount**np.arange(1, 6),
        [0.988053892, 0.976250494, 0.964588100, 0.953065026, 0.941679609],
        rtol=0, atol=6e-10)
    np.testing.assert_allclose(self.sums([5]), 4.881957512, atol=6e-10)


class LearnerSchedulesTest(parameterized.TestCase, tf.test.TestCase):
  """Check 10: learning rate and importance exponent of a gradient step.

  EfficientZero core/train.py:30-42 and core/reanalyze_worker.py:41, where the
  schedule goes on through the 20 000 last updates.
  """

  def make_agent(self, stage):
    parts = paper_parts()
    self.addCleanup(gin.clear_config)
    settings = configuration.resolve(
        configuration.LearnerSettings, stage, stack=4, unroll_steps=5,
        support=5)
    specs = ts.time_step_spec(tensor_spec.TensorSpec(_FRAME, tf.uint8))
    actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, 17)
    policy = random_tf_policy.RandomTFPolicy(specs, actions)
    targets = training_batches.random_targets(2, num_actions=18)
    self.assertEqual(parts.stages[stage].stage.updates, 120_000)
    return WorldModelAgent(
        specs, actions, policy, policy,
        LinearWorldModel((2, 2, 4), num_actions=18), lambda unroll: targets,
        settings=settings, quotas=(2,),
        train_step=tf.Variable(0, dtype=tf.int64))

  @parameterized.parameters(*_STAGES)
  def test_10_learning_rate_and_importance_exponent(self, stage):
    agent = self.make_agent(stage)
    batch = training_batches.random_unroll([2], frame=_FRAME, stack=4,
                                           num_actions=18)
    exponents = []
    weights = agent.importance_weights

    def spied(inverse_probability, task, exponent):
      exponents.append(exponent)
      return weights(inverse_probability, task, exponent)

    agent.importance_weights = spied
    expected = {0: (0., .4), 1: (2e-4, None), 500: (.1, None),
                1000: (.2, None), 60_000: (.2, .7), 100_999: (.2, None),
                101_000: (.02, None), 120_000: (.02, 1.)}
    for step, (rate, exponent) in expected.items():
      agent.train_step_counter.assign(step)
      found = agent.train(batch).extra.learning_rate
      self.assertAllClose(found, rate, rtol=1e-6, atol=0)
      if exponent is not None:
        self.assertAllClose(exponents[-1], exponent)
    self.assertLen(exponents, len(expected))


class TaskWeightsTest(tf.test.TestCase):
  """Check 13: how hits become a task's weight, and when they are counted.

  XTRA core/train.py:325-427, core/pcgrad_amp.py:37-63.
  """

  def settings(self):
    self.addCleanup(gin.clear_config)
    return paper_parts().task_weights

  def test_13_hits_out_of_500(self):
    settings = self.settings()
    weights = TaskWeights(settings, 6)
    observe = tf.function(weights.observe)
    start = settings.start
    hits = np.array([0, 0, 1, 2, 250, 500])
    weights.measuring.assign(True)
    for step in range(500):
      self.assertAllEqual(weights.weights, np.ones([6]))
      cosine = np.where(step < hits, 0.101, 0.1).astype(np.float32)
      observe(tf.constant(cosine), tf.constant(True),
              tf.constant(start + step, tf.int64))
    # The target's own weight is not measured.
    self.assertAllClose(weights.weights, [1., 0., 0., 0.01, 0.5, 1.])
    self.assertFalse(weights.measuring.numpy())
    self.assertAllEqual(weights.evidence, np.zeros([6]))

  def test_13_windows_of_a_whole_run(self):
    weights = TaskWeights(self.settings(), 2)
    updates = 120_000

    @tf.function
    def run():
      measured = tf.TensorArray(tf.bool, updates)
      for step in tf.range(updates, dtype=tf.int64):
        now = weights.measuring.read_value()
        measured = measured.write(tf.cast(step, tf.int32), now)
        weights.observe(tf.ones([2]), now, step)
      return measured.stack()

    expected = np.zeros([updates], bool)
    starts = [10_000 + 5_000 * j for j in range(22)]
    self.assertEqual(starts[-1], 115_000)
    for start in starts:
      expected[start:start + 500] = True
    self.assertAllEqual(run(), expected)


if __name__ == '__main__':
  tf.test.main()
