"""Collecting and importing meet kills and full disks; the same call goes on."""

import os
import random
import signal
import subprocess
import sys
import tempfile

from absl.testing import absltest
import gin
import pytest

from tests.end_to_end import tiny_run
from tests.faults import small_disk
from tests.offline_data import efficientzero_replay_test
from xtra_tf.episodes import EpisodeLog, block_index
from xtra_tf.episodes.writer import EpisodeLogWriter
from xtra_tf.errors import EXIT_IO, StorageError
from xtra_tf.experiments.data_collection import (
  CollectionSettings,
  DataCollection,
)
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.importing import import_dataset

_BLOCK = 200  # steps of a game that a kill may cost
_GAMES = 2
_STEPS = 3000
# Says what was played, so that what a kill cost can be counted.
_COLLECT = f"""
import sys
sys.path.insert(0, {tiny_run.ROOT!r})
from xtra_tf.experiments.data_collection import *
collection = DataCollection(CollectionSettings(
    task='Pong', output=sys.argv[1], env_steps={_STEPS}, num_envs={_GAMES},
    gin_bindings=('xtra_tf.experiments.TaskSettings.resolution = 16',)))
print('found', collection.env_steps, flush=True)
collected = collection.run(
    lambda done, **fields: print('played', done, flush=True))
print('have', collected.env_steps, flush=True)
"""


def _committed(folder):
  """{index: its complete lines} and the environment steps in them."""
  lines, steps = {}, 0
  for writer in range(_GAMES):
    place = os.path.join(folder, str(writer))
    if not os.path.exists(os.path.join(place, block_index.INDEX_NAME)):
      continue
    entries, size = block_index.read_index(place)
    path = os.path.join(place, block_index.INDEX_NAME)
    with open(path, 'rb') as file:
      lines[path] = file.read(size)
    steps += entries[-1].env_steps if entries else 0
  return lines, steps


class KilledCollectionTest(absltest.TestCase):

  def test_a_kill_costs_the_open_blocks_and_no_more(self):
    output = os.path.join(self.create_tempdir().full_path, 'data')
    command = [sys.executable, '-c', _COLLECT, output]
    seed = random.SystemRandom().randrange(2**31)
    moment = random.Random(seed).randrange(600, 2600)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL)
    played = 0
    for line in process.stdout:
      if line.startswith('played'):
        played = int(line.split()[1])
      if played >= moment:
        process.send_signal(signal.SIGKILL)
        break
    process.communicate()
    self.assertEqual(process.returncode, -signal.SIGKILL)
    lines, steps = _committed(output)
    self.assertGreater(steps, 0, seed)
    self.assertGreaterEqual(steps, played - _BLOCK * _GAMES, seed)

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    self.assertEqual(again.returncode, 0, again.stderr[-2000:])
    said = again.stdout.split('\n')
    self.assertEqual(said[0], f'found {steps}')
    for path, content in lines.items():
      with open(path, 'rb') as file:
        self.assertEqual(file.read(len(content)), content, seed)
    log = EpisodeLog(output)
    log.verify()
    self.assertTrue(log.sealed)
    # As many as were asked for; all games step at once.
    self.assertBetween(log.env_steps, _STEPS, _STEPS + _GAMES - 1)
    self.assertIn(f'have {log.env_steps}', said)


class FullDiskTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp(dir=self.create_tempdir().full_path)
    self.output = os.path.join(self.folder, 'data')
    self.disk = self.enter_context(small_disk.mounted(self.folder, '8m'))
    if not self.disk:
      self.skipTest('this user may not mount a small disk')

  def refused(self, call):
    with self.assertRaises(StorageError) as caught:
      call()
    self.assertEqual(caught.exception.exit_code, EXIT_IO)
    self.assertRegex(str(caught.exception),
                     rf'No space left: {self.folder}.*needed \d+.*free \d+')

  @pytest.mark.slow
  def test_collecting(self):
    self.addCleanup(gin.clear_config)
    def collect():
      return DataCollection(CollectionSettings(
          task='Pong', output=self.output, env_steps=1500, num_envs=2)).run()
    self.disk.fill(left=400_000)
    self.refused(collect)
    lines, steps = _committed(self.output)
    self.assertGreater(steps, 0)
    self.disk.free()
    self.assertBetween(collect().env_steps, 1500, 1501)
    for path, content in lines.items():
      with open(path, 'rb') as file:
        self.assertEqual(file.read(len(content)), content)
    EpisodeLog(self.output).verify()

  def test_importing(self):
    source = self.create_tempdir().full_path
    for memory in range(3):
      life = efficientzero_replay_test.play(20, memory, size=96)
      efficientzero_replay_test.write_memory(
          os.path.join(source, 'replay', str(memory)),
          efficientzero_replay_test.blocks_of(life, 20))

    def import_(output):
      return import_dataset(open_source('efficientzero', source, 'Pong'),
                            output)

    whole = import_(os.path.join(self.create_tempdir().full_path, 'whole'))
    self.disk.fill(left=whole.stored_bytes // 2)
    self.refused(lambda: import_(self.output))
    self.assertFalse(os.path.exists(self.output))
    self.disk.free()
    # Somebody else fills the disk while it is at work.
    real, count = EpisodeLogWriter.end_episode, []

    def filling(writer, kind):
      count.append(kind)
      if len(count) == 2:
        self.disk.fill(left=100_000)
      return real(writer, kind)

    with absltest.mock.patch.object(
        EpisodeLogWriter, 'end_episode', filling):
      self.refused(lambda: import_(self.output))
    self.assertFalse(os.path.exists(self.output))
    self.disk.free()
    import_(self.output)
    self.assertCountEqual(os.listdir(self.folder), ['data'])
    self.assertEqual(EpisodeLog(self.output).digest(),
                     EpisodeLog(whole.directory).digest())


if __name__ == '__main__':
  absltest.main()
