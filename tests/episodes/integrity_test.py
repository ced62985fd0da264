"""Every byte of a log is vouched for: header, seal, index, shard, overlay."""

import json
import os
import shutil

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
  block_index,
  blocks,
  checked_json,
  write_seal,
)
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.tasks import TaskSpec
from xtra_tf.testing.resource_limits import limited

TASK = TaskSpec(name='tiny:fake', observation_shape=(4, 4, 1),
                observation_dtype='uint8', num_actions=3,
                legal_actions=(0, 1, 2), action_names=('N', 'L', 'R'))
SHARD, INDEX = block_index.SHARD_NAME, block_index.INDEX_NAME


def row(step, last):
  frame = np.random.default_rng(step).integers(0, 256, [4, 4, 1], np.uint8)
  return StepRow(
      observation=frame, action=0 if last else step % 3, search=np.ones(3),
      reward=0., raw_reward=0., terminal=False, truncated=False,
      life_loss=False, real=not last, root_value=0., bootstrap_value=1.,
      has_search=not last, env_step=step)


def write(directory, writers=2, games=3, overlay=False, **arguments):
  columns = ('search', 'bootstrap_value') if overlay else ()
  for writer in range(writers):
    log = EpisodeLogWriter(directory, TASK, columns, writer=writer,
                           block_steps=4, overlay=overlay, **arguments)
    for game in range(games):
      for step in range(6 + game):
        log.append(row(100 * writer + 10 * game + step, step == 5 + game))
      log.end_episode('cut')
    log.close()


class IntegrityTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.log = os.path.join(self.folder, 'log')
    write(self.log)
    write_seal(self.log)

  def path(self, *parts):
    return os.path.join(self.log, *parts)

  def content(self, *parts):
    with open(self.path(*parts), 'rb') as file:
      return file.read()

  def put(self, content, *parts):
    with open(self.path(*parts), 'wb') as file:
      file.write(content)

  def refused(self, *texts):
    with self.assertRaises(DataFileError) as caught, limited():
      EpisodeLog(self.log).verify()
    for text in texts:
      self.assertIn(text, str(caught.exception))

  @parameterized.parameters('dataset.json', 'seal.json')
  def test_each_changed_byte(self, name):
    content = self.content(name)
    random = np.random.default_rng(0)
    for place in range(len(content)):
      changed = bytearray(content)
      changed[place] ^= 1 << random.integers(8)
      self.put(changed, name)
      with self.subTest(place=place):
        self.refused(self.path(name))
    self.put(content, name)
    EpisodeLog(self.log).verify()

  @parameterized.parameters('dataset.json', 'seal.json')
  def test_each_truncation(self, name):
    content = self.content(name)
    for size in range(len(content)):
      self.put(content[:size], name)
      self.refused(self.path(name))

  @parameterized.parameters(b'[' * 100_000, b'{"a":' * 100_000, b'\xff\xfe',
                            b' ' * (2**24 + 1), b'null', b'1e999')
  def test_absurd_json(self, content):
    for name in ('dataset.json', 'seal.json'):
      before = self.content(name)
      self.put(content, name)
      self.refused(self.path(name))
      self.put(before, name)

  def test_a_header_of_the_first_release_has_no_checksum(self):
    content = json.loads(self.content('dataset.json'))
    del content[checked_json.CHECK]
    self.put(json.dumps(content).encode(), 'dataset.json')
    EpisodeLog(self.log).verify()
    self.put(json.dumps({**content, 'chfck': '0'}).encode(), 'dataset.json')
    self.refused('unknown fields', 'chfck')

  @parameterized.parameters(
      {'observation_shape': [1e308 * 10, 1, 1]}, {'observation_shape': 'abc'},
      {'observation_shape': [-3, 4, 1]}, {'num_actions': 'x'},
      {'legal_actions': [0, 10**30]}, {'stack': None}, {'codec': []},
      {'sticky_actions': '0.25'})
  def test_impossible_tasks(self, **changes):
    content = json.loads(self.content('dataset.json'))
    del content[checked_json.CHECK]
    content['task'].update(changes)
    self.put(json.dumps(content).encode(), 'dataset.json')
    self.refused('impossible value')

  def test_a_missing_writer(self):
    shutil.rmtree(self.path('1'))
    self.refused(self.path('1', INDEX), 'has 2 writers', 'Copy the data set')

  def test_lost_episodes_that_leave_a_whole_log(self):
    lines = self.content('1', INDEX).splitlines(keepends=True)
    entries, _ = block_index.read_index(self.path('1'))
    self.put(b''.join(lines[:2]), '1', INDEX)
    os.truncate(self.path('1', SHARD), block_index.committed_bytes(entries[:2]))
    self.refused(self.path('1', INDEX), 'seal.json')
    os.unlink(self.path('seal.json'))
    self.assertFalse(EpisodeLog(self.log).sealed)

  def test_a_sealed_log_may_grow(self):
    write(self.log, games=1)
    self.assertTrue(EpisodeLog(self.log).sealed)
    self.assertEqual(EpisodeLog(self.log).num_episodes, 8)

  def test_swapped_writers(self):
    os.unlink(self.path('seal.json'))
    for name in ('01', '10'):
      os.rename(self.path(name[0]), self.path(f'new{name[1]}'))
    for name in '01':
      os.rename(self.path(f'new{name}'), self.path(name))
    self.refused(self.path('0', INDEX), 'record 0', 'writer 1')

  def test_swapped_blocks(self):
    entries, _ = block_index.read_index(self.path('0'))
    shard = self.content('0', SHARD)
    records = [shard[e.offset:e.offset + e.length] for e in entries]
    records[0], records[2] = records[2], records[0]
    self.put(b''.join(records), '0', SHARD)
    self.refused(self.path('0', SHARD), 'record 0, byte 0')

  @parameterized.parameters(
      {'length': -1}, {'rows': 10**9}, {'rows': -4}, {'real': 99},
      {'offset': 10**30}, {'env_steps': -1}, {'raw_return': float('nan')},
      {'rows': True}, {'episode': -1}, {'crc32': 0.5}, {'end': []})
  def test_impossible_lines_with_a_right_checksum(self, **changes):
    os.unlink(self.path('seal.json'))
    lines = self.content('0', INDEX).splitlines(keepends=True)
    fields = json.loads(lines[0])
    del fields['check']
    fields.update(changes)
    fields['check'] = block_index._check_of(fields)
    self.put(b''.join([json.dumps(fields).encode() + b'\n', *lines[1:]]),
             '0', INDEX)
    self.refused(self.path('0'), 'record 0')

  @parameterized.parameters(
      {'action': 3}, {'action': -1}, {'reward': float('nan')},
      {'raw_reward': float('inf')}, {'real': False})
  def test_impossible_values_with_a_right_checksum(self, **changes):
    os.unlink(self.path('seal.json'))
    entries, _ = block_index.read_index(self.path('0'))
    rows = [row(step, False)._replace(**changes) for step in range(4)]
    layout = EpisodeLog(self.log).header.layout()
    record = blocks.encode_block(0, rows, layout, 'test')
    entry = block_index.BlockEntry(
        **{**entries[0].__dict__, 'length': len(record), 'end': 'cut',
           'crc32': block_index.checksum(record)})
    self.put(record, '0', SHARD)
    self.put(block_index.encode_line(entry), '0', INDEX)
    self.refused(self.path('0', SHARD), 'record 0')

  def test_folders_that_only_look_like_writers(self):
    for name in ('01', '٣', 'x', '99999999999', '..1'):
      os.mkdir(self.path(name))
    self.assertEqual(EpisodeLog(self.log).num_episodes, 6)

  def test_frames_too_large_for_a_block(self):
    large = TaskSpec(**{**TASK.__dict__, 'observation_shape': (9000, 9000, 3)})
    with self.assertRaisesRegex(IncompatibleDataError, 'observation takes'):
      EpisodeLogWriter(os.path.join(self.folder, 'large'), large, ())
    self.put(checked_json.encode({
        **{k: v for k, v in json.loads(self.content('dataset.json')).items()
           if k != 'check'}, 'task': large.to_json()}), 'dataset.json')
    self.refused('would take 972000000 bytes')


class OverlayDamageTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    folder = self.create_tempdir().full_path
    self.base, self.overlay = (os.path.join(folder, n) for n in 'bo')
    write(self.base, writers=1)
    write(self.overlay, writers=1, overlay=True)
    EpisodeLog(self.base).with_overlay(self.overlay).verify()

  @parameterized.parameters('dataset.json', f'0/{INDEX}', f'0/{SHARD}')
  def test_truncations_and_flips(self, name):
    path = os.path.join(self.overlay, name)
    with open(path, 'rb') as file:
      content = file.read()
    random = np.random.default_rng(1)
    damaged = [content[:size] for size in np.linspace(
        0, len(content) - 1, 25).astype(int)]
    for place in random.integers(0, len(content), 50):
      changed = bytearray(content)
      changed[place] ^= 1 << random.integers(8)
      damaged.append(bytes(changed))
    for content in damaged:
      with open(path, 'wb') as file:
        file.write(content)
      with self.assertRaises((DataFileError, IncompatibleDataError)) as caught:
        EpisodeLog(self.base).with_overlay(self.overlay).verify()
      self.assertIn(self.overlay, str(caught.exception))


if __name__ == '__main__':
  absltest.main()
