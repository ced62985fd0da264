"""One step on two replicas beside the same step on one device.

Run by replicas_test.py in a process of its own: logical devices have to be made
before TensorFlow does anything.
"""

import dataclasses

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from tests.learners import replica_steps
from xtra_tf.models.batch_norm import BatchNorm
from xtra_tf.numerics import segments

_REPLICAS = 2


def _strategy():
  # Collectives, the default, take three times as long to trace.
  return tf.distribute.MirroredStrategy(
      [f'CPU:{i}' for i in range(_REPLICAS)],
      cross_device_ops=tf.distribute.ReductionToOneDevice())


class _SameSteps(tf.test.TestCase):

  def _assert_same_steps(self, build, settings, passes, *, in_order,
                         on_host=False):
    one, expected = replica_steps.on_one(build, settings, passes, in_order)
    two = replica_steps.on_replicas(
        _strategy(), build, settings, passes, self.create_tempdir().full_path,
        on_host=on_host)
    order = np.concatenate(replica_steps.ROWS)
    for step, (info, other) in enumerate(zip(one, two.infos, strict=True)):
      found = dict(replica_steps.named(other))
      for name, number in replica_steps.named(
          info, order if in_order else None):
        self.assertAllClose(found[name], number, rtol=1e-4, atol=1e-5,
                            msg=f'{name} of step {step}')
    self.assertEqual(list(two.state), list(expected))
    for name, value in expected.items():
      self.assertAllClose(two.state[name], value, rtol=1e-4, atol=1e-5,
                          msg=name)
    self._assert_priorities_come_back(two.infos, two.updated)
    replica_steps.check_traces(self, two)
    return expected

  def _assert_priorities_come_back(self, infos, updated):
    """Of the rows of both replicas, to the items that they are of."""
    self.assertLen(updated, len(infos) * _REPLICAS)
    for step, info in enumerate(infos):
      parts = updated[step * _REPLICAS:(step + 1) * _REPLICAS]
      self.assertAllEqual(
          np.concatenate([rows.key for rows, _ in parts]),
          100 * step + np.concatenate(replica_steps.ROWS))
      self.assertAllEqual(np.concatenate([p for _, p in parts]),
                          info.extra.priority)


class ReplicasTest(_SameSteps):

  def test_joint_passes_with_augmentation(self):
    expected = self._assert_same_steps(
        replica_steps.linear, replica_steps.SETTINGS, 'joint', in_order=False)
    weights = [v for name, v in expected.items() if name.startswith('weights')]
    self.assertNotAllClose(weights[0], [1., 1.])

  def test_passes_by_task(self):
    # Random numbers go by the row's place, which differs here.
    self._assert_same_steps(
        replica_steps.linear, dataclasses.replace(
            replica_steps.SETTINGS, shift=0, intensity=0.),
        'by_task', in_order=True, on_host=True)

  def test_factor_of_rows_shared_by_weight(self):
    # Three and no rows of task 1, and a factor that grows with their number.
    strategy = _strategy()
    rows = strategy.experimental_distribute_values_from_function(
        lambda context: (tf.constant([[0, 1, 1, 1], [0, 0, 0, 2]][
            context.replica_id_in_sync_group]), tf.constant([
                [1., .6, .6, .6], [1., 1., 1., .4]][
                    context.replica_id_in_sync_group])))
    found = strategy.run(tf.function(lambda task, factor: (
        segments.mean_over_replicas(factor, task, 3))), args=rows)
    for factor in strategy.experimental_local_results(found):
      # As one device would have it with three of eight rows, and one of eight.
      self.assertAllClose(factor, [1., .3, .2])

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
        replica_steps.efficientzero, replica_steps.SETTINGS, 'joint',
        in_order=False)


if __name__ == '__main__':
  tf.config.set_logical_device_configuration(
      tf.config.list_physical_devices('CPU')[0],
      [tf.config.LogicalDeviceConfiguration()] * _REPLICAS)
  absltest.main()
