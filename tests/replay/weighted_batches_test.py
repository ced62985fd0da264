"""Batches whose offline tables share their rows in proportion to weights."""

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
STEPS = (12, 20, 21, 22)  # items of each table
QUOTAS = (5, 5, 4, 4)  # 13 rows do not divide by 3
WEIGHTED = (1, 2, 3)
KINDS = (('reverb', ReverbTables), ('indexed', IndexedTables))


class DivideTest(parameterized.TestCase):

  @parameterized.parameters(
      ((1., 1., 1., 1.),), ((1., 0.5, 0.1, 0.9),), ((1., 0., 0.02, 0.),))
  def test_the_expected_factors_are_the_weights(self, weights):
    """A twin: what the loss form would have, by the mean over many draws."""
    composition = Composition(QUOTAS, weighted=WEIGHTED, seed=3)
    draws = [composition.divide(batch, np.array(weights, np.float32), False)
             for batch in range(4000)]
    rows = np.array([draw[0] for draw in draws])
    factors = np.array([draw[1] for draw in draws])
    np.testing.assert_array_equal(rows.sum(axis=1), sum(QUOTAS))
    np.testing.assert_array_equal(rows[:, 0], QUOTAS[0])
    np.testing.assert_array_equal(factors[:, 0], 1.)
    np.testing.assert_allclose(factors.mean(axis=0), weights, atol=0.03)
    # The offline part of the loss is a mean over rows times mean(w).
    np.testing.assert_allclose(factors[:, 1:].sum(axis=1), sum(weights[1:]),
                               rtol=1e-5)
    chances = np.array(weights[1:]) / sum(weights[1:])
    np.testing.assert_allclose(
        rows[:, 1:].mean(axis=0), 13 * chances, atol=0.2)

  @parameterized.parameters(
      ((1., 0.5, 0.25, 0.), True), ((1., 0., 0., 0.), False))
  def test_measuring_and_no_weight_at_all_have_the_quotas(
      self, weights, measuring):
    rows, factor = Composition(QUOTAS, weighted=WEIGHTED).divide(
        7, np.array(weights, np.float32), measuring)
    np.testing.assert_array_equal(rows, QUOTAS)
    np.testing.assert_allclose(factor, weights)

  def test_without_weighted_tables_nothing_is_drawn(self):
    weights = np.array([1., 0.5, 0.25, 0.], np.float32)
    rows, factor = Composition(QUOTAS).divide(0, weights, False)
    np.testing.assert_array_equal(rows, QUOTAS)
    np.testing.assert_allclose(factor, weights)

  def test_a_division_follows_from_seed_and_number(self):
    weights = np.array([1., 0.5, 0.25, 1.], np.float32)
    draws = [[Composition(QUOTAS, weighted=WEIGHTED, seed=seed).divide(
        batch, weights, False)[0].tolist() for batch in range(20)]
             for seed in (3, 3, 4)]
    self.assertEqual(draws[0], draws[1])
    self.assertNotEqual(draws[0], draws[2])

  def test_most_rows(self):
    self.assertEqual(
        Composition(QUOTAS, weighted=WEIGHTED).most_rows(), (5, 13, 13, 13))
    self.assertEqual(Composition(QUOTAS).most_rows(), QUOTAS)

  @parameterized.named_parameters(
      ('none', (5, 5, 0, 4), WEIGHTED, ()), ('gap', QUOTAS, (1, 3), ()),
      ('drawn_too', (5, 4, 4, 4), WEIGHTED, WEIGHTED))
  def test_refused(self, quotas, weighted, mixed):
    with self.assertRaisesRegex(UsageError, 'share rows by weight'):
      Composition(quotas, mixed, weighted=weighted).check(TABLES)


