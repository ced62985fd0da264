"""DQN replay logs of the true layout, whole and broken."""

import dataclasses
import gzip
import io
import json
import os
import resource

from absl.testing import parameterized
import numpy as np

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import (
  DataFileError,
  IncompatibleDataError,
  StorageError,
  UsageError,
)
from xtra_tf.offline_data import importing
from xtra_tf.offline_data.dqn_replay import DqnReplay
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.importing import import_dataset, summary_rows

LEGAL = (0, 1, 3, 4, 11, 12)  # Pong's minimal set, by ALE's ids
SIZE = 12


def records(games, seed=0):
  """Columns of a memory; 't' ends a game, 'r' does not, '0' is a blank."""
  kinds = ''.join(games)
  random = np.random.default_rng(seed)
  count = len(kinds)
  columns = {
      'observation': random.integers(1, 256, [count, SIZE, SIZE], np.uint8),
      'action': np.arange(count, dtype=np.int32) % len(LEGAL),
      'reward': np.arange(count, dtype=np.float32) % 5 - 2,
      'terminal': np.array([k == 't' for k in kinds], np.uint8)}
  blank = np.array([k == '0' for k in kinds], bool)
  for column in columns.values():
    column[blank] = 0
  return columns


def npy(array, **arguments):
  buffer = io.BytesIO()
  np.lib.format.write_array(buffer, np.asarray(array), **arguments)
  return buffer.getvalue()


def name(column, suffix=0):
  return f'$store$_{column}_ckpt.{suffix}.gz'


def write_memory(folder, columns, suffix=0, add_count=None):
  os.makedirs(folder, exist_ok=True)
  contents = {name(c, suffix): npy(values) for c, values in columns.items()}
  if add_count is not None:
    contents[f'add_count_ckpt.{suffix}.gz'] = npy(np.array(add_count))
  for file_name, content in contents.items():
    with gzip.open(os.path.join(folder, file_name), 'wb') as file:
      file.write(content)


class DqnReplayTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'Pong', '1')
    self.logs = os.path.join(self.source, 'replay_logs')
    self.output = os.path.join(self.folder, 'data')

  def run_import(self, **arguments):
    return import_dataset(open_source('dqn_replay', self.source, 'Pong'),
                          self.output, **arguments)

  def episodes(self):
    return list(EpisodeLog(self.output).episodes())

  def path(self, column, suffix=0):
    return os.path.join(self.logs, name(column, suffix))

  def refused(self, error_type, *texts):
    with self.assertRaises(error_type) as caught:
      self.run_import()
    for text in texts:
      self.assertIn(text, str(caught.exception))
    self.assertEqual([n for n in os.listdir(self.folder) if 'data' in n], [])

  def test_every_record_is_where_it_belongs(self):
    columns = records(['rrt', '000rrrt', '000rr'])
    write_memory(self.logs, columns)
    summary = self.run_import()
    self.assertEqual(summary.ends, {'terminal': 2, 'truncated': 0, 'cut': 1})
    self.assertEqual((summary.steps, summary.rows), (8, 11))
    self.assertEqual(summary.left_out, {'blank records before a game': 6})
    for episode, indices, end in zip(
        self.episodes(), ([0, 1, 2], [6, 7, 8, 9], [13, 14]),
        ('terminal', 'terminal', 'cut')):
      self.assertEqual(episode.end, end)
      # Of a cut episode the last record is the final observation.
      steps = indices if end == 'terminal' else indices[:-1]
      np.testing.assert_array_equal(episode.real, [1] * len(steps) + [0])
      seen = columns['observation'][indices][..., None]
      np.testing.assert_array_equal(episode.observation[:len(indices)], seen)
      np.testing.assert_array_equal(
          episode.action[:-1], np.array(LEGAL)[columns['action'][steps]])
      np.testing.assert_array_equal(
          episode.raw_reward[:-1], columns['reward'][steps])
      np.testing.assert_array_equal(
          episode.reward[:-1], np.sign(columns['reward'][steps]))
      np.testing.assert_array_equal(
          episode.terminal[:-1], columns['terminal'][steps])
      if end == 'terminal':
        np.testing.assert_array_equal(episode.observation[-1], seen[-1])
    np.testing.assert_array_equal(
        np.concatenate([e.env_step[e.real] for e in self.episodes()]),
        range(8))

  def test_files_are_cut_and_in_order_of_their_numbers(self):
    parts = {2: records(['rrr'], 1), 10: records(['rrt'], 2)}
    for suffix, columns in parts.items():
      write_memory(self.logs, columns, suffix)
    self.run_import()
    first, second = self.episodes()
    self.assertEqual((first.end, second.end), ('cut', 'terminal'))
    np.testing.assert_array_equal(
        first.observation[..., 0], parts[2]['observation'])

  def test_memory_that_wrapped_around_is_cut_at_its_cursor(self):
    write_memory(self.logs, records(['rrrrrr']), add_count=8)
    self.run_import()
    self.assertEqual([len(e.real) for e in self.episodes()], [2, 4])

  def test_memory_that_is_not_full(self):
    write_memory(self.logs, records(['rrrrrr']), add_count=4)
    self.assertEqual(self.run_import().rows, 4)

  def test_black_frames_of_a_game_are_kept(self):
    columns = records(['000', '00r', '0000', 't'])
    write_memory(self.logs, columns)
    summary = self.run_import()
    self.assertEqual(summary.left_out, {'blank records before a game': 3})
    self.assertEqual(summary.steps, 8)

  def test_many_chunks(self):
    columns = records(['r' * 600])
    write_memory(self.logs, columns)
    self.run_import()
    np.testing.assert_array_equal(
        self.episodes()[0].observation[..., 0], columns['observation'])

  def test_task_and_provenance(self):
    write_memory(self.logs, records(['rrt']))
    seen = []
    summary = self.run_import(progress=seen.append)
    log = EpisodeLog(self.output)
    self.assertEqual(log.task.observation_shape, (SIZE, SIZE, 1))
    self.assertEqual(log.task.sticky_actions, 0.25)
    self.assertEqual(log.columns, ())
    provenance = log.header.provenance
    self.assertEqual(provenance['game'], 'Pong')
    self.assertIn(name('action'), provenance['files'])
    self.assertIn('tensorflow', provenance['imported_by'])
    self.assertNotIn('converted', provenance)
    json.dumps(provenance)
    self.assertEqual(seen[-1], 3)
    self.assertIn(('Episodes', '1'), summary_rows(summary))

  def test_conversion_is_explicit_and_noted(self):
    columns = records(['rrt'])
    columns['observation'][:] = 77
    write_memory(self.logs, columns)
    self.run_import(resolution=16, grayscale=False)
    log = EpisodeLog(self.output)
    self.assertEqual(log.task.observation_shape, (16, 16, 3))
    self.assertEqual(log.header.provenance['converted'],
                     {'from': [SIZE, SIZE, 1], 'to': [16, 16, 3]})
    self.assertTrue((next(log.episodes()).observation == 77).all())

  # Bad input.

  def test_output_that_exists(self):
    write_memory(self.logs, records(['rrt']))
    os.makedirs(self.output)
    with self.assertRaisesRegex(UsageError, 'exists already'):
      self.run_import()
    self.assertEqual(os.listdir(self.output), [])

  def test_no_files(self):
    os.makedirs(self.logs)
    self.refused(DataFileError, self.logs, '$store$_observation_ckpt.')

  def test_missing_folder(self):
    self.refused(DataFileError, self.source, 'cannot be read')

  @parameterized.parameters('observation', 'action', 'reward', 'terminal')
  def test_missing_file(self, column):
    write_memory(self.logs, records(['rrt']))
    os.unlink(self.path(column))
    self.refused(DataFileError, self.path(column), 'missing')

  def test_empty_set(self):
    write_memory(self.logs, records(['']))
    self.refused(DataFileError, self.source, 'empty')

  @parameterized.parameters('observation', 'action', 'reward', 'terminal')
  def test_truncated_anywhere(self, column):
    write_memory(self.logs, records(['rrt', '000rrt']))
    with open(self.path(column), 'rb') as file:
      content = file.read()
    for size in np.linspace(0, len(content) - 1, 12).astype(int):
      with open(self.path(column), 'wb') as file:
        file.write(content[:size])
      self.refused(DataFileError, self.path(column))

  def test_flipped_bits_anywhere(self):
    write_memory(self.logs, records(['rrt', '000rrt']))
    with open(self.path('observation'), 'rb') as file:
      content = file.read()
    # The bytes 4 to 9 of gzip are a date and flags that mean nothing here;
    # behind them, up to the 0 byte, is the name of the file.
    begin = content.index(b'\0', 10) + 1
    for place in np.linspace(begin, len(content) - 1, 40).astype(int):
      damaged = bytearray(content)
      damaged[place] ^= 16
      with open(self.path('observation'), 'wb') as file:
        file.write(damaged)
      self.refused((DataFileError, IncompatibleDataError),
                   self.path('observation'))

  def test_another_games_actions(self):
    columns = records(['rrrt'])
    columns['action'][2] = 17
    write_memory(self.logs, columns)
    self.refused(IncompatibleDataError, f'{self.path("action")}, record 2',
                 'action is 17', 'Expected 0 to 5')

  def test_mixed_resolutions(self):
    write_memory(self.logs, records(['rrt']), 0)
    columns = records(['rrt'])
    columns['observation'] = columns['observation'][:, :-2]
    write_memory(self.logs, columns, 1)
    self.refused(IncompatibleDataError, self.path('observation', 1),
                 '[10, 12], expected [12, 12]')

  def test_columns_of_different_lengths(self):
    columns = records(['rrt'])
    columns['reward'] = columns['reward'][:-1]
    write_memory(self.logs, columns)
    self.refused(DataFileError, "'reward': 2")

  @parameterized.parameters(
      ('reward', np.nan, 'record 1: the reward is nan'),
      ('terminal', 7, 'record 1: the flag is 7'))
  def test_impossible_value(self, column, value, text):
    columns = records(['rrt'])
    columns[column][1] = value
    write_memory(self.logs, columns)
    self.refused(DataFileError, self.path(column), text)

  def test_wrong_type(self):
    columns = records(['rrt'])
    columns['observation'] = columns['observation'].astype(np.float32)
    write_memory(self.logs, columns)
    self.refused(DataFileError, 'float32[3, 12, 12]', 'uint8[records, H, W]')

  def test_hostile_pickle_is_not_run(self):
    touched = os.path.join(self.folder, 'touched')

    class Hostile:
      def __reduce__(self):
        return (os.mkdir, (touched,))

    write_memory(self.logs, records(['rrt']))
    with gzip.open(self.path('action'), 'wb') as file:
      file.write(npy(np.array([Hostile()] * 3, object), allow_pickle=True))
    self.refused(DataFileError, self.path('action'), 'Nothing of it was run')
    self.assertFalse(os.path.exists(touched))

  def test_header_that_claims_too_much(self):
    write_memory(self.logs, records(['rrt']))
    for shape in ((2**40,), (2**62, 2**62), (3, 2**70), (3, 2**63, 2)):
      header = io.BytesIO()
      np.lib.format.write_array_header_1_0(
          header, {'descr': '<i4', 'fortran_order': False, 'shape': shape})
      with gzip.open(self.path('action'), 'wb') as file:
        file.write(header.getvalue())
      self.refused(DataFileError, self.source)

  def test_unknown_version(self):
    write_memory(self.logs, records(['rrt']))
    with gzip.open(self.path('action'), 'wb') as file:
      file.write(b'\x93NUMPY\x09\x00' + npy(np.zeros([3], np.int32))[8:])
    self.refused(DataFileError, self.path('action'), 'version (9, 0)')

  def test_unknown_format(self):
    with self.assertRaisesRegex(UsageError, 'Did you mean dqn_replay'):
      open_source('dqn_replya', self.source, 'Pong')

  def test_a_flavour(self):
    write_memory(self.logs, records(['rrt']))
    with self.assertRaisesRegex(IncompatibleDataError,
                                'found the task Pong-m1-d0'):
      DqnReplay(self.source, 'Pong-m1-d0')

  def test_unknown_task(self):
    write_memory(self.logs, records(['rrt']))
    with self.assertRaisesRegex(UsageError, 'Did you mean Pong'):
      DqnReplay(self.source, 'Pogn')

  def test_full_disk(self):
    write_memory(self.logs, records(['r' * 400]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ, so that writing ends as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
      with self.assertRaisesRegex(StorageError, 'cannot be written'):
        self.run_import()
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    self.assertFalse(os.path.exists(self.output))
    self.assertEqual(self.run_import().rows, 400)
    self.assertFalse(os.path.exists(self.output + '.partial'))

  def test_too_little_room_is_known_before(self):
    write_memory(self.logs, records(['rrt']))
    source = DqnReplay(self.source, 'Pong')
    source.stored_bytes = 2**60
    with self.assertRaisesRegex(StorageError, 'No space left'):
      import_dataset(source, self.output)

  def test_impossible_conversions(self):
    write_memory(self.logs, records(['rrt']))
    source = DqnReplay(self.source, 'Pong')
    with self.assertRaisesRegex(UsageError, '8 to 160'):
      importing.converted_task(source.task, 4, None)
    vector = dataclasses.replace(source.task, observation_shape=(4,))
    with self.assertRaisesRegex(UsageError, 'cannot be converted'):
      importing.converted_task(vector, None, True)
