"""What an inspection finds in a set, and what it says of a broken one."""

import json
import os
import re

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
  write_seal,
)
from xtra_tf.errors import DataFileError
from xtra_tf.offline_data import inspection
from xtra_tf.tasks import TaskSpec

TASK = TaskSpec(name='tiny:fake', observation_shape=(4, 4, 1),
                observation_dtype='uint8', num_actions=4,
                legal_actions=(0, 1, 2), action_names=('N', 'L', 'R', 'F'))


def row(step, kind, action, reward=0.):
  """One row; kind: r real, l a life is lost, t the game ends, 0 not real."""
  return StepRow(
      observation=np.full([4, 4, 1], step, np.uint8), action=action,
      search=np.array([1., 2., 0., 0.]), reward=np.sign(reward),
      raw_reward=reward, terminal=kind == 't', truncated=False,
      life_loss=kind == 'l', real=kind in 'rlt', root_value=float(step),
      bootstrap_value=None, has_search=kind in 'rlt', env_step=step)


def write(directory, games=('rl0rt0', 'rrt0', 'rr'), columns=(), numbers=(),
          action=1, provenance=None):
  writer = EpisodeLogWriter(directory, TASK, columns, block_steps=3,
                            provenance={'policy': 'x'} if provenance is None
                            else provenance)
  for index, game in enumerate(games):
    if numbers:
      writer.begin_episode(numbers[index])
    for step, kind in enumerate(game):
      writer.append(row(step, kind, action if kind in 'rlt' else 0,
                        5. if kind == 't' else 0.))
    writer.end_episode('terminal' if game.endswith('t0') else 'cut')
  writer.close()


class InspectionTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = os.path.join(self.create_tempdir().full_path, 'data')

  def test_counts_by_hand(self):
    write(self.folder, columns=('search', 'root_value'))
    seen = []
    found = inspection.inspect(self.folder, seen.append)
    self.assertEqual((found.rows, found.transitions), (12, 8))
    self.assertEqual(found.ends, {'terminal': 2, 'cut': 1})
    self.assertEqual(found.lengths.tolist(), [4, 3, 1])
    self.assertEqual(found.returns.tolist(), [5., 5.])
    self.assertEqual(found.life_losses, 1)
    self.assertEqual(found.action_counts.tolist(), [0, 8, 0, 0])
    self.assertEqual(found.rewards, {0.: 6, 1.: 2})
    self.assertEqual(found.columns, {'search': 8, 'root_value': 8})
    self.assertEqual(found.root_values.tolist(), [0., 1.375, 4.])
    self.assertEqual(found.sample.shape, (6, 4, 4, 1))
    self.assertEqual(seen, [6, 10, 12])

  def test_faults_are_sentences(self):
    write(self.folder, numbers=(0, 4, 5), action=3, provenance={})
    self.assertEqual(inspection.inspect(self.folder).faults, [
        '3 episode numbers are left out: these episodes were never written, or '
        'were taken away.',
        '1 of 3 episodes break off before their game ended; their returns are '
        'not counted.',
        'The set has no seal, which says how many files there are: if some of '
        'them were never copied, nobody can tell. A finished launchers.collect '
        'or import writes one.',
        '8 actions are not among the legal ones of tiny:fake.',
        'Legal actions that were never played: N, L, R.',
        'Nothing is known of how the data came about.'])

  def test_an_empty_set(self):
    EpisodeLogWriter(self.folder, TASK, ()).close()
    with self.assertRaisesRegex(DataFileError, 'data: the set holds no step'):
      inspection.inspect(self.folder)

  def test_not_a_set(self):
    os.makedirs(self.folder)
    with self.assertRaisesRegex(
        DataFileError, 'dataset.json: the file is missing. Expected the fold'):
      inspection.inspect(self.folder)

  def test_targets_alone_are_not_a_set(self):
    EpisodeLogWriter(self.folder, TASK, ('search',), overlay=True).close()
    with self.assertRaisesRegex(DataFileError, 'columns for the rows of anoth'):
      inspection.inspect(self.folder)

  def test_an_unknown_version(self):
    write(self.folder)
    path = os.path.join(self.folder, 'dataset.json')
    with open(path, encoding='utf-8') as file:
      header = json.load(file)
    with open(path, 'w', encoding='utf-8') as file:
      json.dump({**header, 'version': 99}, file)
    with self.assertRaisesRegex(DataFileError, 'version 99. Expected version'):
      inspection.inspect(self.folder)

  @parameterized.parameters(0, 1, 100, 400, 900)
  def test_a_truncated_file_names_file_and_record(self, size):
    write(self.folder)
    os.truncate(os.path.join(self.folder, '0', 'shard-00000.tfrecord'), size)
    with self.assertRaisesRegex(
        DataFileError, r'0/shard-00000.tfrecord, record \d+, byte \d+: '):
      inspection.inspect(self.folder)

  @parameterized.parameters(
      'dataset.json', 'seal.json', '0/index.jsonl', '0/shard-00000.tfrecord')
  def test_any_changed_byte_of_a_finished_set_is_found(self, name):
    write(self.folder)
    write_seal(self.folder)
    faults = inspection.inspect(self.folder).faults
    self.assertNotIn('no seal', ' '.join(faults))
    path = os.path.join(self.folder, name)
    with open(path, 'rb') as file:
      content = file.read()
    random = np.random.default_rng(3)
    for place in random.integers(0, len(content), 40):
      changed = bytearray(content)
      changed[place] = (changed[place] + random.integers(1, 256)) % 256
      with open(path, 'wb') as file:
        file.write(changed)
      with self.assertRaisesRegex(DataFileError, re.escape(path)):
        inspection.inspect(self.folder)

  def test_targets_are_verified_with_the_set(self):
    write(self.folder, columns=('search',))
    targets = f'{self.folder}_targets'
    writer = EpisodeLogWriter(targets, TASK, ('bootstrap_value',), overlay=True)
    for episode in EpisodeLog(self.folder).episodes():
      for index in range(len(episode.real)):
        writer.append(episode.row(index)._replace(bootstrap_value=2.))
      writer.end_episode('cut')
    writer.close()
    found = inspection.inspect(self.folder, targets=targets)
    self.assertEqual(found.columns, {'search': 8, 'bootstrap_value': 12})
    shard = os.path.join(targets, '0', 'shard-00000.tfrecord')
    with open(shard, 'r+b') as file:
      file.seek(30)
      byte = file.read(1)[0]
      file.seek(30)
      file.write(bytes([byte ^ 1]))
    with self.assertRaisesRegex(DataFileError, re.escape(shard)):
      inspection.inspect(self.folder, targets=targets)

  def test_any_flipped_bit_of_a_shard_is_found(self):
    write(self.folder)
    path = os.path.join(self.folder, '0', 'shard-00000.tfrecord')
    with open(path, 'rb') as file:
      whole = file.read()
    for place in range(0, len(whole), 97):
      damaged = bytearray(whole)
      damaged[place] ^= 1 << place % 8
      with open(path, 'wb') as file:
        file.write(damaged)
      with self.assertRaisesRegex(
          DataFileError, r'0/shard-00000.tfrecord, record \d+, byte \d+: '):
        inspection.inspect(self.folder)


if __name__ == '__main__':
  absltest.main()
