"""Episodes that are read ahead are those that are read in turn."""

import os
import threading
from unittest import mock

from absl.testing import parameterized
import numpy as np

from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
  episodes_ahead,
  reading_ahead,
)
from xtra_tf.errors import DataFileError
from xtra_tf.tasks import TaskSpec

TASK = TaskSpec(name='tiny:fake', observation_shape=(4, 4, 1),
                observation_dtype='uint8', num_actions=3,
                legal_actions=(0, 1, 2), action_names=('N', 'L', 'R'))
GAMES = (3, 1, 5, 2)  # steps


def write_log(directory, games=GAMES):
  writer = EpisodeLogWriter(directory, TASK, (), block_steps=4)
  for steps in games:
    for step in range(steps + 1):
      real = step < steps
      writer.append(StepRow(
          observation=np.full([4, 4, 1], 10 * steps + step, np.uint8),
          action=step % 3 if real else 0, search=None, reward=1., raw_reward=2.,
          terminal=step == steps - 1, truncated=False, life_loss=False,
          real=real, root_value=None, bootstrap_value=None, has_search=False,
          env_step=step))
    writer.end_episode('terminal')
  writer.close()
  return EpisodeLog(directory)


def readers():
  return [t for t in threading.enumerate()
          if t.name.startswith('episodes_ahead')]


class ReadingAheadTest(parameterized.TestCase):

  def log(self, games=GAMES):
    return write_log(self.create_tempdir().full_path, games)

  @parameterized.product(start=(0, 1, 3, 4), most=(0, 5 * 16 - 1, 2**28))
  def test_episodes_are_those_of_the_log(self, start, most):
    log = self.log()
    with mock.patch.object(reading_ahead, '_MOST_BYTES', most):
      found = list(episodes_ahead(log, start))
    self.assertEqual([e.number for e in found],
                     [e.number for e in log.episodes(start)])
    for episode, expected in zip(found, log.episodes(start)):
      np.testing.assert_array_equal(episode.observation, expected.observation)
    self.assertEmpty(readers())

  def test_log_without_episodes(self):
    self.assertEmpty(list(episodes_ahead(self.log(()))))

  def test_next_is_read_while_one_is_used(self):
    log, is_read = self.log(), threading.Event()
    read = log._read  # pylint: disable=protected-access

    def watched(stored):
      episode = read(stored)
      if stored.number == 1:
        is_read.set()
      return episode

    with mock.patch.object(log, '_read', watched):
      episodes = episodes_ahead(log)
      self.assertEqual(next(episodes).number, 0)
      self.assertTrue(is_read.wait(60))
      self.assertLen(readers(), 1)
      episodes.close()
    self.assertEmpty(readers())

  def test_large_episode_waits_for_its_turn(self):
    log, read_by = self.log(), {}
    read = log._read  # pylint: disable=protected-access

    def watched(stored):
      read_by[stored.number] = threading.current_thread().name
      return read(stored)

    frame = 16
    with mock.patch.object(log, '_read', watched), mock.patch.object(
        reading_ahead, '_MOST_BYTES', 4 * frame):
      numbers = [e.number for e in episodes_ahead(log)]
    self.assertEqual(numbers, [0, 1, 2, 3])
    own = threading.current_thread().name
    self.assertEqual([read_by[n] == own for n in numbers],
                     [True, False, True, False])

  @parameterized.parameters(0, 1, 3)
  def test_damage_is_told_when_it_is_its_turn(self, damaged):
    log = self.log()
    entry = log._stored[damaged].records[0][1]  # pylint: disable=protected-access
    path = os.path.join(log.directory, '0', 'shard-00000.tfrecord')
    with open(path, 'r+b') as file:
      file.seek(entry.offset + entry.length // 2)
      byte = file.read(1)
      file.seek(-1, os.SEEK_CUR)
      file.write(bytes([byte[0] ^ 255]))
    seen = []
    with self.assertRaisesRegex(DataFileError, 'checksum does not fit'):
      for episode in episodes_ahead(log):
        seen.append(episode.number)
    self.assertEqual(seen, list(range(damaged)))
    self.assertEmpty(readers())
