"""RLDS data sets of the true layout, whole and broken."""

import json
import os

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from tests.offline_data import rlds_files_by_hand as by_hand
from tests.offline_data import synthetic_episodes
from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import (
  DataFileError,
  IncompatibleDataError,
  UsageError,
)
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.importing import import_dataset, summary_rows


class RldsSourceTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'Pong_run_1', '1.1.0')
    self.shard = by_hand.shard(self.source, 'checkpoint_00')
    self.output = os.path.join(self.folder, 'data')

  def write(self, *episodes, **arguments):
    by_hand.write(self.source, {'checkpoint_00': [
        [by_hand.example(episode) for episode in episodes]]}, **arguments)

  def run_import(self, task='Pong', **arguments):
    return import_dataset(open_source('rlds', self.source, task), self.output,
                          **arguments)

  def episodes(self):
    return list(EpisodeLog(self.output).episodes())

  def refused(self, error_type, *texts, task='Pong'):
    with self.assertRaises(error_type) as caught:
      self.run_import(task)
    for text in texts:
      self.assertIn(text, str(caught.exception))
    self.assertFalse(os.path.exists(self.output))
    self.assertFalse(os.path.exists(self.output + '.partial'))

  @parameterized.parameters('terminal', 'truncated', 'cut')
  def test_everything_is_where_it_belongs(self, end):
    self.write(by_hand.episode(6, end, first=20))
    summary = self.run_import()
    (episode,) = self.episodes()
    self.assertEqual(episode.end, end)
    self.assertEqual((summary.steps, summary.rows), (5, 6))
    steps = range(20, 25)
    np.testing.assert_array_equal(episode.observation, [
        synthetic_episodes.frame(s) for s in [*steps, 25]])
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
    self.assertEqual((episode.action[-1], episode.raw_reward[-1]), (0, 0))

  def test_no_episode_goes_over_a_border_and_splits_are_in_order(self):
    shards = {f'checkpoint_{n:02d}': [
        [by_hand.example(by_hand.episode(4, 'truncated', first=first))
         for first in (100 * n, 100 * n + 10)]] for n in range(2)}
    shards['checkpoint_00'].append([by_hand.example(by_hand.episode(
        3, first=50))])
    by_hand.write(self.source, shards)
    self.run_import()
    found = self.episodes()
    begins = [0, 10, 50, 100, 110]
    self.assertEqual([len(e.real) for e in found], [4, 4, 3, 4, 4])
    for episode, begin in zip(found, begins):
      np.testing.assert_array_equal(
          episode.observation[0], synthetic_episodes.frame(begin))
    np.testing.assert_array_equal(np.concatenate(
        [e.env_step[e.real] for e in found]), range(14))

  def test_rl_unplugged_is_known(self):
    self.write(by_hand.episode(4))
    seen = []
    summary = self.run_import(progress=seen.append)
    log = EpisodeLog(self.output)
    self.assertEqual(log.task.observation_shape, (12, 10, 1))
    self.assertEqual(log.task.sticky_actions, 0.25)
    self.assertEqual(log.header.provenance['config'], 'Pong_run_1')
    self.assertEqual(summary.notes, ())
    self.assertEqual(seen[-1], 1)
    self.assertIn(('Episodes', '1'), summary_rows(summary))
    json.dumps(log.header.provenance)

  def test_other_sets_say_what_is_not_known(self):
    name = 'my_set'
    by_hand.write(self.source, {}, name=name)
    by_hand.write_json(self.source, 'dataset_info.json', by_hand.information(
        {'train': [1]}, name=name))
    by_hand.write_shard(by_hand.shard(self.source, 'train', name=name),
                        [by_hand.example(by_hand.episode(3))])
    summary = self.run_import()
    self.assertIn('not recorded', summary.notes[0])
    self.assertEqual(EpisodeLog(self.output).task.sticky_actions, 0)

  def test_folder_above_and_conversion(self):
    self.write(by_hand.episode(3))
    self.source = os.path.dirname(self.source)
    self.run_import(resolution=16, grayscale=False)
    self.assertEqual(self.episodes()[0].observation.shape, (3, 16, 16, 3))

  def test_legacy_features_json(self):
    def legacy(name, content):
      return {'type': f'tensorflow_datasets.core.features.{name}',
              'content': content}
    def tensor(dtype):
      return legacy('tensor_feature.Tensor', {
          'shape': [], 'dtype': dtype, 'encoding': 'none'})
    steps = legacy('features_dict.FeaturesDict', {
        'observation': legacy('image_feature.Image', {
            'shape': by_hand.SHAPE, 'dtype': 'uint8',
            'encoding_format': 'png'}),
        'action': tensor('int64'), 'reward': tensor('float32'),
        **{n: tensor('bool') for n in ('is_first', 'is_last', 'is_terminal')}})
    self.write(by_hand.episode(4), feature_json=legacy(
        'features_dict.FeaturesDict', {'steps': legacy(
            'dataset_feature.Dataset', {'feature': steps, 'length': None})}))
    self.assertEqual(self.run_import().steps, 3)

  def test_numbers_instead_of_pictures(self):
    columns = by_hand.episode(4)
    columns['observation'] = [
        synthetic_episodes.frame(s, (10, 10, 10)) for s in range(4)]
    columns['action'] = [0, 1, 3, 0]
    self.write(columns, feature_json=by_hand.features(
        by_hand.tensor('uint8', 10, 10, 10)))
    by_hand.write_json(self.source, 'dataset_info.json', by_hand.information(
        {'checkpoint_00': [1]}, configName=''))
    self.run_import('tiny:catch')
    np.testing.assert_array_equal(self.episodes()[0].observation,
                                  columns['observation'])

  def test_episode_without_a_step_and_discounts_are_counted(self):
    odd = by_hand.episode(5)
    odd['discount'][1] = 0
    self.write(by_hand.episode(1), odd)
    left_out = dict(self.run_import().left_out)
    self.assertEqual(left_out, {
        'episodes without a step': 1,
        'discounts other than 1 within an episode (not used)': 1})

  # Bad input.

  def test_output_that_exists(self):
    self.write(by_hand.episode(3))
    os.makedirs(self.output)
    with self.assertRaisesRegex(UsageError, 'exists already'):
      self.run_import()

  def test_nothing_there(self):
    self.refused(DataFileError, self.source, 'no data set')

  def test_several_data_sets(self):
    self.write(by_hand.episode(3))
    self.source = os.path.join(self.folder, 'Pong_run_1', '1.0.0')
    self.write(by_hand.episode(3))
    self.source = self.folder
    self.refused(DataFileError, '2 data sets', '1.0.0')

  @parameterized.parameters(({},), ({'checkpoint_00': []},),
                            ({'checkpoint_00': [[]]},))
  def test_empty_set(self, splits):
    by_hand.write(self.source, splits)
    self.refused(DataFileError, self.source, 'empty')

  def test_only_episodes_without_a_step(self):
    self.write(by_hand.episode(1))
    self.refused(DataFileError, 'no step to learn from')

  @parameterized.parameters('dataset_info.json', 'features.json', None)
  def test_missing_file(self, name):
    self.write(by_hand.episode(3))
    path = os.path.join(self.source, name) if name else self.shard
    os.unlink(path)
    self.refused(DataFileError, 'no data set' if name == 'dataset_info.json'
                 else path)

  def test_truncated_anywhere(self):
    self.write(by_hand.episode(4), by_hand.episode(3))
    with open(self.shard, 'rb') as file:
      content = file.read()
    for size in np.linspace(0, len(content) - 1, 15).astype(int):
      with open(self.shard, 'wb') as file:
        file.write(content[:size])
      self.refused(DataFileError, self.shard, 'record')

  def test_flipped_bits_anywhere(self):
    self.write(by_hand.episode(4), by_hand.episode(3))
    with open(self.shard, 'rb') as file:
      content = file.read()
    for place in [*range(0, 16, 2), *np.linspace(
        16, len(content) - 1, 14).astype(int)]:
      damaged = bytearray(content)
      damaged[place] ^= 16
      with open(self.shard, 'wb') as file:
        file.write(damaged)
      self.refused(DataFileError, self.shard, 'record')

  def test_flipped_bits_in_the_descriptions(self):
    self.write(by_hand.episode(3))
    for name in ('features.json', 'dataset_info.json'):
      path = os.path.join(self.source, name)
      with open(path, 'rb') as file:
        content = file.read()
      for place in np.linspace(0, len(content) - 1, 40).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 1
        with open(path, 'wb') as file:
          file.write(damaged)
        try:
          list(open_source('rlds', self.source, 'Pong').rows())
        except (DataFileError, IncompatibleDataError):
          continue  # any other error fails; a letter of a text is no fault
      with open(path, 'wb') as file:
        file.write(content)

  @parameterized.parameters(
      'observation', 'action', 'reward', 'is_first', 'is_last', 'is_terminal')
  def test_missing_column(self, column):
    features = by_hand.features(**{column: None} if column != 'observation'
                                else {})
    if column == 'observation':
      inner = features['featuresDict']['features']['steps']['sequence'][
          'feature']['featuresDict']['features']
      del inner['observation']
    self.write(by_hand.episode(3), feature_json=features)
    self.refused(DataFileError, 'features.json', f'no {column}')

  def test_column_that_the_records_lack(self):
    columns = by_hand.episode(3)
    del columns['reward']
    self.write(columns)
    self.refused(DataFileError, self.shard, 'record 0', 'steps/reward has 0')

  def test_another_games_actions(self):
    columns = by_hand.episode(5)
    columns['action'][2] = 6
    self.write(by_hand.episode(3), columns)
    self.refused(IncompatibleDataError, f'{self.shard}, record 1, step 2',
                 'action is 6', '[0, 1, 2, 3, 4, 5]')

  def test_another_game(self):
    self.write(by_hand.episode(3))
    self.refused(IncompatibleDataError, 'data of Pong', task='Alien')

  def test_unknown_task(self):
    self.write(by_hand.episode(3))
    self.refused(UsageError, 'Did you mean Pong', task='Pogn')

  def test_mixed_resolutions(self):
    self.write(by_hand.episode(3), by_hand.episode(3, shape=(12, 12, 1)))
    self.refused(IncompatibleDataError, f'{self.shard}, record 1',
                 '[12, 12, 1], expected [12, 10, 1]')

  @parameterized.parameters(
      ('is_first', 1, 'is_first'), ('is_last', 1, 'is_last'),
      ('is_terminal', 0, 'is_terminal'))
  def test_flags_within_an_episode(self, column, step, text):
    columns = by_hand.episode(4)
    columns[column][step] = 1
    self.write(columns)
    self.refused(DataFileError, self.shard, 'record 0', text)

  def test_episode_without_its_beginning(self):
    columns = by_hand.episode(4)
    columns['is_first'][0] = 0
    self.write(columns)
    self.refused(DataFileError, 'is_first')

  def test_reward_that_is_no_number(self):
    columns = by_hand.episode(4)
    columns['reward'][1] = np.inf
    self.write(columns)
    self.refused(DataFileError, self.shard, 'step 1 is inf')

  def test_unknown_version_and_file_format(self):
    self.write(by_hand.episode(3), fileFormat='array_record')
    self.refused(DataFileError, "'array_record'", 'tfrecord')
    self.write(by_hand.episode(3), hologram=3)
    self.refused(DataFileError, 'dataset_info.json', 'unknown version')

  def test_no_pictures(self):
    columns = by_hand.episode(3)
    columns['observation'] = [b'GIF89a' + bytes(40)] * 3
    self.write(columns)
    self.refused(DataFileError, self.shard, 'frame 0', 'neither PNG nor JPEG')

  def test_damaged_picture_within_a_whole_record(self):
    columns = by_hand.episode(3)
    picture = columns['observation'][1]
    columns['observation'][1] = picture[:40] + bytes(20) + picture[60:]
    self.write(columns)
    self.refused(DataFileError, self.shard, 'record 0', 'frame 1')

if __name__ == '__main__':
  tf.test.main()
