"""`dataset.json` must be there, whole and of a known version."""

import json
import os

from absl.testing import parameterized

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter
from xtra_tf.errors import DataFileError
from xtra_tf.tasks import TaskSpec

TASK = TaskSpec(name='tiny:fake', observation_shape=(6, 5, 2),
                observation_dtype='uint8', num_actions=4,
                legal_actions=(0, 1, 3), action_names=('N', 'L', 'U', 'R'))


class HeaderTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = self.create_tempdir().full_path
    self.path = os.path.join(self.directory, 'dataset.json')

  def test_missing(self):
    for directory in (self.directory, self.directory + '/nowhere'):
      with self.assertRaisesRegex(DataFileError,
                                  'dataset.json: the file is missing'):
        EpisodeLog(directory)

  @parameterized.named_parameters(
      ('empty', '', 'cannot be read as JSON'),
      ('torn', '{"format": "xtra', 'cannot be read as JSON'),
      ('foreign', '{"a": 1}', 'not the header of an episode log'),
      ('list', '[]', 'not the header of an episode log'))
  def test_broken(self, content, message):
    with open(self.path, 'w') as file:
      file.write(content)
    with self.assertRaisesRegex(DataFileError, message):
      EpisodeLog(self.directory)

  @parameterized.named_parameters(
      ('version', {'version': 7}, 'version 7.*Expected version 1'),
      ('task', {'task': {'name': 'x'}}, 'impossible value'),
      ('columns', {'columns': ['visits']}, 'impossible value'))
  def test_fields(self, changes, message):
    EpisodeLogWriter(self.directory, TASK, ()).close()
    with open(self.path) as file:
      content = json.load(file)
    with open(self.path, 'w') as file:
      json.dump({**content, **changes}, file)
    with self.assertRaisesRegex(DataFileError, message):
      EpisodeLog(self.directory)

  def test_empty_log(self):
    EpisodeLogWriter(self.directory, TASK, ()).close()
    log = EpisodeLog(self.directory)
    self.assertEqual(
        (log.num_steps, log.num_episodes, log.env_steps), (0, 0, 0))
    with self.assertRaisesRegex(DataFileError, 'holds no step'):
      log.verify()
