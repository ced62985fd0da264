"""Shares of reanalyzed rows, from gin to the targets of a stage."""

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from xtra_tf.experiments import configuration, roles
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.types import SCALARS

_ROWS, _STACK, _UNROLL, _TD = 4, 4, 5, 5


class ReanalyzeWiringTest(parameterized.TestCase, tf.test.TestCase):

  def targets(self, batch, stage, *bindings):
    self.addCleanup(gin.clear_config)
    configuration.parse(
        ['protocols/paper.gin'],
        ['NUM_SIMULATIONS = 1',
         *(f'{stage}/xtra_tf.experiments.StageSettings.{b}' for b in bindings)])
    parts = roles.resolve_parts(seed=0)
    model = LinearWorldModel((2, 2, _STACK), num_actions=18)
    return roles.reanalyzed_targets(parts, stage, model, parts.target)(batch)

  def batch(self):
    """Every row was played by searches that saw a value of 7 everywhere."""
    batch = training_batches.random_unroll(
        [_ROWS], frame=(2, 2, 1), stack=_STACK, unroll_steps=_UNROLL,
        td_steps=_TD, num_actions=18)
    scalars = batch.scalars.numpy()
    scalars[..., SCALARS.index('root_value')] = 7.
    scalars[..., SCALARS.index('reward')] = 0.
    return batch._replace(scalars=tf.constant(scalars))

  @parameterized.parameters('data', 'teacher', 'finetune', 'scratch')
  def test_ratios_reach_the_stage(self, stage):
    batch = self.batch()
    stored = batch.search[:, _STACK - 1:][:, :_UNROLL + 1] / 8.
    fresh = self.targets(batch, stage)
    found = self.targets(batch, stage, 'policy_reanalyze_ratio = 0.75',
                         'value_reanalyze_ratio = 0.5')
    # One simulation visits one action; the stored searches made eight.
    self.assertAllClose(tf.reduce_max(fresh.policy, axis=-1),
                        np.ones([_ROWS, _UNROLL + 1]))
    self.assertAllClose(tf.reduce_max(found.policy[:3], axis=-1),
                        np.ones([3, _UNROLL + 1]))
    self.assertAllClose(found.policy[3], stored[3])
    self.assertAllClose(found.value[:2], fresh.value[:2])
    self.assertAllClose(found.value[2:],
                        np.full([2, _UNROLL + 1], 0.997**20 * 7.))
    self.assertNotAllClose(fresh.value[2:], found.value[2:])


if __name__ == '__main__':
  tf.test.main()
