import faulthandler, os; faulthandler.dump_traceback_later(int(os.environ.get("FH","900")), exit=True)
"""One step on two replicas beside the same step on one device.

Run by replicas_test.py in a process of its own: logical devices have to be made
before TensorFlow does anything.
"""

from absl.testing import absltest, parameterized
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
from xtra_tf.targets import StoredTargets
from xtra_tf.testing import training_batches

_REPLICAS = 2
_QUOTAS = (4, 2, 2)
_FRAME, _STACK, _ACTIONS, _STEPS = (24, 24, 1), 2, 3, 3
# Rows of the batch on each replica: as many of each task, in task order.
_ROWS = ((0, 1, 4, 6), (2, 3, 5, 7))
_MEASURED = (False, True, True, False)  # four steps: a window of two
_CONFIG = EfficientZeroConfig(
    (*_FRAME[:2], _STACK * _FRAME[2]), num_actions=_ACTIONS, channels=4,
    shrinkage=8, head_channels=4, lstm_size=8, support=5,
    projection_hidden=8, projection_size=8, projection_head_hidden=8)


def _strategy():
  # Collectives, the default, take three times as long to trace.
  return tf.distribute.MirroredStrategy(
      [f'CPU:{i}' for i in range(_REPLICAS)],
      cross_device_ops=tf.distribute.ReductionToOneDevice())


def _agent(settings, passes):
  time_steps = ts.time_step_spec(tensor_spec.TensorSpec(_FRAME, tf.uint8))
  actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, _ACTIONS - 1)
  policy = random_tf_policy.RandomTFPolicy(time_steps, actions)
  return WorldModelAgent(
      time_steps, actions, policy, policy, EfficientZero(_CONFIG, seed=0),
      StoredTargets(stack=_STACK, unroll_steps=_STEPS, td_steps=5,
                    discount=0.99),
      settings=settings, quotas=_QUOTAS,
      train_step=tf.Variable(0, dtype=tf.int64),
      target_world_model=EfficientZero(_CONFIG, seed=1),
      task_weights=TaskWeights(TaskWeightSettings(
          start=1, period=6, window=2, threshold=0., passes=passes),
          len(_QUOTAS)))


def _batch(step, measured):
  return training_batches.random_unroll(
      _QUOTAS, frame=_FRAME, stack=_STACK, unroll_steps=_STEPS,
      num_actions=_ACTIONS, measuring=measured, factors=(1., .5, .25),
      seed=step)


def _rows(batch, rows):
  return tf.nest.map_structure(lambda x: tf.gather(x, rows), batch)


def _state(agent):
  return {variable.name + str(index): variable.numpy()
          for index, variable in enumerate(agent.variables)}


def _on_one(settings, passes, in_order):
  """Infos and final state of steps on one device."""
  agent = _agent(settings, passes)
  train = tf.function(agent.train, autograph=False)
  infos = []
  for step, measured in enumerate(_MEASURED):
    batch = _batch(step, measured)
    if not in_order:
      batch = _rows(batch, np.concatenate(_ROWS))
    infos.append(train(batch))
  return infos, _state(agent)


def _on_two(settings, passes):
  """The same on two replicas, infos with the rows of both."""
  strategy = _strategy()
  with strategy.scope():
    agent = _agent(settings, passes)

  def parts(context):
    del context
    batches = [_rows(_batch(step, measured), rows)
               for step, measured in enumerate(_MEASURED) for rows in _ROWS]
    return tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *x: tf.stack(x), *batches))

  @tf.function(autograph=False)
  def train(batch, measured):
    return strategy.run(agent.train, (batch,), {'measured': measured})

  batches = iter(strategy.distribute_datasets_from_function(parts))
  infos = []
  for measured in _MEASURED:
    infos.append([strategy.experimental_local_results(x) for x in
                  tf.nest.flatten(train(next(batches), measured))])
  return infos, _state(agent), train


class ReplicasTest(parameterized.TestCase, tf.test.TestCase):

  def _assert_same_steps(self, settings, passes, in_order):
    one, expected = _on_one(settings, passes, in_order)
    two, found, train = _on_two(settings, passes)
    order = np.concatenate(_ROWS)
    for step, (info, replicas) in enumerate(zip(one, two, strict=True)):
      for number, values in zip(
          tf.nest.flatten(info), replicas, strict=True):
        number = number.numpy()
        if number.shape[:1] == (sum(_QUOTAS),):
          # A number a row.
          values = [np.concatenate([v.numpy() for v in values])]
          number = number[order] if in_order else number
        for value in values:
          self.assertAllClose(value, number, rtol=1e-4, atol=1e-5,
                              msg=f'step {step}')
    self.assertEqual(list(found), list(expected))
    for name, value in expected.items():
      self.assertAllClose(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    # One trace for measured batches, one for others.
    self.assertEqual(train.experimental_get_tracing_count(), 2)
    return expected

  def test_joint_passes_with_augmentation(self):
    expected = self._assert_same_steps(LearnerSettings(
        stack=_STACK, support=5, unroll_steps=_STEPS, warmup_steps=0,
        target_update_period=2), 'joint', in_order=False)
    weights = [v for name, v in expected.items() if name.startswith('weights')]
    self.assertNotAllClose(weights[0], [1., 1., 1.])

  def test_passes_by_task(self):
    self._assert_same_steps(LearnerSettings(
        stack=_STACK, support=5, unroll_steps=_STEPS, warmup_steps=0,
        target_update_period=2, shift=0, intensity=0.), 'by_task',
        in_order=True)


if __name__ == '__main__':
  tf.config.set_logical_device_configuration(
      tf.config.list_physical_devices('CPU')[0],
      [tf.config.LogicalDeviceConfiguration()] * _REPLICAS)
  absltest.main()
