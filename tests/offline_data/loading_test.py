"""From an episode log into a table."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import DataFileError, IncompatibleDataError, UsageError
from xtra_tf.offline_data import (
  LogStream,
  check_memory,
  estimate_bytes,
  load_log,
  loading,
)
from xtra_tf.replay import (
  Composition,
  Extras,
  ReplayServer,
  ReplayWriter,
  TableSpec,
  WindowSpec,
  make_dataset,
)
from xtra_tf.tasks import TaskSpec
from xtra_tf.types import SCALARS

WINDOW = WindowSpec(stack=2, unroll_steps=2, td_steps=2,
                    observation_shape=(3, 3, 1), observation_dtype='uint8',
                    target_shape=(2,))


def task(name):
  return TaskSpec(name=name, observation_shape=(3, 3, 1),
                  observation_dtype='uint8', num_actions=2,
                  legal_actions=(0, 1), action_names=('a', 'b'), stack=2)


def write_log(directory, name, games, bootstrap=None):
  """Games by letters (r real, l life loss, t terminal, 0 not real); with
  `bootstrap`, an overlay of that value."""
  overlay = bootstrap is not None
  writer = EpisodeLogWriter(
      directory, task(name), ('bootstrap_value',) if overlay else (),
      block_steps=4, overlay=overlay)
  for game in games:
    for step, kind in enumerate(game):
      real = kind in 'rlt'
      writer.append(StepRow(
          observation=None if overlay else np.full([3, 3, 1], step, np.uint8),
          action=step % 2 if real else 0, search=None, reward=1. * real,
          raw_reward=1., terminal=kind == 't', truncated=False,
          life_loss=kind == 'l', real=real, root_value=None,
          bootstrap_value=bootstrap, has_search=False, env_step=step))
    writer.end_episode('terminal' if game.endswith('t0') else 'cut')
  writer.close()
  return EpisodeLog(directory)


GAMES = ('rrrl0rrrrrt0', 'rt0', 'rrrr')


class LoadingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.server = ReplayServer(
        [TableSpec('tiny:a', 100), TableSpec('tiny:b', 4)], WINDOW)
    self.addCleanup(self.server.stop)

  def writer(self, name):
    return ReplayWriter(self.server.client(), name, WINDOW, lambda *_: 1.)

  def test_table_holds_every_real_step(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:a', GAMES)
    writer, seen = self.writer('tiny:a'), []
    summary = load_log(log, writer, seen.append)
    writer.close()
    self.assertEqual(summary[:3], (3, 15, 15))
    self.assertEqual(log.num_steps, 15)
    self.assertEqual(self.server.sizes(), {'tiny:a': 15, 'tiny:b': 0})
    self.assertEqual(seen, [10, 12, 15])

  def test_two_tasks_side_by_side(self):
    for name, games in (('tiny:a', GAMES), ('tiny:b', ('rrrrrrt0',))):
      log = write_log(self.create_tempdir().full_path, name, games)
      writer = self.writer(name)
      summary = load_log(log, writer)
      writer.close()
    self.assertEqual(summary[:3], (1, 7, 4))  # the oldest went
    self.assertEqual(self.server.sizes(), {'tiny:a': 15, 'tiny:b': 4})
    data = make_dataset(
        self.server.address, ['tiny:a', 'tiny:b'], Composition((3, 2)), WINDOW,
        Extras(np.ones([2, 2], bool), tf.Variable([9, 9], dtype=tf.int64)))
    for unroll, _ in data.take(10):
      self.assertAllEqual(unroll.task, [0, 0, 0, 1, 1])
      self.assertAllGreaterEqual(
          unroll.position[3:, WINDOW.anchor, 1], 3)

  def test_overlay_reaches_the_table(self):
    base = write_log(self.create_tempdir().full_path, 'tiny:a', ('rrrt0',))
    overlay = self.create_tempdir().full_path
    write_log(overlay, 'tiny:a', ('rrrt0',), bootstrap=2.5)
    writer = self.writer('tiny:a')
    load_log(base.with_overlay(overlay), writer)
    writer.close()
    unroll, _ = next(iter(make_dataset(
        self.server.address, ['tiny:a'], Composition((4,)), WINDOW,
        Extras(np.ones([1, 2], bool), tf.Variable([9], dtype=tf.int64)))))
    values = unroll.scalars[:, WINDOW.anchor, SCALARS.index('bootstrap_value')]
    self.assertAllEqual(values, [2.5] * 4)

  def test_another_task(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:a', GAMES)
    with self.assertRaisesRegex(IncompatibleDataError,
                                'task tiny:a, expected tiny:b'):
      load_log(log, self.writer('tiny:b'))

  def test_overlay_alone(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:a', GAMES, 1.)
    with self.assertRaisesRegex(IncompatibleDataError, 'an overlay'):
      load_log(log, self.writer('tiny:a'))

  def test_no_steps(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:a', ())
    self.assertEqual(estimate_bytes(log), 0)
    with self.assertRaisesRegex(DataFileError, 'holds no step'):
      load_log(log, self.writer('tiny:a'))

  def test_too_little_memory(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:a', GAMES)
    memory = mock.Mock(available=1000)
    with mock.patch.object(loading.psutil, 'virtual_memory',
                           return_value=memory):
      with self.assertRaisesRegex(UsageError, r'memory, found \d+ B'):
        load_log(log, self.writer('tiny:a'))

  def test_stream_goes_on_from_the_first_episode(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:b', GAMES)
    stream, seen = LogStream(log, self.writer('tiny:b')), []
    stream.advance(4, seen.append)  # whole episodes of 10, 2 and 3 steps
    self.assertEqual((stream.steps, stream.epoch, seen), (10, 0, [10]))
    stream.advance(10)
    self.assertEqual(stream.steps, 10)
    self.assertFalse(stream.new_epoch())
    stream.advance(16, seen.append)
    self.assertTrue(stream.new_epoch())
    self.assertFalse(stream.new_epoch())
    self.assertEqual((stream.steps, stream.epoch, seen),
                     (25, 1, [10, 12, 15, 25]))
    self.assertEqual(self.server.sizes(), {'tiny:a': 0, 'tiny:b': 4})

  @parameterized.product(steps=(1, 10, 11, 15, 16, 40, 45, 77), keep=(1, 4, 33))
  def test_stream_goes_on_as_if_it_had_not_stopped(self, steps, keep):
    log = write_log(self.create_tempdir().full_path, 'tiny:b', GAMES)

    def written(stream, seen):
      stream.advance(steps)
      return stream.steps, [step for number, count in seen
                            for step in [number] * count][-keep:]

    streams = []
    for _ in range(2):
      seen, writer = [], mock.Mock()
      writer.load = lambda episode, seen=seen: seen.append(
          (episode.number, int(episode.real.sum())))
      streams.append((LogStream(log, writer), seen))
    (whole, all_seen), (resumed, tail) = streams
    resumed.seek(steps, keep)
    self.assertEqual(written(whole, all_seen), written(resumed, tail))
    self.assertLessEqual(len(tail), len(all_seen))
    # No more than an episode that the table has no room for.
    self.assertLess(sum(count for _, count in tail[1:]), max(keep, 10) + 10)

  def test_memory_of_all_tables(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:a', GAMES)
    need = check_memory({'tiny:a': log, 'tiny:b': log}, 100)
    self.assertEqual(need.needed, 2 * estimate_bytes(log))
    self.assertEqual(str(need._replace(needed=3 * 2**29, available=2**34)),
                     'needs 1.5 GiB, has 16.0 GiB')

  def test_estimate_is_bounded_by_the_table(self):
    log = write_log(self.create_tempdir().full_path, 'tiny:a', GAMES)
    self.assertAllClose(estimate_bytes(log, 5), estimate_bytes(log) / 3,
                        atol=2)
    self.assertEqual(estimate_bytes(log, 1000), estimate_bytes(log))
