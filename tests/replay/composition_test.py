"""What a batch is made of: one sub-batch of each task, or drawn ones."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from tests.replay.writer_test import WINDOW, make_episode
from xtra_tf.errors import UsageError
from xtra_tf.replay import (
  Composition,
  Extras,
  IndexedTables,
  ReverbTables,
  TableSpec,
)

TABLES = ('target', 'one', 'two', 'three')
STEPS = (12, 8, 9, 10)  # items of each table
QUOTAS = (5, 4, 4, 4)
MIXED = (1, 2, 3)
KINDS = (('reverb', ReverbTables), ('indexed', IndexedTables))


class CompositionTest(parameterized.TestCase):

  def test_every_table_has_its_own_sub_batch(self):
    for batch in range(5):
      np.testing.assert_array_equal(
          Composition(QUOTAS).draw(batch), [0, 1, 2, 3])

  def test_mixed_sub_batches_are_drawn_uniformly(self):
    composition = Composition(QUOTAS, MIXED, seed=3)
    drawn = np.array([composition.draw(batch) for batch in range(3000)])
    np.testing.assert_array_equal(drawn[:, 0], 0)
    for place in MIXED:
      shares = np.bincount(drawn[:, place], minlength=4)[1:] / 3000
      np.testing.assert_allclose(shares, 1 / 3, atol=0.045)  # 5 deviations
    # Some batches lack a task: 1 - 6/27 of them.
    complete = np.mean([len(set(row)) == 4 for row in drawn.tolist()])
    self.assertAlmostEqual(complete, 6 / 27, delta=0.04)

  def test_a_draw_follows_from_seed_and_number(self):
    first, again, other = (Composition(QUOTAS, MIXED, seed)
                           for seed in (3, 3, 4))
    draws = [[c.draw(b).tolist() for b in range(20)]
             for c in (first, again, other)]
    self.assertEqual(draws[0], draws[1])
    self.assertNotEqual(draws[0], draws[2])

  @parameterized.named_parameters(
      ('unequal', (5, 4, 3, 4), MIXED), ('none', (5, 0, 0, 0), MIXED),
      ('first', QUOTAS, (0, 1)), ('gap', (4, 4, 4, 4), (1, 3)))
  def test_refused(self, quotas, mixed):
    with self.assertRaisesRegex(UsageError, 'expected equal quotas above 0'):
      Composition(quotas, mixed).check(TABLES)


class TablesTest(parameterized.TestCase, tf.test.TestCase):

  def _batches(self, kind, count, mixed=MIXED, first=0, weights=None,
               **options):
    tables = kind([TableSpec(name, max_size=100) for name in TABLES], WINDOW,
                  **options)
    self.addCleanup(tables.stop)
    self.tables = tables
    for index, (name, steps) in enumerate(zip(TABLES, STEPS)):
      writer = tables.writer(name, lambda *_: 1.)
      writer.load(make_episode('r' * (steps - 1) + 't0', number=index))
      writer.close()
    self.assertEqual(tables.sizes(), dict(zip(TABLES, STEPS)))
    data = tables.dataset(
        Composition(QUOTAS, mixed, seed=1),
        Extras(np.ones([4, 4], bool), tf.Variable([900] * 4, dtype=tf.int64),
               task_weights=weights), first)
    for spec in tf.nest.flatten(data.element_spec):
      self.assertTrue(spec.shape.is_fully_defined(), spec)
      self.assertEqual(spec.shape[0], sum(QUOTAS))
    return list(data.take(count))

  @parameterized.named_parameters(*KINDS)
  def test_one_of_each(self, kind):
    expected = np.repeat(np.arange(4), QUOTAS)
    for unroll, info in self._batches(kind, 4, mixed=()):
      self.assertAllEqual(unroll.task, expected)
      self.assertAllEqual(info.task, expected)
      self.assertAllEqual(unroll.position[:, WINDOW.anchor, 0], expected)
      self.assertAllEqual(unroll.offline_factor, np.ones(sum(QUOTAS)))
      size = np.array(STEPS)[expected]
      self.assertAllClose(info.probability, 1. / size)
      self.assertAllClose(unroll.importance_weight, np.ones(sum(QUOTAS)))
      self.assertAllEqual(
          unroll.age, 900 - unroll.position[:, WINDOW.anchor, 2])

  @parameterized.named_parameters(*KINDS)
  def test_drawn_tasks(self, kind):
    weights = tf.Variable([1., 0.5, 0.25, 0.])
    compositions = set()
    for unroll, info in self._batches(kind, 30, weights=weights):
      task = unroll.task.numpy()
      self.assertAllEqual(task[:5], np.zeros(5))
      drawn = task[5:].reshape([3, 4])
      self.assertAllEqual(drawn, np.repeat(drawn[:, :1], 4, axis=1))
      self.assertAllInSet(drawn, MIXED)
      self.assertAllEqual(unroll.position[:, WINDOW.anchor, 0], task)
      self.assertAllEqual(info.task, task)
      compositions.add(tuple(drawn[:, 0].tolist()))
      # The mean over the task's rows times this is the sum over its rows.
      count = np.bincount(task, minlength=4) / 4
      count[0] = 1
      self.assertAllClose(
          unroll.offline_factor, (weights.numpy() * count)[task])
    self.assertGreater(len(compositions), 8)

  def test_indexed_sub_batches_hold_nothing_twice(self):
    for unroll, info in self._batches(IndexedTables, 20):
      del unroll
      for rows in np.split(info.key.numpy(), np.cumsum(QUOTAS)[:-1]):
        self.assertLen(set(rows.tolist()), len(rows))

  def test_reverb_draws_with_replacement(self):
    repeated = 0
    for _, info in self._batches(ReverbTables, 20, mixed=()):
      for rows in np.split(info.key.numpy(), np.cumsum(QUOTAS)[:-1]):
        repeated += len(set(rows.tolist())) < len(rows)
    self.assertGreater(repeated, 10)

  def test_indexed_batches_follow_from_the_seed(self):
    runs = [self._batches(IndexedTables, count, first=first, seed=seed,
                          prefetch=prefetch)
            for count, first, seed, prefetch in (
                (6, 0, 5, 0), (6, 0, 5, 1), (3, 3, 5, 0), (6, 0, 6, 0))]
    keys = [[info.key.numpy().tolist() for _, info in run] for run in runs]
    self.assertEqual(keys[0], keys[1])
    self.assertEqual(keys[0][3:], keys[2])  # a run that is gone on with
    self.assertNotEqual(keys[0], keys[3])

  @parameterized.named_parameters(*KINDS)
  def test_priorities_come_back(self, kind):
    [(_, info)] = self._batches(kind, 1, mixed=())
    update = tf.function(self.tables.update_priorities, autograph=False)
    update(info, tf.fill([sum(QUOTAS)], 1e5))
    data = self.tables.dataset(
        Composition(QUOTAS), Extras(
            np.ones([4, 4], bool), tf.Variable([0] * 4, dtype=tf.int64)),
        7)
    favoured = {(int(t), int(k)) for t, k in zip(info.task, info.key)}
    _, later = next(iter(data))
    again = [(int(t), int(k)) in favoured
             for t, k in zip(later.task, later.key)]
    self.assertGreater(np.mean(again), 0.8)

  def test_least_items(self):
    specs = [TableSpec('a', max_size=9, min_size=3)]
    indexed, reverb = IndexedTables(specs, WINDOW), ReverbTables(specs, WINDOW)
    self.addCleanup(reverb.stop)
    self.assertEqual(indexed.least_items('a', 5), 5)
    self.assertEqual(indexed.least_items('a', 2), 3)
    self.assertEqual(reverb.least_items('a', 5), 3)
    writer = indexed.writer('a', lambda *_: 1.)
    writer.load(make_episode('rrrt0'))
    indexed.check_serves('a', 4)
    with self.assertRaisesRegex(
        UsageError, '5 windows of a, whose table holds 4. Expected at least 5'):
      indexed.check_serves('a', 5)


if __name__ == '__main__':
  tf.test.main()
