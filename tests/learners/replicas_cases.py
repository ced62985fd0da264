"""One step on two replicas beside the same step on one device.

Run by replicas_test.py in a process of its own: logical devices have to be made
before TensorFlow does anything.
"""

import dataclasses

from absl.testing import absltest
import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.learners import (
  LearnerSettings,
  TaskWeights,
  TaskWeightSettings,
  WorldModelAgent,
)
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.models.batch_norm import BatchNorm
from xtra_tf.targets import StoredTargets
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.types import SampleInfo
from xtra_tf.workers import StepLearner

_REPLICAS = 2
_QUOTAS = (8, 8)
_FRAME, _STACK, _ACTIONS, _STEPS = (24, 24, 1), 2, 3, 1
# Rows of the batch on each replica: as many of each task, in task order.
_ROWS = ((*range(4), *range(8, 12)), (*range(4, 8), *range(12, 16)))
_MEASURED = (False, True, True, False)  # four steps: a window of two
_CONFIG = EfficientZeroConfig(
    (*_FRAME[:2], _STACK * _FRAME[2]), num_actions=_ACTIONS, channels=4,
    shrinkage=8, head_channels=4, lstm_size=8, support=5,
    projection_hidden=8, projection_size=8, projection_head_hidden=8)

_SETTINGS = LearnerSettings(
    stack=_STACK, support=5, unroll_steps=_STEPS, warmup_steps=0,
    target_update_period=2)


def _strategy():
  # Collectives, the default, take three times as long to trace.
  return tf.distribute.MirroredStrategy(
      [f'CPU:{i}' for i in range(_REPLICAS)],
      cross_device_ops=tf.distribute.ReductionToOneDevice())


def _linear(seed):
  return LinearWorldModel((*_FRAME[:2], _STACK * _FRAME[2]), seed=seed)


def _efficientzero(seed):
  return EfficientZero(_CONFIG, seed=seed)


def _agent(build, settings, passes):
  time_steps = ts.time_step_spec(tensor_spec.TensorSpec(_FRAME, tf.uint8))
  actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, _ACTIONS - 1)
  policy = random_tf_policy.RandomTFPolicy(time_steps, actions)
  return WorldModelAgent(
      time_steps, actions, policy, policy, build(0),
      StoredTargets(stack=_STACK, unroll_steps=_STEPS, td_steps=5,
                    discount=0.99),
      settings=settings, quotas=_QUOTAS,
      train_step=tf.Variable(0, dtype=tf.int64),
      target_world_model=build(1),
      task_weights=TaskWeights(TaskWeightSettings(
          start=1, period=6, window=2, threshold=0., passes=passes),
          len(_QUOTAS)))


def _batch(step, measured):
  return training_batches.random_unroll(
      _QUOTAS, frame=_FRAME, stack=_STACK, unroll_steps=_STEPS,
      num_actions=_ACTIONS, measuring=measured, factors=(1., .5),
      seed=step)


def _rows(batch, rows):
  return tf.nest.map_structure(lambda x: tf.gather(x, rows), batch)


def _info(step, rows):
  return SampleInfo(
      key=tf.constant([100 * step + row for row in rows], tf.uint64),
      task=tf.zeros([len(rows)], tf.int32),
      position=tf.zeros([len(rows), 2], tf.int64),
      probability=tf.ones([len(rows)], tf.float64))


def _named(info, order):
  """(name, numbers) of a LossInfo, its rows put in another order."""
  yield 'loss', info.loss.numpy()
  fields = dict(info.extra._asdict())
  fields.update(fields.pop('parts')._asdict())
  for name, value in fields.items():
    value = value.numpy()
    if order is not None and value.shape[:1] == (sum(_QUOTAS),):
      value = value[order]
    yield name, value


def _state(agent):
  return {variable.name + str(index): variable.numpy()
          for index, variable in enumerate(agent.variables)}


def _on_one(build, settings, passes, in_order):
  """Infos and final state of steps on one device."""
  agent = _agent(build, settings, passes)
  train = tf.function(agent.train, autograph=False)
  infos = []
  for step, measured in enumerate(_MEASURED):
    batch = _batch(step, measured)
    if not in_order:
      batch = _rows(batch, np.concatenate(_ROWS))
    infos.append(train(batch))
  return infos, _state(agent)


