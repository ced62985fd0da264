"""RLDS data sets that want more than to be read."""

import copy
import json
import os
import sys

from absl.testing import absltest, parameterized

from tests.offline_data import rlds_files_by_hand as by_hand
from tests.offline_data.watched_import import watched
from xtra_tf.errors import DataFileError
from xtra_tf.offline_data import tfrecord_frames
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.importing import import_dataset


class RldsHostileTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'Pong_run_1', '1.1.0')
    self.shard = by_hand.shard(self.source, 'checkpoint_00')
    self.output = os.path.join(self.folder, 'data')

  def write(self, *episodes, **arguments):
    by_hand.write(self.source, {'checkpoint_00': [
        [by_hand.example(episode) for episode in episodes]]}, **arguments)

  def refused(self, error_type, *texts):
    with self.assertRaises(error_type) as caught:
      import_dataset(open_source('rlds', self.source, 'Pong'), self.output)
    for text in texts:
      self.assertIn(text, str(caught.exception))
    self.assertFalse(os.path.exists(self.output))

  def test_enormous_picture_is_not_decoded(self):
    columns = by_hand.episode(3)
    data = bytearray(columns['observation'][0])
    data[16:24] = (100_000).to_bytes(4, 'big') * 2
    columns['observation'][0] = bytes(data)
    self.write(columns)
    self.refused(DataFileError, 'frame 0', '100000')

  def test_enormous_record_is_not_read(self):
    self.write(by_hand.episode(3))
    with open(self.shard, 'rb') as file:
      content = file.read()
    with open(self.shard, 'wb') as file:
      file.write((2**63).to_bytes(8, 'little') + content[8:])
    with self.assertRaisesRegex(DataFileError, 'record 0'):
      tfrecord_frames.count_records(self.shard)

  @parameterized.parameters('pythonClassName', 'python_class_name', 'type')
  def test_modules_that_features_json_names_are_not_imported(self, key):
    features = by_hand.features()
    node = features['featuresDict']['features']['episode_id']
    node[key] = 'planted_module.Feature'
    if key != 'pythonClassName':
      del node['pythonClassName']
    self.write(by_hand.episode(3), feature_json=features)
    self._refused_without_running('planted_module.Feature')

  def test_names_within_a_string_are_not_imported(self):
    hidden = copy.deepcopy(by_hand.features())
    inner = json.dumps({'x': {'type': 'planted_module.Feature', 'content': {}}})
    hidden['featuresDict']['features']['episode_id'] = {
        'pythonClassName':
            'tensorflow_datasets.core.features.features_dict.FeaturesDict',
        'jsonFeature': {'json': inner}}
    self.write(by_hand.episode(3), feature_json=hidden)
    self._refused_without_running("within 'jsonFeature'")

  def _refused_without_running(self, text):
    """A module of that name lies where Python would find it."""
    touched = os.path.join(self.folder, 'touched')
    with open(os.path.join(self.folder, 'planted_module.py'), 'w') as file:
      file.write(f'open({touched!r}, "w").close()\n')
    sys.path.insert(0, self.folder)
    try:
      self.refused(DataFileError, 'features.json', text)
    finally:
      sys.path.remove(self.folder)
    self.assertFalse(os.path.exists(touched))

  @parameterized.parameters(
      {'name': '../other'}, {'name': '/etc/passwd'}, {'name': '..'})
  def test_names_that_lead_out_of_the_folder(self, **changes):
    self.write(by_hand.episode(3), **changes)
    self.refused(DataFileError, 'dataset_info.json', 'without any path')

  @parameterized.parameters('../{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}',
                            '/etc/passwd', '{DATASET.__class__}')
  def test_file_names_that_lead_out_of_the_folder(self, template):
    self.write(by_hand.episode(3))
    information = by_hand.information({'checkpoint_00': [1]})
    information['splits'][0]['filepathTemplate'] = template
    by_hand.write_json(self.source, 'dataset_info.json', information)
    self.refused(DataFileError, self.source)

  def test_builder_scripts_do_not_run_and_nothing_is_contacted(self):
    self.write(by_hand.episode(3))
    touched = os.path.join(self.folder, 'touched')
    for name in ('evil', by_hand.NAME, 'Pong_run_1', '__init__'):
      for folder in (self.source, os.path.dirname(self.source), self.folder):
        with open(os.path.join(folder, f'{name}.py'), 'w') as file:
          file.write(f'open({touched!r}, "w").close()\n')
    with open(os.path.join(self.source, 'x.yaml'), 'w') as file:
      file.write(f'!!python/object/apply:os.mkdir [{touched}]\n')
    found = watched('rlds', self.source, self.source)
    self.assertIn('watched []', found)
    self.assertFalse(os.path.exists(touched))


if __name__ == '__main__':
  absltest.main()
