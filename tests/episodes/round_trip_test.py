"""What is written to an episode log is read back, bit for bit."""

import dataclasses
import errno
import os
from unittest import mock

from absl.testing import parameterized
import numpy as np

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import (
  IncompatibleDataError,
  StorageError,
  UsageError,
)
from xtra_tf.tasks import TaskSpec

TASK = TaskSpec(name='tiny:fake', observation_shape=(6, 5, 2),
                observation_dtype='uint8', num_actions=4,
                legal_actions=(0, 1, 3), action_names=('N', 'L', 'U', 'R'))
VECTOR_TASK = TaskSpec(name='gym:Fake-v0', observation_shape=(3,),
                       observation_dtype='float32', num_actions=2,
                       legal_actions=(0, 1), action_names=('a', 'b'))
# All columns that a log may have.
COLUMNS = ('search', 'root_value', 'bootstrap_value')


def make_rows(kinds, task=TASK, seed=0, env_step=0):
  """Random rows. `kinds` has a letter per row: r real, l life loss, t terminal,
  u truncated (all real), 0 not real, T a no-op that ends the game."""
  random = np.random.default_rng(seed)
  rows = []
  for kind in kinds:
    real = kind in 'rltu'
    if task.observation_dtype == 'uint8':
      observation = random.integers(0, 256, task.observation_shape, np.uint8)
    else:
      observation = random.normal(size=task.observation_shape
                                  ).astype(np.float32)
    raw = float(random.integers(-50, 50))
    rows.append(StepRow(
        observation=observation,
        action=int(random.choice(task.legal_actions)) if real else 0,
        search=random.integers(0, 9, task.num_actions).astype(np.float32),
        reward=float(np.sign(raw)) if real else 0.0, raw_reward=raw,
        terminal=kind in 'tT', truncated=kind == 'u', life_loss=kind == 'l',
        real=real, root_value=float(np.float32(random.normal())),
        bootstrap_value=float(np.float32(random.normal())),
        has_search=real, env_step=env_step))
    env_step += real
  return rows


def write_episode(writer, rows, end):
  for row in rows:
    writer.append(row)
  writer.end_episode(end)


class RoundTripTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = self.create_tempdir().full_path

  def assert_rows_equal(self, episode, rows):
    self.assertLen(episode.real, len(rows))
    for index, row in enumerate(rows):
      for name in StepRow._fields:
        stored = getattr(episode, name)
        self.assertIsNotNone(stored, name)
        np.testing.assert_array_equal(
            stored[index], getattr(row, name), f'{name} of row {index}')

  @parameterized.named_parameters(
      ('frames_one_block', TASK, 200), ('frames_many_blocks', TASK, 3),
      ('end_on_block_border', TASK, 4), ('a_row_a_block', TASK, 1),
      ('vectors', VECTOR_TASK, 5))
  def test_bit_exact(self, task, block_steps):
    games = [('terminal', 'rrl0rrrt0'), ('terminal', 'rt0'),
             ('truncated', 'rru0'), ('terminal', 'rl0rlT')]
    writer = EpisodeLogWriter(self.directory, task, COLUMNS, writer=3,
                              block_steps=block_steps)
    written, env_step = [], 0
    for seed, (end, kinds) in enumerate(games):
      rows = make_rows(kinds, task, seed, env_step)
      env_step += sum(row.real for row in rows)
      self.assertEqual(writer.next_episode, 3 * 2**32 + seed)
      write_episode(writer, rows, end)
      written.append((end, rows))
    self.assertEqual(writer.env_steps, env_step)
    writer.close()
    log = EpisodeLog(self.directory, expected_task=task)
    episodes = list(log.episodes())
    self.assertLen(episodes, len(games))
    for count, (episode, (end, rows)) in enumerate(zip(episodes, written)):
      self.assertEqual(episode.number, 3 * 2**32 + count)
      self.assertEqual((episode.writer, episode.end), (3, end))
      self.assert_rows_equal(episode, rows)
    self.assertEqual(episodes[0].observation.dtype, task.observation_dtype)
    self.assertEqual(log.num_steps, env_step)
    self.assertEqual(log.env_steps, env_step)
    self.assertEqual(log.num_rows, sum(len(rows) for _, rows in written))
    self.assertEqual(log.num_episodes, len(games))
    np.testing.assert_allclose(
        log.returns(), [sum(r.raw_reward for r in rows) for _, rows in written])
    self.assertEqual([e.number for e in log.episodes(start=2)],
                     [e.number for e in episodes[2:]])
    log.verify()

  def test_flush_commits_the_rows_of_an_open_episode(self):
    rows = make_rows('rrrrrt0')
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS)
    for row in rows[:3]:
      writer.append(row)
    self.assertEqual(writer.env_steps, 0)
    writer.flush()
    writer.flush()  # nothing is left to commit
    self.assertEqual(writer.env_steps, 3)
    [open_episode] = EpisodeLog(self.directory).episodes()
    self.assertEqual(open_episode.end, 'cut')
    self.assertLen(open_episode.real, 3)
    write_episode(writer, rows[3:], 'terminal')
    writer.close()
    [episode] = EpisodeLog(self.directory).episodes()
    self.assertEqual(episode.end, 'terminal')
    self.assert_rows_equal(episode, rows)

  def test_any_tfrecord_reader_can_read_a_shard(self):
    import tensorflow as tf
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS, block_steps=2)
    rows = make_rows('rrrt0')
    write_episode(writer, rows, 'terminal')
    writer.close()
    records = list(tf.data.TFRecordDataset(
        os.path.join(self.directory, '0', 'shard-00000.tfrecord')))
    examples = [tf.train.Example.FromString(r.numpy()) for r in records]
    self.assertEqual(
        [e.features.feature['rows'].int64_list.value[0] for e in examples],
        [2, 2, 1])

  def test_frames_are_compressed(self):
    task = TaskSpec(name='tiny:still', observation_shape=(96, 96, 3),
                    observation_dtype='uint8', num_actions=4,
                    legal_actions=(0, 1), action_names=('N', 'L', 'U', 'R'))
    frame = np.zeros(task.observation_shape, np.uint8)
    frame[40:60, 20:30] = 200
    rows = [r._replace(observation=frame) for r in make_rows('r' * 199 + '0')]
    writer = EpisodeLogWriter(self.directory, task, ())
    write_episode(writer, rows, 'cut')
    writer.close()
    log = EpisodeLog(self.directory)
    self.assertLess(log.stored_bytes, 200 * frame.nbytes / 20)
    np.testing.assert_array_equal(next(log.episodes()).observation[7], frame)

  def test_absent_columns_are_none(self):
    writer = EpisodeLogWriter(self.directory, TASK, ('root_value',))
    rows = make_rows('rrt0')
    write_episode(writer, rows, 'terminal')
    writer.close()
    log = EpisodeLog(self.directory)
    episode = next(log.episodes())
    self.assertEqual(log.columns, ('root_value',))
    self.assertIsNone(episode.search)
    self.assertIsNone(episode.bootstrap_value)
    self.assertIsNone(episode.row(1).search)
    self.assertEqual(episode.row(1).root_value, rows[1].root_value)

  def test_declared_column_must_be_given(self):
    writer = EpisodeLogWriter(self.directory, TASK, ('search',))
    row = make_rows('r')[0]._replace(search=None)
    with self.assertRaisesRegex(ValueError, 'column search was declared'):
      writer.append(row)

  def test_unknown_column(self):
    with self.assertRaisesRegex(UsageError, "'visits'.*some of search"):
      EpisodeLogWriter(self.directory, TASK, ('visits',))

  def test_caller_may_reuse_a_frame(self):
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS)
    rows = make_rows('rt0')
    buffer = np.empty(TASK.observation_shape, np.uint8)
    for row in rows:
      buffer[:] = row.observation
      writer.append(row._replace(observation=buffer))
    writer.end_episode('terminal')
    writer.close()
    self.assert_rows_equal(next(EpisodeLog(self.directory).episodes()), rows)

  @parameterized.named_parameters(
      ('in_a_block', 200), ('on_a_border', 3), ('before_a_border', 4))
  def test_cut_makes_the_last_row_the_final_observation(self, block_steps):
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS,
                              block_steps=block_steps)
    rows = make_rows('rrr')
    write_episode(writer, rows, 'cut')
    writer.close()
    log = EpisodeLog(self.directory)
    final = rows[-1]._replace(action=0, reward=0., raw_reward=0., real=False)
    episode = next(log.episodes())
    self.assertEqual(episode.end, 'cut')
    self.assert_rows_equal(episode, [*rows[:-1], final])
    self.assertEqual((log.num_steps, log.env_steps), (2, 3))
    self.assertEmpty(log.returns())

  def test_cut_after_a_no_op_keeps_it(self):
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS)
    rows = make_rows('rrl0')
    write_episode(writer, rows, 'cut')
    writer.close()
    log = EpisodeLog(self.directory)
    self.assert_rows_equal(next(log.episodes()), rows)
    self.assertEqual((log.num_steps, log.env_steps), (3, 3))

  def test_several_writers_share_a_log(self):
    logs = [EpisodeLogWriter(self.directory, TASK, COLUMNS, writer=w)
            for w in (0, 2, 10)]
    for writer in reversed(logs):
      write_episode(writer, make_rows('rt0'), 'terminal')
      writer.close()
    log = EpisodeLog(self.directory)
    self.assertEqual([e.number for e in log.episodes()],
                     [0, 2 * 2**32, 10 * 2**32])
    self.assertEqual(log.env_steps, 6)

  def test_provenance_is_kept_from_the_first_time(self):
    for seed in (7, 8):
      EpisodeLogWriter(self.directory, TASK, (), provenance={'seed': seed}
                       ).close()
    self.assertEqual(EpisodeLog(self.directory).header.provenance, {'seed': 7})

  @parameterized.named_parameters(
      ('real_after_terminal', 'tr', 'real = 0 must follow'),
      ('real_after_truncation', 'ur', 'real = 0 must follow'),
      ('real_after_life_loss', 'lr', 'real = 0 must follow'),
      ('after_final_observation', 't0r', 'final observation already'),
      ('after_no_op_that_ended_the_game', 'lTr', 'final observation already'))
  def test_order_of_rows(self, kinds, message):
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS)
    *rows, last = make_rows(kinds)
    for row in rows:
      writer.append(row)
    with self.assertRaisesRegex(ValueError, message):
      writer.append(last)

  @parameterized.named_parameters(
      ('terminal_without_flag', 'rr0', 'terminal', 'found the flag None'),
      ('terminal_without_observation', 'rt', 'terminal', 'real = 1'),
      ('truncated_but_terminal', 'rt0', 'truncated', 'flag terminal'),
      ('unknown', 'rt0', 'finished', 'Expected one of terminal'),
      ('nothing_open', '', 'cut', 'No episode is open'))
  def test_ends_must_fit_the_rows(self, kinds, end, message):
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS)
    with self.assertRaisesRegex(ValueError, message):
      write_episode(writer, make_rows(kinds), end)

  @parameterized.named_parameters(
      ('shape', {'observation': np.zeros([6, 5, 3], np.uint8)},
       r'uint8\[6, 5, 3\], expected uint8\[6, 5, 2\]'),
      ('dtype', {'observation': np.zeros([6, 5, 2], np.float32)},
       r'float32\[6, 5, 2\], expected uint8'),
      ('search', {'search': np.zeros([3])}, r'search .*\[3\], expected'),
      ('action', {'action': 4}, r'action 4 .* 0\.\.3'),
      ('fractional_action', {'action': 1.5}, 'action of a row'),
      ('reward', {'reward': float('nan')}, 'reward .* not finite'))
  def test_values_must_fit_the_task(self, changes, message):
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS)
    with self.assertRaisesRegex(IncompatibleDataError, message):
      writer.append(make_rows('r')[0]._replace(**changes))

  @parameterized.named_parameters(
      ('task', {'name': 'tiny:other'},
       "name: expected 'tiny:other', found 'tiny:fake'"),
      ('resolution', {'observation_shape': (8, 8, 2)},
       r'observation_shape: expected \[8, 8, 2\], found \[6, 5, 2\]'),
      ('actions', {'legal_actions': (0, 1, 2, 3)},
       r'legal_actions: expected \[0, 1, 2, 3\], found \[0, 1, 3\]'))
  def test_other_tasks_are_refused(self, changes, message):
    EpisodeLogWriter(self.directory, TASK, COLUMNS).close()
    other = dataclasses.replace(TASK, **changes)
    with self.assertRaisesRegex(IncompatibleDataError, message):
      EpisodeLog(self.directory, expected_task=other)
    with self.assertRaisesRegex(IncompatibleDataError, message):
      EpisodeLogWriter(self.directory, other, COLUMNS)
    scores = dataclasses.replace(TASK, human_score=5.)
    EpisodeLog(self.directory, expected_task=scores)

  def test_data_of_another_codec_are_refused(self):
    task = dataclasses.replace(TASK, observation_shape=(6, 5, 3))
    EpisodeLogWriter(self.directory, task, COLUMNS).close()
    with self.assertRaisesRegex(
        IncompatibleDataError, "codec: expected 'jpeg', found 'lossless'"):
      EpisodeLog(self.directory,
                 expected_task=dataclasses.replace(task, codec='jpeg'))

  def test_other_columns_are_refused(self):
    EpisodeLogWriter(self.directory, TASK, ('search',)).close()
    with self.assertRaisesRegex(IncompatibleDataError, 'root_value'):
      EpisodeLogWriter(self.directory, TASK, ('root_value',))

  def test_full_disk_is_a_storage_error_and_can_be_retried(self):
    writer = EpisodeLogWriter(self.directory, TASK, COLUMNS)
    rows = make_rows('rrt0')
    for row in rows:
      writer.append(row)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch.object(os, 'fsync', side_effect=full):
      with self.assertRaisesRegex(
          StorageError, r'No space left: .*needed \d+ bytes, free \d+ bytes'):
        writer.end_episode('terminal')
    writer.end_episode('terminal')
    write_episode(writer, make_rows('rt0', seed=1), 'terminal')
    writer.close()
    episodes = list(EpisodeLog(self.directory).episodes())
    self.assert_rows_equal(episodes[0], rows)
    self.assertLen(episodes, 2)