def _on_two(build, settings, passes, folder):
  """The same on two replicas, by the learner of the stages."""
  strategy = _strategy()
  with strategy.scope():
    agent = _agent(build, settings, passes)

  def parts():
    batches = [(_rows(_batch(step, measured), rows), _info(step, rows))
               for step, measured in enumerate(_MEASURED) for rows in _ROWS]
    return tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *x: tf.stack(x), *batches))

  updated = []
  learner = StepLearner(
      folder, agent.train_step_counter, agent, parts, strategy=strategy,
      checkpoint_interval=10**12, summary_interval=0,
      run_optimizer_variable_init=False,
      after_step=lambda info, priority: updated.append(
          (info.key.numpy(), priority.numpy())))
  infos = [learner.run() for _ in _MEASURED]
  return infos, _state(agent), learner, updated


class _SameSteps(tf.test.TestCase):

  def _assert_same_steps(self, build, settings, passes, in_order):
    one, expected = _on_one(build, settings, passes, in_order)
    two, found, learner, updated = _on_two(
        build, settings, passes, self.create_tempdir().full_path)
    order = np.concatenate(_ROWS)
    for step, (info, other) in enumerate(zip(one, two, strict=True)):
      for name, number in _named(info, order if in_order else None):
        self.assertAllClose(dict(_named(other, None))[name], number,
                            rtol=1e-4, atol=1e-5, msg=f'{name} of step {step}')
    self.assertEqual(list(found), list(expected))
    for name, value in expected.items():
      self.assertAllClose(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    self._assert_priorities_come_back(two, updated)
    # One trace for measured batches, one for others.
    self.assertEqual(learner._one_step.experimental_get_tracing_count(), 2)
    return expected

  def _assert_priorities_come_back(self, infos, updated):
    """Of the rows of both replicas, to the items that they are of."""
    self.assertLen(updated, len(_MEASURED) * _REPLICAS)
    for step, info in enumerate(infos):
      parts = updated[step * _REPLICAS:(step + 1) * _REPLICAS]
      self.assertAllEqual(
          np.concatenate([key for key, _ in parts]),
          100 * step + np.concatenate(_ROWS))
      self.assertAllEqual(np.concatenate([p for _, p in parts]),
                          info.extra.priority)


class ReplicasTest(_SameSteps):

  def test_joint_passes_with_augmentation(self):
    expected = self._assert_same_steps(
        _linear, _SETTINGS, 'joint', in_order=False)
    weights = [v for name, v in expected.items() if name.startswith('weights')]
    self.assertNotAllClose(weights[0], [1., 1.])

  def test_passes_by_task(self):
    # Random numbers go by the row's place, which differs here.
    self._assert_same_steps(
        _linear, dataclasses.replace(_SETTINGS, shift=0, intensity=0.),
        'by_task', in_order=True)

  def test_batch_norm(self):
    x = tf.random.stateless_normal([4, 3, 3, 5], [1, 2]) * 3. + 7.
    slope = tf.random.stateless_normal(x.shape, [3, 4])
    strategy = _strategy()
    one = BatchNorm(5, 'norm')
    with strategy.scope():
      two = BatchNorm(5, 'norm')

    def passes(norm, x, slope):
      with tf.GradientTape() as tape:
        tape.watch(x)
        y = norm(x, training=True)
        loss = tf.reduce_sum(slope * tf.tanh(y))
      return y, *tape.gradient(loss, [x, norm.gamma, norm.beta])

    @tf.function(autograph=False)
    def step(parts):
      return strategy.run(lambda part: passes(two, *part), (parts,))

    halves = strategy.distribute_datasets_from_function(
        lambda _: tf.data.Dataset.from_tensor_slices(
            (x, slope)).batch(2, drop_remainder=True))
    for _ in range(2):  # The second step has other running statistics.
      expected = passes(one, x, slope)
      found = [strategy.experimental_local_results(leaf)
               for leaf in step(next(iter(halves)))]
      for name, numbers, values in zip(
          ('y', 'x'), expected[:2], found[:2], strict=True):
        self.assertAllClose(tf.concat(values, 0), numbers, rtol=1e-4,
                            atol=1e-5, msg=name)
      for numbers, values in zip(expected[2:], found[2:], strict=True):
        self.assertAllClose(sum(values), numbers, rtol=1e-4, atol=1e-4)
      for expected_statistic, statistic in zip(
          one.non_trainable_variables, two.non_trainable_variables):
        self.assertAllClose(statistic, expected_statistic, rtol=1e-5)


class SlowReplicasTest(_SameSteps):

  def test_efficientzero(self):
    self._assert_same_steps(
        _efficientzero, _SETTINGS, 'joint', in_order=False)


if __name__ == '__main__':
  tf.config.set_logical_device_configuration(
      tf.config.list_physical_devices('CPU')[0],
      [tf.config.LogicalDeviceConfiguration()] * _REPLICAS)
  absltest.main()
