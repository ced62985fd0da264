"""Indexed tables: the windows of Reverb's, drawn without replacement."""

import gc
import threading

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from tests.replay.writer_test import WINDOW, make_episode, windows_by_hand
from xtra_tf.errors import UsageError
from xtra_tf.replay import IndexedTable, IndexedWriter, TableSpec, WindowSpec

ALPHA = 0.6


def table_of(*episodes, max_size=1000, window=WINDOW, alpha=ALPHA, **options):
  table = IndexedTable(
      TableSpec('tiny:one', max_size=max_size, priority_exponent=alpha), window)
  writer = IndexedWriter(table, lambda *_: 1., **options)
  for episode in episodes:
    writer.load(episode)
  writer.close()
  return table


def by_position(sample):
  """{(episode, step) of the anchor: {column: window}}."""
  anchors = sample.data['position'][:, WINDOW.anchor, :2]
  return {tuple(anchor): {c: rows[i] for c, rows in sample.data.items()}
          for i, anchor in enumerate(anchors.tolist())}


class IndexedTableTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      'rrrrrrrl0rrrrrrrrl0rrrrrrrrrt0', 'rt0', 'u0', 'l0l0rrt0')
  def test_windows_are_those_cut_by_hand(self, kinds):
    episode = make_episode(kinds, number=2**33)
    table = table_of(episode)
    expected = windows_by_hand(episode, WINDOW)
    self.assertEqual(table.size, len(expected))
    found = by_position(table.sample(table.size, [0]))
    self.assertLen(found, len(expected))
    for window in expected:
      mine = found[tuple(window['position'][WINDOW.anchor, :2].tolist())]
      self.assertEqual(sorted(mine), sorted(window))
      for column, rows in window.items():
        np.testing.assert_array_equal(mine[column], rows, column)

  def test_large_frames_are_compressed_without_loss(self):
    window = WindowSpec(stack=3, unroll_steps=2, td_steps=2,
                        observation_shape=(32, 32, 3),
                        observation_dtype='uint8', target_shape=(4,))
    episode = make_episode('rrrrrrrrrrt0')
    random = np.random.default_rng(0)
    frames = np.repeat(random.integers(0, 256, [12, 1, 1, 3]), 1024, axis=1)
    episode = episode._replace(
        observation=frames.reshape([12, 32, 32, 3]).astype(np.uint8))
    table = table_of(episode, window=window)
    sample = table.sample(10, [1])
    steps = sample.data['position'][:, :, 1]
    np.testing.assert_array_equal(
        sample.data['observation'], episode.observation[steps])
    stored = {id(row.observation): len(row.observation)
              for item in table._items for row in item}  # pylint: disable=protected-access
    # Each frame once, padding included, and small.
    self.assertLen(stored, 12)
    self.assertLess(sum(stored.values()), 12 * 32 * 32)

  def test_vectors(self):
    window = WindowSpec(stack=1, unroll_steps=1, td_steps=1,
                        observation_shape=(3,), observation_dtype='float32',
                        target_shape=(4,))
    frames = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)
    episode = make_episode('rrt0')._replace(observation=frames)
    sample = table_of(episode, window=window).sample(3, [1])
    np.testing.assert_array_equal(
        sample.data['observation'], frames[sample.data['position'][:, :, 1]])
    for column, spec in window.signature().items():
      self.assertEqual(sample.data[column].dtype, spec.dtype.as_numpy_dtype)
      self.assertEqual(sample.data[column].shape, (3, *spec.shape))

  def test_no_item_twice_and_all_are_reached(self):
    table = table_of(make_episode('r' * 40 + 't0'))
    seen = set()
    for batch in range(10):
      keys = table.sample(20, [0, batch]).key
      self.assertLen(set(keys.tolist()), 20)
      seen |= set(keys.tolist())
    self.assertEqual(seen, set(range(41)))

  def test_priorities_decide_and_probabilities_say_so(self):
    table = table_of(make_episode('rrrrrt0'))
    priority = np.arange(1., 7.)
    table.update_priorities(np.arange(6, dtype=np.uint64), priority)
    expected = priority**ALPHA / (priority**ALPHA).sum()
    counts, draws = np.zeros(6), 3000
    for batch in range(draws):
      sample = table.sample(1, [5, batch])
      key = int(sample.key[0])
      counts[key] += 1
      self.assertAllClose(sample.probability, [expected[key]], rtol=1e-12)
      self.assertAllEqual(sample.table_size, [6])
    self.assertAllClose(counts / draws, expected, atol=0.045)

  def test_a_batch_follows_from_seed_and_priorities(self):
    episodes = [make_episode('r' * 30 + 't0', number=n) for n in range(3)]
    first, again = table_of(*episodes), table_of(*episodes)
    for batch in range(5):
      one, other = (t.sample(16, [7, batch]) for t in (first, again))
      tf.nest.map_structure(np.testing.assert_array_equal, one, other)
      for table in (first, again):
        table.update_priorities(one.key, 1. + one.key % 5)
    self.assertNotAllEqual(first.sample(16, [8, 0]).key,
                           first.sample(16, [7, 0]).key)

  def test_the_oldest_items_go_and_so_do_their_frames(self):
    episodes = [make_episode('r' * 20 + 't0', number=n, seed=n)
                for n in range(50)]
    table = table_of(*episodes, max_size=30)
    self.assertEqual(table.size, 30)
    sample = table.sample(30, [0])
    newest = 50 * 21
    self.assertEqual(set(sample.key.tolist()),
                     set(range(newest - 30, newest)))
    # Items keep their numbers: the newest one is the last step of all.
    last = int(np.argmax(sample.key))
    self.assertAllEqual(
        sample.data['position'][last, WINDOW.anchor, :2], [49, 20])
    gc.collect()
    rows = {id(row) for item in table._items for row in item}  # pylint: disable=protected-access
    self.assertLess(len(rows), 30 + 3 * WINDOW.length)

  def test_priorities_of_items_that_are_gone_are_passed_over(self):
    table = table_of(make_episode('r' * 20 + 't0'), max_size=8)
    before = table.sample(8, [1]).probability
    table.update_priorities(np.array([0, 12, 21, 10**9], np.uint64),
                            np.full(4, 100.))
    self.assertAllEqual(table.sample(8, [1]).probability, before)
    table.update_priorities(np.array([13], np.uint64), np.array([100.]))
    self.assertNotAllEqual(table.sample(8, [1]).probability, before)

  def test_bad_priorities_do_no_harm(self):
    table = table_of(make_episode('r' * 7 + 't0'))
    table.update_priorities(
        np.arange(8, dtype=np.uint64),
        np.array([np.nan, np.inf, -np.inf, -1., 0., 1e30, 3., -0.]))
    sample = table.sample(8, [0])
    self.assertAllEqual(np.sort(sample.key), np.arange(8))
    self.assertAllGreater(sample.probability, 0.)

  def test_exponent_zero_is_uniform(self):
    table = table_of(make_episode('r' * 7 + 't0'), alpha=0.)
    table.update_priorities(np.array([3], np.uint64), np.array([99.]))
    self.assertAllClose(table.sample(8, [0]).probability, np.full(8, 1 / 8))

  def test_too_few_items(self):
    with self.assertRaisesRegex(
        UsageError, r'9 windows of tiny:one .* holds 8\. .*with_replacement'):
      table_of(make_episode('r' * 7 + 't0')).sample(9, [0])

  def test_blocks_are_marked_as_in_a_reverb_table(self):
    table = table_of(make_episode('r' * 9 + 't0'), block_length=4)
    sample = table.sample(10, [0])
    anchors = sample.data['position'][:, WINDOW.anchor, 1]
    truncated = sample.data['scalars'][:, WINDOW.anchor, 2]
    self.assertAllEqual(truncated == 1., np.isin(anchors, [3, 7]))

  def test_writing_and_drawing_at_once(self):
    table = table_of(make_episode('r' * 50 + 't0'), max_size=60)
    writer = IndexedWriter(table, lambda *_: 2.)

    def write():
      for number in range(30):
        writer.load(make_episode('r' * 20 + 't0', number=number))
    thread = threading.Thread(target=write)
    thread.start()
    batch = 0
    while thread.is_alive() or batch < 20:
      sample = table.sample(30, [batch])
      self.assertLen(set(sample.key.tolist()), 30)
      table.update_priorities(sample.key, np.full(30, 1. + batch % 3))
      batch += 1
    thread.join()
    self.assertEqual(table.size, 60)


if __name__ == '__main__':
  tf.test.main()