class TablesTest(parameterized.TestCase, tf.test.TestCase):

  def _data(self, kind, first=0, **options):
    tables = kind([TableSpec(name, max_size=100) for name in TABLES], WINDOW,
                  **options)
    self.addCleanup(tables.stop)
    for index, (name, steps) in enumerate(zip(TABLES, STEPS)):
      writer = tables.writer(name, lambda *_: 1.)
      writer.load(make_episode('r' * (steps - 1) + 't0', number=index))
      writer.close()
    self.weights = tf.Variable([1., 0.9, 0.1, 0.])
    self.measuring = tf.Variable(False)
    data = tables.dataset(
        Composition(QUOTAS, weighted=WEIGHTED, seed=1),
        Extras(np.ones([4, 4], bool), tf.Variable([900] * 4, dtype=tf.int64),
               self.weights, self.measuring), first)
    for spec in tf.nest.flatten(data.element_spec):
      self.assertTrue(spec.shape.is_fully_defined(), spec)
      self.assertEqual(spec.shape[0], sum(QUOTAS))
    return data

  @parameterized.named_parameters(*KINDS)
  def test_rows_follow_the_weights(self, kind):
    counts = np.zeros([4])
    for unroll, info in self._data(kind).take(40):
      task = unroll.task.numpy()
      self.assertAllEqual(task, np.sort(task))
      self.assertAllEqual(unroll.position[:, WINDOW.anchor, 0], task)
      self.assertAllEqual(info.task, task)
      size = np.array(STEPS)[task]
      self.assertAllClose(info.probability, 1. / size)
      rows = np.bincount(task, minlength=4)
      self.assertEqual(rows[0], 5)
      factor = np.array([1., *(1. / 13 * rows[1:])])  # mean(w) is 1 / 3
      self.assertAllClose(unroll.offline_factor, factor[task])
      self.assertAllEqual(unroll.measuring, np.zeros(18, bool))
      counts += rows
    self.assertEqual(counts[3], 0)
    self.assertAllClose(counts[1:3] / 40, [11.7, 1.3], atol=0.8)

  @parameterized.named_parameters(*KINDS)
  def test_a_window_opens_and_closes(self, kind):
    """Batches are of one kind or the other, never half of each."""
    iterator = iter(self._data(kind))
    seen = []
    for opened in (False, True, False):
      self.measuring.assign(opened)
      for _ in range(6):
        unroll, _ = next(iterator)
        rows = np.bincount(unroll.task, minlength=4)
        measured = bool(unroll.measuring[0])
        self.assertAllEqual(unroll.measuring, [measured] * 18)
        if measured:  # the task of weight 0 too
          self.assertAllEqual(rows, QUOTAS)
          self.assertAllClose(unroll.offline_factor, np.repeat(
              self.weights.numpy(), QUOTAS))
        else:
          self.assertEqual(rows[3], 0)
        seen.append(measured)
    self.assertEqual([seen[5], seen[11], seen[17]], [False, True, False])

  @parameterized.named_parameters(*KINDS)
  def test_weights_of_zero_leave_the_batch_whole(self, kind):
    iterator = iter(self._data(kind))
    self.weights.assign([1., 0., 0., 0.])
    for _ in range(4):  # some were drawn before
      unroll, _ = next(iterator)
    self.assertAllEqual(np.bincount(unroll.task), QUOTAS)
    self.assertAllEqual(unroll.offline_factor, [1.] * 5 + [0.] * 13)
    self.weights.assign([1., 0., 0., 1.])
    for _ in range(4):
      unroll, _ = next(iterator)
    self.assertAllEqual(np.bincount(unroll.task), [5, 0, 0, 13])
    self.assertAllClose(unroll.offline_factor, [1.] * 18)

  def test_indexed_batches_follow_from_the_seed(self):
    runs = []
    for first, count in ((0, 6), (0, 6), (3, 3)):
      data = self._data(IndexedTables, first, seed=5, prefetch=0)
      runs.append([info.key.numpy().tolist() for _, info in data.take(count)])
    self.assertEqual(runs[0], runs[1])
    self.assertEqual(runs[0][3:], runs[2])  # a run that is gone on with


if __name__ == '__main__':
  tf.test.main()
