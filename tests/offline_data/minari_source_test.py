"""Minari data sets of the true layouts, whole and broken."""

import json
import os
import sys

from absl.testing import absltest, parameterized
import h5py
import numpy as np

from tests.offline_data import minari_files_by_hand as by_hand
from tests.offline_data import synthetic_episodes
from tests.offline_data.watched_import import watched
from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import (
  DataFileError,
  IncompatibleDataError,
  UsageError,
)
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.importing import import_dataset

_WRITERS = {'hdf5': by_hand.write_hdf5, 'arrow': by_hand.write_arrow}


class MinariSourceTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'pong', 'test-v0')
    self.hdf5 = os.path.join(self.source, 'data', 'main_data.hdf5')
    self.metadata = os.path.join(self.source, 'data', 'metadata.json')
    self.output = os.path.join(self.folder, 'out')

  def run_import(self, task='Pong', **arguments):
    return import_dataset(open_source('minari', self.source, task),
                          self.output, **arguments)

  def episodes(self):
    return list(EpisodeLog(self.output).episodes())

  def refused(self, error_type, *texts, task='Pong'):
    with self.assertRaises(error_type) as caught:
      self.run_import(task)
    for text in texts:
      self.assertIn(text, str(caught.exception))
    self.assertFalse(os.path.exists(self.output))
    self.assertFalse(os.path.exists(self.output + '.partial'))

  @parameterized.product(layout=['hdf5', 'arrow', 'parquet'],
                         end=['terminal', 'truncated', 'cut'])
  def test_everything_is_where_it_belongs(self, layout, end):
    episodes = [by_hand.episode(3, 'truncated'),
                by_hand.episode(5, end, first=20)]
    if layout == 'hdf5':
      by_hand.write_hdf5(self.source, episodes)
    else:
      by_hand.write_arrow(self.source, episodes, layout)
    summary = self.run_import()
    self.assertEqual((summary.steps, summary.rows), (8, 10))
    episode = self.episodes()[1]
    self.assertEqual(episode.end, end)
    steps = range(20, 25)
    np.testing.assert_array_equal(episode.observation, [
        synthetic_episodes.frame(s, by_hand.SHAPE) for s in [*steps, 25]])
    np.testing.assert_array_equal(
        episode.action[:-1],
        [synthetic_episodes.PONG[synthetic_episodes.action(s)] for s in steps])
    raw = np.array([7 * synthetic_episodes.reward(s) for s in steps])
    np.testing.assert_array_equal(episode.raw_reward[:-1], raw)
    np.testing.assert_array_equal(episode.reward[:-1], np.sign(raw))
    np.testing.assert_array_equal(episode.real, [1] * 5 + [0])
    for name in ('terminal', 'truncated'):
      np.testing.assert_array_equal(getattr(episode, name),
                                    [0] * 4 + [end == name, 0])
    np.testing.assert_array_equal(episode.env_step, range(3, 9))

  def test_environment_is_read_as_text(self):
    by_hand.write_hdf5(
        self.source, [by_hand.episode(3)], env_spec=by_hand.ale_spec(
            frameskip=2, repeat_action_probability=0.5))
    summary = self.run_import()
    task = EpisodeLog(self.output).task
    self.assertEqual((task.frame_skip, task.sticky_actions), (2, 0.5))
    self.assertIn('no checksums', summary.notes[0])
    json.dumps(EpisodeLog(self.output).header.provenance)

  @parameterized.parameters(
      ({'mode': 1}, 'Pong-m1-d0'), ({'difficulty': 3}, 'Pong-m0-d3'),
      ({'mode': 1, 'difficulty': 2}, 'Pong-m1-d2'),
      ({'mode': 0, 'difficulty': 0}, 'Pong'), ({'mode': None}, 'Pong'))
  def test_modes_and_difficulties(self, arguments, task):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)],
                       env_spec=by_hand.ale_spec(**arguments))
    other = 'Pong' if task != 'Pong' else 'Pong-m1-d0'
    self.refused(IncompatibleDataError, f'environment is {task}. Expected',
                 task=other)
    self.run_import(task)
    self.assertEqual(EpisodeLog(self.output).task.name, task)

  def test_defaults_of_ale(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    self.run_import()
    task = EpisodeLog(self.output).task
    self.assertEqual((task.frame_skip, task.sticky_actions), (4, 0.25))

  def test_no_environment(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)], env_spec=None)
    self.assertIn('not recorded', self.run_import().notes[0])

  def test_all_18_actions_are_ids(self):
    columns = by_hand.episode(3)
    columns['actions'] = np.array([12, 0, 11])
    by_hand.write_hdf5(self.source, [columns],
                       action_space=by_hand.discrete(18))
    self.run_import()
    np.testing.assert_array_equal(self.episodes()[0].action, [12, 0, 11, 0])

  def test_actions_that_begin_elsewhere(self):
    columns = by_hand.episode(3)
    columns['actions'] = np.array([7, 5, 6])
    by_hand.write_hdf5(self.source, [columns],
                       action_space=by_hand.discrete(6, start=5))
    self.run_import()
    np.testing.assert_array_equal(self.episodes()[0].action, [3, 0, 1, 0])

  @parameterized.parameters('hdf5', 'arrow')
  def test_jpeg(self, layout):
    shape = (40, 36, 3)
    columns = by_hand.episode(3, shape=shape)
    smooth = np.indices(shape)[:2].sum(0) * 3
    columns['observations'] = (smooth + np.arange(4)[:, None, None, None]
                               ).astype(np.uint8)
    files = [by_hand.jpeg(f) for f in columns['observations']]
    if layout == 'hdf5':
      stored = {**columns, 'observations': np.zeros([4], np.uint8)}
      by_hand.write_hdf5(self.source, [stored],
                         observation_space=by_hand.box(shape))
      with h5py.File(self.hdf5, 'a') as file:
        del file['episode_0/observations']
        pictures = file['episode_0'].create_dataset(
            'observations', [4], h5py.vlen_dtype(np.uint8))
        for step, data in enumerate(files):
          pictures[step] = np.frombuffer(data, np.uint8)
    else:
      self._write_arrow_files(columns, files, shape)
    summary = self.run_import()
    self.assertIn('JPEG', summary.notes[0])
    difference = (self.episodes()[0].observation.astype(int)
                  - columns['observations'])
    self.assertLess(np.abs(difference).max(), 12)

  def _write_arrow_files(self, columns, files, shape):
    by_hand.write_arrow(self.source, [columns],
                        observation_space=by_hand.box(shape))
    folder = os.path.join(self.source, 'data', '0')
    (name,) = [n for n in os.listdir(folder) if n.endswith('.arrow')]
    table = by_hand.arrow_dataset.dataset(
        os.path.join(folder, name), format='arrow').to_table()
    index = table.column_names.index('observations')
    table = table.set_column(index, 'observations', by_hand.pyarrow.array(
        files, by_hand.pyarrow.binary()))
    with by_hand.pyarrow.OSFile(os.path.join(folder, name), 'wb') as file:
      with by_hand.pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)

  def test_vectors(self):
    columns = by_hand.episode(4)
    columns['observations'] = np.arange(20, dtype=np.float64).reshape([5, 4])
    columns['actions'] %= 2
    columns['rewards'] += 0.1
    by_hand.write_hdf5(
        self.source, [columns], action_space=by_hand.discrete(2),
        observation_space=by_hand.box([4], 'float64', -9, 9),
        env_spec=by_hand.ale_spec().replace('ALE/Pong-v5', 'CartPole-v1'))
    summary = self.run_import('gym:CartPole-v1')
    self.assertLen(summary.notes, 3)  # float64 twice, no checksums
    np.testing.assert_array_equal(self.episodes()[0].observation,
                                  columns['observations'])
    np.testing.assert_array_equal(self.episodes()[0].reward[:-1],
                                  columns['rewards'].astype(np.float32))

  # Bad input.

  def test_output_that_exists(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    os.makedirs(self.output)
    with self.assertRaisesRegex(UsageError, 'exists already'):
      self.run_import()

  def test_nothing_there(self):
    self.refused(DataFileError, self.source, 'data/metadata.json')

  @parameterized.parameters('hdf5', 'arrow')
  def test_empty_set(self, layout):
    _WRITERS[layout](self.source, [])
    self.refused(DataFileError, self.source, 'empty')

  @parameterized.parameters(
      ({'minari_version': '9.9.9'}, DataFileError, "Minari '9.9.9'"),
      ({'minari_version': None}, DataFileError, 'Minari None'),
      ({'data_format': 'zarr'}, DataFileError, "'zarr'"),
      ({'total_episodes': -1}, DataFileError, 'total_episodes is -1'),
      ({'total_episodes': 3}, DataFileError, 'expected 3'),
      ({'total_steps': 77}, DataFileError, 'total_steps is 77'),
      ({'action_space': by_hand.discrete(4)}, IncompatibleDataError,
       'have 4 actions, but Pong has 6 or 18'),
      ({'observation_space': by_hand.box((4, 10, 10))}, IncompatibleDataError,
       'uint8[4, 10, 10]'),
      ({'observation_space': '{"type": "Dict", "subspaces": {}}'},
       IncompatibleDataError, "'Dict'"),
      ({'observation_space': '{'}, DataFileError, 'damaged'),
      ({'env_spec': by_hand.ale_spec('Alien')}, IncompatibleDataError,
       'is Alien'),
      ({'env_spec': by_hand.ale_spec(mode='1')}, DataFileError,
       "difficulty '1'"),
      ({'env_spec': '[]'}, DataFileError, 'env_spec'))
  def test_metadata(self, changes, error_type, text):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)], **changes)
    self.refused(error_type, text)

  def test_unknown_task(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    self.refused(UsageError, 'Did you mean Pong', task='Pogn')

  @parameterized.product(
      layout=['hdf5', 'arrow'],
      column=['observations', 'actions', 'rewards', 'terminations',
              'truncations'])
  def test_missing_column(self, layout, column):
    columns = by_hand.episode(3)
    if layout == 'hdf5':
      del columns[column]
      columns.setdefault('rewards', np.zeros([0]))
      by_hand.write_hdf5(self.source, [by_hand.episode(3)])
      with h5py.File(self.hdf5, 'a') as file:
        del file[f'episode_0/{column}']
    else:
      by_hand.write_arrow(self.source, [columns])
      self._drop_arrow_column(column)
    self.refused(DataFileError, f'the column {column} is missing', 'record 0')

  def _drop_arrow_column(self, column):
    folder = os.path.join(self.source, 'data', '0')
    (name,) = [n for n in os.listdir(folder) if n.endswith('.arrow')]
    table = by_hand.arrow_dataset.dataset(
        os.path.join(folder, name), format='arrow').to_table()
    table = table.drop_columns([column])
    with by_hand.pyarrow.OSFile(os.path.join(folder, name), 'wb') as file:
      with by_hand.pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)

  def test_another_games_actions(self):
    columns = by_hand.episode(3)
    columns['actions'][1] = 6
    by_hand.write_hdf5(self.source, [columns])
    self.refused(IncompatibleDataError, f'{self.hdf5}, record 0, step 1',
                 'action is 6')

  def test_mixed_resolutions(self):
    by_hand.write_hdf5(self.source, [
        by_hand.episode(3), by_hand.episode(3, shape=(12, 12, 3))])
    self.refused(DataFileError, f'{self.hdf5}, record 1', '[4, 12, 12, 3]',
                 'Expected [4, 12, 10, 3]')

  def test_flag_within_an_episode(self):
    columns = by_hand.episode(4)
    columns['truncations'][1] = True
    by_hand.write_hdf5(self.source, [columns])
    self.refused(DataFileError, 'truncations has a flag at step 1')

  def test_reward_that_is_no_number(self):
    columns = by_hand.episode(4)
    columns['rewards'][2] = np.nan
    by_hand.write_hdf5(self.source, [columns])
    self.refused(DataFileError, self.hdf5, 'step 2 is nan')

  @parameterized.parameters('hdf5', 'arrow')
  def test_truncated_anywhere(self, layout):
    _WRITERS[layout](self.source, [by_hand.episode(3), by_hand.episode(3)])
    path = self.hdf5
    if layout == 'arrow':
      folder = os.path.join(self.source, 'data', '1')
      path = os.path.join(folder, [
          n for n in os.listdir(folder) if n.endswith('.arrow')][0])
    with open(path, 'rb') as file:
      content = file.read()
    for size in np.linspace(0, len(content) - 1, 12).astype(int):
      with open(path, 'wb') as file:
        file.write(content[:size])
      self.refused(DataFileError, os.path.join(self.source, 'data'))

  def test_flipped_bits_never_end_in_another_error(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    for path in (self.hdf5, self.metadata):
      with open(path, 'rb') as file:
        content = file.read()
      for place in np.linspace(0, len(content) - 1, 50).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 1
        with open(path, 'wb') as file:
          file.write(damaged)
        try:
          list(open_source('minari', self.source, 'Pong').rows())
        except (DataFileError, IncompatibleDataError):
          continue
      with open(path, 'wb') as file:
        file.write(content)

  # Hostile input.

  @parameterized.parameters('external', 'soft', 'group')
  def test_links_are_not_followed(self, kind):
    other = os.path.join(self.folder, 'other')
    by_hand.write_hdf5(other, [by_hand.episode(3)])
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    link = h5py.ExternalLink(os.path.join(other, 'data', 'main_data.hdf5'),
                             '/episode_0/actions')
    with h5py.File(self.hdf5, 'a') as file:
      if kind == 'group':
        del file['episode_0']
        file['episode_0'] = h5py.ExternalLink(link.filename, '/episode_0')
      else:
        del file['episode_0/actions']
        file['episode_0/actions'] = link if kind == 'external' else (
            h5py.SoftLink('/episode_0/rewards'))
    self.refused(DataFileError, self.hdf5, 'is a link to another place',
                 'Soft' if kind == 'soft' else 'External')

  def test_arrays_in_other_files_are_not_opened(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    secret = os.path.join(self.folder, 'secret')
    with open(secret, 'wb') as file:
      file.write(bytes(64))
    with h5py.File(self.hdf5, 'a') as file:
      del file['episode_0/rewards']
      file['episode_0'].create_dataset(
          'rewards', [3], np.float64, external=[(secret, 0, 24)])
    self.refused(DataFileError, 'rewards lies in another file')
    layout = h5py.VirtualLayout((3,), np.float64)
    layout[:] = h5py.VirtualSource(secret, 'x', (3,))
    with h5py.File(self.hdf5, 'a') as file:
      del file['episode_0/rewards']
      file['episode_0'].create_virtual_dataset('rewards', layout)
    self.refused(DataFileError, 'rewards lies in another file')

  def test_absurd_size_is_not_read(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    with h5py.File(self.hdf5, 'a') as file:
      file['episode_0/infos'].create_dataset(
          'x', [2**40], np.float64, chunks=(2**10,))
    self.refused(DataFileError, 'infos/x claims 8796093022208 bytes')

  def test_picture_of_another_kind_is_not_opened(self):
    shape = (40, 36, 3)
    columns = by_hand.episode(3, shape=shape)
    columns['observations'] = np.zeros([4, 20], np.uint8)
    columns['observations'][:, :10] = np.frombuffer(b'%!PS-Adobe', np.uint8)
    by_hand.write_hdf5(self.source, [columns],
                       observation_space=by_hand.box(shape))
    self.refused(DataFileError, 'frame 0 is no JPEG')

  @parameterized.parameters('observation_space', 'action_space')
  def test_environment_is_not_made(self, missing):
    touched = os.path.join(self.folder, 'touched')
    by_hand.write_hdf5(self.source, [by_hand.episode(3)], **{missing: None})
    with open(os.path.join(self.folder, 'planted_module.py'), 'w') as file:
      file.write(f'open({touched!r}, "w").close()\n')
    sys.path.insert(0, self.folder)
    try:
      self.refused(DataFileError, missing, 'is not made')
    finally:
      sys.path.remove(self.folder)
    self.assertFalse(os.path.exists(touched))

  def test_nothing_runs_and_nothing_is_contacted(self):
    by_hand.write_hdf5(self.source, [by_hand.episode(3)])
    touched = os.path.join(self.folder, 'touched')
    with open(os.path.join(self.source, 'planted_module.py'), 'w') as file:
      file.write(f'open({touched!r}, "w").close()\n')
    self.assertIn('watched []', watched('minari', self.source, self.source))
    self.assertFalse(os.path.exists(touched))


if __name__ == '__main__':
  absltest.main()
