"""Batches: quotas, what travels with a row, priorities, bounded waiting."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import Episode
from xtra_tf.errors import UnreachableError, UsageError
from xtra_tf.replay import (
  BoundedIterator,
  Composition,
  Extras,
  ReplayServer,
  ReplayWriter,
  TableSpec,
  WindowSpec,
  make_dataset,
  sanitize,
  update_priorities,
  update_priorities_from_host,
)

WINDOW = WindowSpec(stack=2, unroll_steps=2, td_steps=1,
                    observation_shape=(2, 2, 1), observation_dtype='uint8',
                    target_shape=(3,))
TABLES = ('Alien', 'tiny:catch', 'gym:A/B-v0')
ALPHA = 0.6
STEPS = (8, 5, 6)  # items of each table
MASKS = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 1]], bool)


def episode(steps, table):
  """`steps` real rows; frames tell the table, actions the step."""
  count = steps + 1
  real = np.arange(count) < steps
  zeros = np.zeros(count, np.float32)
  return Episode(
      number=table, writer=0, end='truncated',
      observation=np.full([count, 2, 2, 1], table, np.uint8),
      action=np.where(real, np.arange(count) % 3, 0).astype(np.int32),
      search=None, reward=zeros, raw_reward=zeros,
      terminal=np.zeros(count, bool), truncated=np.arange(count) == steps - 1,
      life_loss=np.zeros(count, bool), real=real, root_value=None,
      bootstrap_value=None, has_search=np.zeros(count, bool),
      env_step=10 * np.arange(count))


class DatasetTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.server = ReplayServer(
        [TableSpec(name, max_size=100, priority_exponent=alpha)
         for name, alpha in zip(TABLES, (ALPHA, 0., ALPHA))]
        + [TableSpec('empty', max_size=9)], WINDOW)
    for index, (name, steps) in enumerate(zip(TABLES, STEPS)):
      writer = ReplayWriter(cls.server.client(), name, WINDOW, lambda *_: 1.)
      writer.load(episode(steps, index))
      writer.close()

  @classmethod
  def tearDownClass(cls):
    cls.server.stop()
    super().tearDownClass()

  def dataset(self, quotas=(4, 2, 3), prefetch=1, masks=MASKS, **changes):
    self.env_steps = tf.Variable([1000, 2000, 3000], dtype=tf.int64)
    return make_dataset(
        self.server.address, TABLES, Composition(tuple(quotas)), WINDOW,
        Extras(masks, self.env_steps, **changes), prefetch=prefetch)

  def test_sizes(self):
    self.assertEqual(self.server.sizes(),
                     {**dict(zip(TABLES, STEPS)), 'empty': 0})

  @parameterized.named_parameters(
      ('all', (4, 2, 3)), ('one_left_out', (5, 0, 1)), ('last_only', (0, 0, 7)))
  def test_rows_are_the_quotas_in_table_order(self, quotas):
    data = self.dataset(quotas)
    expected = np.repeat(np.arange(3), quotas)
    for unroll, info in data.take(5):
      self.assertAllEqual(unroll.task, expected)
      self.assertAllEqual(info.task, expected)
      self.assertAllEqual(unroll.observation[:, 0, 0, 0, 0], expected)
      self.assertAllEqual(unroll.position[:, 0, 0], expected)
      self.assertAllEqual(unroll.legal_actions, MASKS[expected])
      self.assertAllEqual(unroll.measuring, np.zeros(len(expected), bool))
      self.assertAllEqual(unroll.offline_factor, np.ones(len(expected)))

  def test_shapes_are_static(self):
    unroll, info = self.dataset().element_spec
    self.assertEqual(unroll.observation.shape, (9, WINDOW.length, 2, 2, 1))
    self.assertEqual(unroll.search.shape, (9, WINDOW.length, 3))
    for spec in tf.nest.flatten((unroll, info)):
      self.assertTrue(spec.shape.is_fully_defined(), spec)
      self.assertEqual(spec.shape[0], 9)
    self.assertEqual(info.key.dtype, tf.uint64)

  def test_age_is_of_the_anchor(self):
    for unroll, _ in self.dataset().take(3):
      taken_at = 10 * unroll.position[:, WINDOW.anchor, 1].numpy()
      self.assertAllClose(
          unroll.age, np.array([1000, 2000, 3000])[unroll.task] - taken_at)

  def test_variables_are_read_when_a_batch_is_drawn(self):
    weights = tf.Variable([1., 1., 1.])
    measuring = tf.Variable(False)
    iterator = iter(self.dataset(
        task_weights=weights, measuring=measuring, prefetch=0))
    unroll, _ = next(iterator)
    self.assertAllEqual(unroll.offline_factor, np.ones(9))
    weights.assign([1., 0.25, 0.])
    measuring.assign(True)
    self.env_steps.assign([5000, 5000, 5000])
    unroll, _ = next(iterator)
    self.assertAllEqual(unroll.offline_factor, [1.] * 4 + [.25] * 2 + [0.] * 3)
    self.assertAllEqual(unroll.measuring, [True] * 9)
    self.assertAllGreater(unroll.age, 4000.)

  def test_a_batch_drawn_ahead_keeps_what_it_was_drawn_with(self):
    weights = tf.Variable([1., 1., 1.])
    iterator = iter(self.dataset(task_weights=weights, prefetch=1))
    next(iterator)
    weights.assign([0., 0., 0.])
    factors = [float(next(iterator)[0].offline_factor[0]) for _ in range(4)]
    self.assertEqual(factors[-2:], [0., 0.])

  def test_importance_weight_and_probability(self):
    quotas = (6, 6, 0)
    for unroll, info in self.dataset(quotas).take(2):
      size = np.array(STEPS)[unroll.task]
      self.assertAllClose(
          unroll.importance_weight, 1 / (size * info.probability.numpy()))
      uniform = unroll.task.numpy() == 1
      self.assertAllClose(unroll.importance_weight[uniform], np.ones(6))
      self.assertAllClose(info.probability[uniform], np.full(6, 1 / STEPS[1]))

  @parameterized.named_parameters(
      ('in_a_graph', 'graph'), ('eagerly', 'eager'), ('from_the_host', 'host'))
  def test_items_are_drawn_in_proportion_to_priorities(self, way):
    # Steps 0..5 of the third table get priorities 1..6.
    seen = set()
    for unroll, info in self.dataset((1, 0, 30)):
      priority = 1. + tf.cast(
          unroll.position[:, WINDOW.anchor, 1], tf.float32)
      if way == 'host':
        update_priorities_from_host(
            self.server.client(), TABLES, info, priority.numpy())
      else:
        def update(i, p):
          update_priorities(self.server.tf_client(), TABLES, i, p)
        (tf.function(update) if way == 'graph' else update)(info, priority)
      seen.update(unroll.position[1:, WINDOW.anchor, 1].numpy().tolist())
      if len(seen) == STEPS[2]:
        break
    expected = np.arange(1., 7.)**ALPHA
    expected /= expected.sum()
    counts, batches = np.zeros(6), 40
    for unroll, info in self.dataset((1, 0, 50)).take(batches):
      steps = unroll.position[1:, WINDOW.anchor, 1].numpy()
      np.add.at(counts, steps, 1)
      self.assertAllClose(info.probability[1:], expected[steps])
    # Five standard deviations of a share of 0.2 out of 2000 draws.
    self.assertAllClose(counts / counts.sum(), expected, atol=0.045)

  def test_bad_priorities_do_no_harm(self):
    quotas = (8, 0, 0)
    iterator = iter(self.dataset(quotas))
    bad = [np.nan, np.inf, -np.inf, -1., 0., 1e30, 3., -0.]
    for _ in range(10):
      _, info = next(iterator)
      update_priorities(self.server.tf_client(), TABLES, info,
                        tf.constant(bad, tf.float32))
    for _ in range(10):
      unroll, info = next(iterator)
      self.assertAllInRange(info.probability.numpy(), 0., 1.)
      self.assertAllEqual(np.isfinite(unroll.importance_weight), [True] * 8)
      update_priorities_from_host(
          self.server.client(), TABLES, info, np.ones(8))
    self.assertEqual(self.server.sizes()['Alien'], STEPS[0])

  def test_sanitize(self):
    found = sanitize(tf.constant(
        [np.nan, np.inf, -np.inf, -2., 0., .5, 1e6, 2e6], tf.float32))
    self.assertEqual(found.dtype, tf.float64)
    self.assertAllClose(
        found, [1e-6, 1e-6, 1e-6, 1e-6, 1e-6, .5, 1e6, 1e6], rtol=1e-12,
        atol=0)

  def test_items_that_are_gone_are_passed_over(self):
    _, info = next(iter(self.dataset((2, 0, 0))))
    gone = info._replace(key=info.key + tf.constant(12345, tf.uint64))
    update_priorities(self.server.tf_client(), TABLES, gone, tf.ones([2]))
    update_priorities_from_host(
        self.server.client(), TABLES, gone, np.ones(2))
    self.assertEqual(self.server.sizes()['Alien'], STEPS[0])

  def test_waiting_is_bounded_and_goes_on(self):
    data = make_dataset(
        self.server.address, ['empty'], Composition((2,)), WINDOW,
        Extras(MASKS[:1], tf.Variable([0], dtype=tf.int64)))
    batches = BoundedIterator(iter(data), self.server.address, 0.3)
    for _ in range(2):
      with self.assertRaisesRegex(
          UnreachableError, f'{self.server.address} sent no batch for 0.3 s'):
        next(batches)
    writer = ReplayWriter(self.server.client(), 'empty', WINDOW, lambda *_: 1.)
    writer.load(episode(3, 0))
    writer.close()
    patient = BoundedIterator(iter(data), self.server.address, 20.)
    self.assertEqual(next(patient)[0].action.shape, (2, WINDOW.length))
    self.server.client().reset('empty')

  def test_the_end_of_an_iterator_is_handed_on(self):
    batches = BoundedIterator(iter([1, 2]), 'somewhere', 5.)
    self.assertEqual(list(batches), [1, 2])

  @parameterized.named_parameters(
      ('too_few', (1, 2)), ('negative', (1, 2, -1)), ('all_zero', (0, 0, 0)))
  def test_quotas_that_do_not_fit(self, quotas):
    with self.assertRaisesRegex(UsageError, 'one number >= 0 per table'):
      self.dataset(quotas)

  def test_weights_for_a_task_without_a_table(self):
    for count in (2, 4):
      with self.assertRaisesRegex(
          UsageError, f'weights for {count} tasks and tables of 3'):
        self.dataset(task_weights=tf.Variable([1.] * count))

  def test_missing_table(self):
    with self.assertRaisesRegex(UsageError, "no table 'Alian'.*Alien"):
      make_dataset(self.server.address, ['Alian'], Composition((2,)), WINDOW,
                   Extras(MASKS[:1], tf.Variable([0])))
