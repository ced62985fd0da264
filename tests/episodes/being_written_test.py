"""A log that its writers still write to, as other processes see it."""

import os
import threading

from absl.testing import absltest

from tests.episodes.damage_test import open_writer, play, row
from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import DataFileError


class BeingWrittenTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.log = os.path.join(self.create_tempdir().full_path, 'log')

  def test_what_is_not_committed_yet_is_no_damage(self):
    writer = open_writer(self.log)
    for step in range(9):
      writer.append(row(step))
    writer.flush()
    committed = EpisodeLog(self.log)
    for name in ('shard-00000.tfrecord', 'index.jsonl'):
      with open(os.path.join(self.log, '0', name), 'ab') as file:
        file.write(b'a block or line that is on its way')
    with self.assertRaisesRegex(DataFileError, 'the last line is torn'):
      EpisodeLog(self.log)
    found = EpisodeLog(self.log, being_written=True)
    found.verify()
    self.assertEqual(found.digest(), committed.digest())
    self.assertEqual(found.open_episodes, {0})
    self.assertEqual(found.env_steps_of, {0: 9})

  def test_real_damage_is_found_all_the_same(self):
    writer = open_writer(self.log)
    for step in range(9):
      writer.append(row(step))
    writer.flush()
    path = os.path.join(self.log, '0', 'shard-00000.tfrecord')
    os.truncate(path, os.path.getsize(path) - 1)
    with self.assertRaisesRegex(DataFileError, 'truncated'):
      EpisodeLog(self.log, being_written=True)

  def test_read_again_and_again_while_it_grows(self):
    writer, stop = open_writer(self.log), threading.Event()
    for step in range(3):
      writer.append(row(step))
    writer.flush()
    counts = []

    def write():
      for step in range(3, 150):
        writer.append(row(step))
        writer.flush()
      stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not stop.is_set():
      log = EpisodeLog(self.log, being_written=True)
      log.verify()
      counts.append(log.env_steps)
    thread.join()
    self.assertEqual(counts, sorted(counts))
    self.assertGreater(len(set(counts)), 5)

  def test_episodes_of_a_writer_after_one(self):
    writer = open_writer(self.log)
    for _ in range(3):
      play(writer, 4)
    writer.close()
    log = EpisodeLog(self.log)
    numbers = [e.number for e in log.of_writer(0).episodes()]
    self.assertLen(numbers, 3)
    self.assertEqual(
        [e.number for e in log.of_writer(0, after=numbers[0]).episodes()],
        numbers[1:])
    self.assertEqual(log.of_writer(1).num_episodes, 0)


if __name__ == '__main__':
  absltest.main()
