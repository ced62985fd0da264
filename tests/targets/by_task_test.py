"""Targets by ranges of rows."""

from absl.testing import parameterized
import tensorflow as tf

from xtra_tf.targets import StoredTargets, TargetsByRows
from xtra_tf.testing.training_batches import random_unroll

_SIZES = {'stack': 2, 'unroll_steps': 3, 'td_steps': 2}


def stored(discount):
  return StoredTargets(discount=discount, **_SIZES)


def refuse(unroll):
  raise AssertionError('A range without rows was asked for targets.')


class TargetsByRowsTest(tf.test.TestCase, parameterized.TestCase):

  def test_each_range_has_its_own_targets_in_order(self):
    batch = random_unroll([2, 1, 3], **_SIZES)
    joined = TargetsByRows([(0, 2, stored(0.5)), (2, 6, stored(0.9))])
    for eager, traced in zip(joined(batch),
                             tf.function(joined, autograph=False)(batch)):
      self.assertAllClose(eager, traced)
    for name, found in joined(batch)._asdict().items():
      first = getattr(stored(0.5)(batch), name)
      second = getattr(stored(0.9)(batch), name)
      self.assertAllClose(found, tf.concat([first[:2], second[2:]], axis=0))
    self.assertNotAllClose(joined(batch).value, stored(0.5)(batch).value)

  def test_ranges_without_rows_are_left_out(self):
    batch = random_unroll([2], **_SIZES)
    joined = TargetsByRows([(0, 2, stored(0.5)), (2, 2, refuse)])
    self.assertAllClose(joined(batch).value, stored(0.5)(batch).value)

  @parameterized.named_parameters(
      ('gap', [(0, 2), (3, 4)]), ('overlap', [(0, 2), (1, 4)]),
      ('late_start', [(1, 2)]), ('backwards', [(0, 2), (2, 1)]),
      ('nothing', []), ('no_rows', [(0, 0)]))
  def test_refuses_ranges_that_do_not_cover(self, ranges):
    with self.assertRaisesRegex(ValueError, 'follow one another from 0 on'):
      TargetsByRows([(start, stop, refuse) for start, stop in ranges])

  def test_refuses_another_batch_size(self):
    joined = TargetsByRows([(0, 3, stored(0.5))])
    with self.assertRaisesRegex(ValueError, 'cover 3 rows, got a batch of 2'):
      joined(random_unroll([2], **_SIZES))


if __name__ == '__main__':
  tf.test.main()
