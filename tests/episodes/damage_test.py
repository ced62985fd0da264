"""Kills lose what was not committed; damage is found and named."""

import os
import re
import shutil

from absl.testing import parameterized
import numpy as np

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import DataFileError
from xtra_tf.tasks import TaskSpec

TASK = TaskSpec(name='tiny:fake', observation_shape=(4, 4, 1),
                observation_dtype='uint8', num_actions=3,
                legal_actions=(0, 1, 2), action_names=('N', 'L', 'R'))
COLUMNS = ('root_value',)
BLOCK = 4


def row(step, real=True, terminal=False):
  frame = np.random.default_rng(step).integers(0, 256, [4, 4, 1], np.uint8)
  return StepRow(
      observation=frame, action=step % 3 if real else 0, search=None,
      reward=1., raw_reward=2., terminal=terminal, truncated=False,
      life_loss=False, real=real, root_value=float(step),
      bootstrap_value=None, has_search=False, env_step=step)


def open_writer(directory):
  return EpisodeLogWriter(directory, TASK, COLUMNS, block_steps=BLOCK)


def play(writer, steps):
  """One game of `steps` real rows that ends in a terminal."""
  for step in range(steps):
    writer.append(row(step, terminal=step == steps - 1))
  writer.append(row(steps, real=False))
  writer.end_episode('terminal')


