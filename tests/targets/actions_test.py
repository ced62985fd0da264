"""Targets of behaviour cloning against a loop over the rows."""

import numpy as np
import tensorflow as tf

from xtra_tf.targets import ActionTargets
from xtra_tf.testing.training_batches import random_unroll
from xtra_tf.types import SCALARS

_STACK, _ACTIONS = 3, 5


class ActionTargetsTest(tf.test.TestCase):

  def test_each_row_is_what_was_done_at_its_anchor(self):
    batch = random_unroll((4, 3), stack=_STACK, unroll_steps=2,
                          num_actions=_ACTIONS)
    scalars = batch.scalars.numpy()
    # Row 1 stands behind the last action; of row 2 only what follows does, and
    # its rewards, visits and searches do not matter.
    scalars[1, _STACK - 1:, SCALARS.index('real')] = 0.
    scalars[2, _STACK:, SCALARS.index('real')] = 0.
    scalars[2, :, SCALARS.index('has_search')] = 0.
    batch = batch._replace(scalars=tf.constant(scalars))
    make = ActionTargets(stack=_STACK, num_actions=_ACTIONS)
    expected = np.zeros([7, 1, _ACTIONS])
    for row in (0, 2, 3, 4, 5, 6):
      expected[row, 0, int(batch.action[row, _STACK - 1])] = 1.
    for targets in (make(batch), tf.function(make)(batch)):
      self.assertAllEqual(targets.policy, expected)
      self.assertAllEqual(targets.policy_mask[:, 0], [1, 0, 1, 1, 1, 1, 1])
      self.assertAllEqual(targets.value_mask, np.zeros([7, 1]))
      for field in ('value_prefix', 'value_prefix_mask', 'consistency_mask'):
        self.assertEqual(getattr(targets, field).shape, [7, 0])
      for tensor in targets:
        self.assertEqual(tensor.dtype, tf.float32)


if __name__ == '__main__':
  tf.test.main()
