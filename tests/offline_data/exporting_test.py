"""What is exported comes back, here and in the formats' own libraries."""

import json
import os
import resource
import subprocess
import sys
from unittest import mock

from absl.testing import absltest, parameterized
import h5py
import minari
import numpy as np
import tensorflow_datasets as tfds

from tests.offline_data import synthetic_episodes
from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter
from xtra_tf.errors import (
  DataFileError,
  IncompatibleDataError,
  StorageError,
  UsageError,
)
from xtra_tf.offline_data import exporting, importing, rlds_target
from xtra_tf.offline_data.formats import export_format, open_source
from xtra_tf.runs import free_space
from xtra_tf.tasks import get_task

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
_NAMES = {'minari': 'pong-v0', 'rlds': 'pong'}


class ExportingTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.log = os.path.join(self.folder, 'log')
    self.back = os.path.join(self.folder, 'back')

  def path(self, name):
    return os.path.join(self.folder, 'sets', _NAMES[name])

  def export(self, name, **arguments):
    return exporting.export_dataset(
        exporting.open_log(self.log), self.path(name), export_format(name),
        **arguments)

  def import_back(self, name, task='Pong'):
    return importing.import_dataset(
        open_source(name, self.path(name), task), self.back)

  @parameterized.product(
      name=['minari', 'rlds'],
      task=['Pong', 'rgb', 'tiny:catch', 'gym:CartPole-v1'],
      columns=[(), synthetic_episodes.COLUMNS])
  def test_round_trip(self, name, task, columns):
    spec = (get_task('Pong', resolution=40) if task == 'rgb' else
            get_task(task, resolution=12, grayscale=True))
    synthetic_episodes.write_log(self.log, spec, columns)
    summary = self.export(name)
    self.import_back(name, spec.name)
    np.testing.assert_equal(synthetic_episodes.content(self.back),
                            synthetic_episodes.content(self.log))
    log, back = EpisodeLog(self.log), EpisodeLog(self.back)
    self.assertEqual(back.task, log.task)
    self.assertEqual(back.columns, log.columns)
    self.assertEqual(back.header.provenance['exported_from'],
                     log.header.provenance)
    self.assertEqual(summary.ends, {'terminal': 1, 'truncated': 1, 'cut': 1})
    self.assertEqual(summary.rows, log.num_rows)

  def test_progress_and_table(self):
    synthetic_episodes.write_log(self.log)
    for name in _NAMES:
      seen = []
      summary = self.export(name, progress=seen.append)
      self.assertEqual(seen[-1], summary.rows)
      table = dict(exporting.summary_rows(summary))
      self.assertEqual(table['Episodes'], '3')
      self.assertIn('12x12x1 uint8', table['Frames'])
      self.assertNotEmpty(summary.not_carried)

  def test_minari_reads_it(self):
    synthetic_episodes.write_log(self.log)
    self.export('minari')
    ours = list(EpisodeLog(self.log).episodes())
    data = minari.MinariDataset(os.path.join(self.path('minari'), 'data'))
    self.assertEqual(data.id, 'pong-v0')
    self.assertEqual(data.total_steps, sum(len(e.real) - 1 for e in ours))
    for own, episode in zip(ours, data.iterate_episodes()):
      np.testing.assert_array_equal(episode.observations[:, 0],
                                    own.observation)
      np.testing.assert_array_equal(episode.actions, own.action[:-1])
      np.testing.assert_array_equal(episode.rewards, own.raw_reward[:-1])
      self.assertEqual(episode.terminations[-1], own.end == 'terminal')
      self.assertEqual(episode.truncations[-1], own.end != 'terminal')
      self.assertFalse(episode.terminations[:-1].any()
                       or episode.truncations[:-1].any())

  def test_tensorflow_datasets_reads_it(self):
    synthetic_episodes.write_log(self.log)
    self.export('rlds')
    builder = tfds.builder_from_directory(self.path('rlds'))
    data = builder.as_dataset(split='train')
    for own, episode in zip(EpisodeLog(self.log).episodes(), data, strict=True):
      steps = list(episode['steps'].as_numpy_iterator())
      columns = {name: np.array([step[name] for step in steps])
                 for name in steps[0]}
      last = len(steps) - 1
      np.testing.assert_array_equal(columns['observation'], own.observation)
      np.testing.assert_array_equal(columns['action'], own.action)
      np.testing.assert_array_equal(columns['reward'], own.raw_reward)
      np.testing.assert_array_equal(np.flatnonzero(columns['is_first']), [0])
      np.testing.assert_array_equal(np.flatnonzero(columns['is_last']), [last])
      ended = [last] if own.end == 'terminal' else []
      np.testing.assert_array_equal(
          np.flatnonzero(columns['is_terminal']), ended)
      # The discount of the action that ends a game is 0, at its own step.
      self.assertEqual(columns['discount'][last - 1], not ended)
      self.assertTrue((columns['discount'][:last - 1] == 1).all())

  def test_many_shards(self):
    task = get_task('Pong', resolution=8, grayscale=True)
    writer = EpisodeLogWriter(self.log, task, ())
    for number in range(5):
      for step in range(2):
        writer.append(synthetic_episodes.log_row(task, number + step))
      writer.end_episode('cut')
    writer.close()
    with mock.patch.object(rlds_target, '_SHARD_EPISODES', 2):
      self.export('rlds')
    self.assertLen([n for n in os.listdir(self.path('rlds'))
                    if 'tfrecord' in n], 3)
    self.import_back('rlds')
    np.testing.assert_equal(synthetic_episodes.content(self.back),
                            synthetic_episodes.content(self.log))

  def test_damage_is_seen_by_our_checksum(self):
    """hdf5 itself would not notice."""
    synthetic_episodes.write_log(self.log)
    self.export('minari')
    path = os.path.join(self.path('minari'), 'data', 'main_data.hdf5')
    for column, record in (('observations', 0), ('actions', 1),
                           ('infos/reward', 2)):
      with h5py.File(path, 'a') as file:
        values = file[f'episode_{record}/{column}']
        whole = values[2]
        values[2] = values[1]
      with self.assertRaisesRegex(DataFileError, f'{path}, record {record}: .*'
                                  'checksum'):
        self.import_back('minari')
      with h5py.File(path, 'a') as file:
        file[f'episode_{record}/{column}'][2] = whole
    self.import_back('minari')

  # Bad input.

  @parameterized.parameters('minari', 'rlds')
  def test_another_task(self, name):
    synthetic_episodes.write_log(self.log)
    self.export(name)
    with self.assertRaisesRegex(IncompatibleDataError, 'are data of Pong'):
      self.import_back(name, 'Alien')

  @parameterized.product(
      name=['minari', 'rlds'], field=['version', 'task', 'columns', 'actions'])
  def test_damaged_description(self, name, field):
    synthetic_episodes.write_log(self.log)
    self.export(name)
    path = os.path.join(self.path(name), 'data' if name == 'minari' else '',
                        'metadata.json')
    with open(path) as file:
      content = json.load(file)
    if field == 'actions':
      content['xtra_tf']['task']['legal_actions'] = [0, 1]
    else:
      content['xtra_tf'][field] = 99
    with open(path, 'w') as file:
      json.dump(content, file)
    with self.assertRaises((DataFileError, IncompatibleDataError)) as caught:
      self.import_back(name)
    self.assertIn({'version': 'Expected version 1', 'actions': 'legal_actions'
                   }.get(field, 'impossible value'), str(caught.exception))

  @parameterized.parameters('minari', 'rlds')
  def test_output_that_exists(self, name):
    synthetic_episodes.write_log(self.log)
    os.makedirs(self.path(name))
    with self.assertRaisesRegex(UsageError, 'exists already'):
      self.export(name)
    self.assertEqual(os.listdir(self.path(name)), [])

  @parameterized.parameters(('minari', 'pong', 'pong-v0'),
                            ('minari', 'pong v-v0', 'pong-v0'),
                            ('rlds', 'Pong', 'lower case'))
  def test_name_that_the_format_does_not_allow(self, name, folder, text):
    synthetic_episodes.write_log(self.log)
    with self.assertRaisesRegex(UsageError, text):
      exporting.export_dataset(
          exporting.open_log(self.log), os.path.join(self.folder, folder),
          export_format(name))

  def test_unknown_format(self):
    with self.assertRaisesRegex(UsageError, 'Did you mean minari'):
      export_format('minary')

  def test_empty_log(self):
    EpisodeLogWriter(self.log, get_task('Pong'), ()).close()
    with self.assertRaisesRegex(DataFileError, 'holds no step'):
      exporting.open_log(self.log)

  @parameterized.parameters('minari', 'rlds')
  def test_damaged_log_leaves_no_output(self, name):
    synthetic_episodes.write_log(self.log)
    shard = os.path.join(self.log, '0', 'blocks.tfrecord')
    if not os.path.exists(shard):
      (shard,) = [os.path.join(self.log, '0', n) for n in os.listdir(
          os.path.join(self.log, '0')) if n.endswith('.tfrecord')]
    with open(shard, 'r+b') as file:
      file.seek(-40, os.SEEK_END)
      file.write(b'damage')
    with self.assertRaisesRegex(DataFileError, shard):
      self.export(name)
    self.assertEqual(os.listdir(os.path.join(self.folder, 'sets')), [])

  @parameterized.parameters('minari', 'rlds')
  def test_full_disk(self, name):
    synthetic_episodes.write_log(
        self.log, get_task('Pong', resolution=84), steps=9)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
      with self.assertRaises(StorageError):
        self.export(name)
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    self.assertEqual(os.listdir(os.path.join(self.folder, 'sets')), [])
    self.export(name)

  def test_too_little_room_is_known_before(self):
    task = get_task('Pong', resolution=84)
    log = synthetic_episodes.write_log(self.log, task)
    target = export_format('minari')(log.header, 'pong-v0')
    self.export('minari')
    written = os.path.getsize(os.path.join(
        self.path('minari'), 'data', 'main_data.hdf5'))
    self.assertBetween(target.needed_bytes(log), written / 2, written)
    with mock.patch.object(free_space, 'free_bytes', return_value=1000):
      with self.assertRaisesRegex(StorageError, 'No space left'):
        exporting.export_dataset(log, self.back, export_format('rlds'))
    self.assertFalse(os.path.exists(self.back))

  # The programs.

  def launch(self, program, *flags, code=''):
    command = [sys.executable, '-m', f'launchers.{program}']
    if code:
      command = [sys.executable, '-c', code + (
          f'; import sys, runpy; sys.argv[0] = "{program}"; runpy.run_module('
          f'"launchers.{program}", run_name="__main__")')]
    return subprocess.run([*command, *flags], cwd=_ROOT, capture_output=True,
                          text=True, timeout=120, check=False)

  def test_programs(self):
    synthetic_episodes.write_log(self.log)
    result = self.launch('export_dataset', '--format=minari',
                         f'--source={self.log}',
                         f'--output={self.path("minari")}')
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(result.stderr, '')
    self.assertIn('27/27 rows', result.stdout)
    self.assertIn('Not carried: Of `cut` episodes', result.stdout)
    self.assertEqual(result.stdout.splitlines()[-1], self.path('minari'))
    result = self.launch(
        'import_dataset', '--format=minari', '--task=Pong',
        f'--source={self.path("minari")}', f'--output={self.back}')
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn('3/3 episodes', result.stdout)

  @parameterized.parameters(('minari', 'minari'), ('minari', 'h5py'),
                            ('rlds', 'tensorflow_datasets'))
  def test_without_the_extra(self, name, module):
    synthetic_episodes.write_log(self.log)
    self.export(name)
    with mock.patch.dict(sys.modules, {module: None}):
      with self.assertRaisesRegex(UsageError, r'"xtra-tf\[data\]"'):
        self.import_back(name)
      with self.assertRaisesRegex(UsageError, r'"xtra-tf\[data\]"'):
        exporting.export_dataset(exporting.open_log(self.log), self.back,
                                 export_format(name))

  def test_programs_without_the_extra(self):
    missing = 'import sys; sys.modules["tensorflow_datasets"] = None'
    result = self.launch(
        'import_dataset', '--format=rlds', '--task=Pong', '--source=x',
        '--output=y', code=missing)
    self.assertEqual(result.returncode, 2)
    self.assertLen(result.stderr.splitlines(), 1)
    self.assertIn('pip install "xtra-tf[data]"', result.stderr)


if __name__ == '__main__':
  absltest.main()