class KillTest(parameterized.TestCase):
  """A log is copied as the disk would be after a kill, cut and reopened."""

  def setUp(self):
    super().setUp()
    self.full = self.create_tempdir().full_path
    writer = open_writer(self.full)
    play(writer, 5)  # blocks of 4 and 2 rows
    for step in range(2 * BLOCK + 1):  # an open game: two blocks and a row
      writer.append(row(step))
    with open(self.path('index.jsonl'), 'rb') as file:
      self.lines = file.read().splitlines(keepends=True)
    self.size = os.path.getsize(self.path('shard-00000.tfrecord'))
    self.assertLen(self.lines, 4)
    # What the process does after the kill never reaches the copies.
    self.killed = os.path.join(self.create_tempdir().full_path, 'killed')

  def path(self, name):
    return os.path.join(self.full, '0', name)

  def kill(self, index_bytes=None, shard_bytes=None, extra=b''):
    """The log with its files cut to these lengths."""
    shutil.rmtree(self.killed, ignore_errors=True)
    shutil.copytree(self.full, self.killed)
    folder = os.path.join(self.killed, '0')
    for name, size in (('index.jsonl', index_bytes),
                       ('shard-00000.tfrecord', shard_bytes)):
      if size is not None:
        os.truncate(os.path.join(folder, name), size)
    with open(os.path.join(folder, 'shard-00000.tfrecord'), 'ab') as file:
      file.write(extra)

  def assert_goes_on(self, ends, env_steps):
    """Reopening closes what is open, and the next game is written behind it."""
    writer = open_writer(self.killed)
    self.assertEqual(writer.env_steps, env_steps)
    self.assertEqual(writer.next_episode, len(ends))
    self.assertEqual([e.end for e in EpisodeLog(self.killed).episodes()], ends)
    play(writer, 6)
    writer.close()
    log = EpisodeLog(self.killed)
    log.verify()
    episodes = list(log.episodes())
    self.assertEqual([e.end for e in episodes], [*ends, 'terminal'])
    self.assertEqual([e.number for e in episodes], list(range(len(ends) + 1)))
    self.assertEqual(log.env_steps, env_steps + 6)
    np.testing.assert_array_equal(episodes[-1].env_step, np.arange(7))

  def test_the_open_row_is_lost(self):
    self.kill()
    log = EpisodeLog(self.killed)
    self.assertEqual([(e.end, len(e.real)) for e in log.episodes()],
                     [('terminal', 6), ('cut', 8)])
    self.assertEqual((log.num_steps, log.env_steps), (5 + 7, 5 + 8))
    self.assert_goes_on(['terminal', 'cut'], 13)

  def test_close_ends_the_open_game_as_cut(self):
    writer = open_writer(self.killed)
    for step in range(BLOCK + 1):
      writer.append(row(step))
    writer.close()
    writer.close()
    episode, = EpisodeLog(self.killed).episodes()
    self.assertEqual((episode.end, len(episode.real)), ('cut', 5))

  def test_in_the_middle_of_a_line(self):
    *before, last = self.lines
    start = sum(map(len, before))
    for length in (0, 1, len(last) // 2, len(last) - 1):
      self.kill(index_bytes=start + length)
      with self.assertRaisesRegex(
          DataFileError, 'index.jsonl, record 3: .*let that run go on'):
        EpisodeLog(self.killed)
      self.assert_goes_on(['terminal', 'cut'], 5 + BLOCK)

  def test_in_the_middle_of_a_block(self):
    block = b'\x20' + bytes(7) + b'abcdefgh'
    for length in (1, 7, 8, 16):
      self.kill(extra=block[:length])
      with self.assertRaisesRegex(
          DataFileError, f'record 4: .* for {length} bytes behind'):
        EpisodeLog(self.killed)
      self.assert_goes_on(['terminal', 'cut'], 13)

  def test_in_the_middle_of_the_line_that_ends_a_full_block(self):
    writer = open_writer(self.killed)
    play(writer, BLOCK - 1)  # the game's end has a line, but no block
    writer.close()
    path = os.path.join(self.killed, '0', 'index.jsonl')
    os.truncate(path, os.path.getsize(path) - 5)
    with self.assertRaisesRegex(DataFileError, 'record 1: the last line is to'):
      EpisodeLog(self.killed)
    self.assert_goes_on(['cut'], BLOCK - 1)

  def test_reopening_alone_makes_a_log_readable(self):
    open_writer(self.killed).close()
    with open(os.path.join(self.killed, '0', 'shard-00000.tfrecord'), 'ab'
              ) as file:
      file.write(b'torn')
    with self.assertRaises(DataFileError):
      EpisodeLog(self.killed)
    open_writer(self.killed)
    EpisodeLog(self.killed)

  def test_before_anything_was_committed(self):
    for name in (None, 'shard-00000.tfrecord', 'index.jsonl'):
      shutil.rmtree(self.killed, ignore_errors=True)
      open_writer(self.killed).close()
      if name == 'index.jsonl':
        shutil.rmtree(os.path.join(self.killed, '0'))
      elif name:
        os.remove(os.path.join(self.killed, '0', name))
      self.assertEqual(EpisodeLog(self.killed).num_episodes, 0)
      self.assert_goes_on([], 0)

  def test_lost_lines_are_no_kill(self):
    for kept in (0, 1, 2):
      self.kill(index_bytes=sum(map(len, self.lines[:kept])))
      with self.assertRaisesRegex(
          DataFileError, f'index.jsonl, record {kept}: .*lines were lost'):
        open_writer(self.killed)
      with self.assertRaisesRegex(DataFileError, f'record {kept}'):
        EpisodeLog(self.killed)

  def test_committed_blocks_that_are_gone_are_no_kill(self):
    for length in (0, 1, self.size // 2, self.size - 1):
      self.kill(shard_bytes=length)
      state = 'empty' if not length else f'truncated: it has {length} bytes'
      for opening in (open_writer, EpisodeLog):
        with self.assertRaisesRegex(
            DataFileError, rf'shard-00000.tfrecord, record \d.*{state}'):
          opening(self.killed)

  def test_missing_files(self):
    for name in ('index.jsonl', 'shard-00000.tfrecord'):
      self.kill()
      os.remove(os.path.join(self.killed, '0', name))
      for opening in (open_writer, EpisodeLog):
        with self.assertRaisesRegex(
            DataFileError, re.escape(name) + ': the file is missing'):
          opening(self.killed)


class FlipTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = self.create_tempdir().full_path
    writer = open_writer(self.directory)
    for steps in (7, 3, 9):
      play(writer, steps)
    writer.close()

  def path(self, name):
    return os.path.join(self.directory, '0', name)

  def flip(self, name, offset, bit):
    with open(self.path(name), 'r+b') as file:
      file.seek(offset)
      byte = file.read(1)[0]
      file.seek(offset)
      file.write(bytes([byte ^ (1 << bit)]))

  @parameterized.parameters('shard-00000.tfrecord', 'index.jsonl')
  def test_each_flip_is_found(self, name):
    random = np.random.default_rng(0)
    size = os.path.getsize(self.path(name))
    EpisodeLog(self.directory).verify()
    for offset in [0, size - 1, *random.integers(0, size, 50)]:
      bit = int(random.integers(8))
      self.flip(name, int(offset), bit)
      with self.assertRaisesRegex(DataFileError, re.escape(name) + '.*record',
                                  msg=f'bit {bit} of byte {offset}'):
        EpisodeLog(self.directory).verify()
      self.flip(name, int(offset), bit)
    EpisodeLog(self.directory).verify()

  def test_changed_score(self):
    with open(self.path('index.jsonl')) as file:
      content = file.read()
    self.assertIn('"raw_return":8.0', content)
    with open(self.path('index.jsonl'), 'w') as file:
      file.write(content.replace('"raw_return":8.0', '"raw_return":9.0', 1))
    with self.assertRaisesRegex(DataFileError, 'checksum does not fit'):
      EpisodeLog(self.directory)

  def test_swapped_lines(self):
    with open(self.path('index.jsonl'), 'rb') as file:
      lines = file.read().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    with open(self.path('index.jsonl'), 'wb') as file:
      file.writelines(lines)
    with self.assertRaisesRegex(DataFileError, 'record 2: the line is damaged'):
      EpisodeLog(self.directory)

  def test_swapped_shards(self):
    other = EpisodeLogWriter(self.directory, TASK, COLUMNS, writer=1,
                             block_steps=BLOCK)
    for step in (8, 2, 9):
      play(other, step)
    other.close()
    one, two = (os.path.join(self.directory, w, 'shard-00000.tfrecord')
                for w in '01')
    os.rename(one, one + '.bak')
    os.rename(two, one)
    os.rename(one + '.bak', two)
    with self.assertRaisesRegex(DataFileError, 'shard-00000.tfrecord'):
      EpisodeLog(self.directory).verify()
