"""Data x run: each field that does not fit is refused, soon and by name."""

import dataclasses
import os
import time

from absl.testing import absltest, parameterized
import gin
import numpy as np

from xtra_tf.environments.atari import rom_md5
from xtra_tf.episodes import EpisodeLogWriter, StepRow
from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import (
  configuration,
  data_handshake,
  data_provenance,
  local_run,
  roles,
)
from xtra_tf.tasks import ATARI_ACTIONS, get_task

_SOURCE = 'Pong'
_LIMIT_SECONDS = 5.
_ALLOW = 'xtra_tf.experiments.TaskSettings.allowed_differences = '
# Row by row: the task's field in the data, and what the message must say.
_FIELDS = (
    ('name', 'Assault', "name: expected 'Pong', found 'Assault'"),
    ('observation_shape', (32, 32, 1),
     'observation_shape: expected [48, 48, 1], found [32, 32, 1]'),
    ('observation_shape', (48, 48, 3),
     'observation_shape: expected [48, 48, 1], found [48, 48, 3]'),
    ('observation_dtype', 'float32',
     "observation_dtype: expected 'uint8', found 'float32'"),
    ('num_actions', 6, 'num_actions: expected 18, found 6'),
    ('legal_actions', (0, 1, 2, 3, 4, 5),
     'legal_actions: expected [0, 1, 3, 4, 11, 12], found [0, 1, 2, 3, 4, 5]'),
    ('action_names', tuple(reversed(ATARI_ACTIONS)),
     "action_names: expected ['NOOP', 'FIRE'"),
    ('stack', 1, 'stack: expected 4, found 1'),
    ('frame_skip', 1, 'frame_skip: expected 4, found 1'),
    ('sticky_actions', 0.25, 'sticky_actions: expected 0.0, found 0.25'),
    ('clip_reward', False, 'clip_reward: expected True, found False'),
    ('codec', 'jpeg', "codec: expected 'lossless', found 'jpeg'"),
    ('mode', 1, "mode: expected None, found 1; name: expected 'Pong', found "
     "'Pong-m1-d2'"),
    ('difficulty', 2, 'difficulty: expected None, found 2'))
_NEGOTIABLE = tuple(row for row in _FIELDS if row[0] in (
    'action_names', 'stack', 'frame_skip', 'sticky_actions', 'clip_reward',
    'codec'))


def _parts(*bindings):
  configuration.parse(['protocols/demo.gin'], [
      'TARGET_TASK = "Breakout"', f'SOURCE_TASKS = ("{_SOURCE}",)', *bindings])
  return roles.resolve_parts(0)


def _changed(task, field, value):
  changes = {field: value}
  if field == 'num_actions':
    changes.update(legal_actions=tuple(range(value)),
                   action_names=ATARI_ACTIONS[:value])
  if field in ('mode', 'difficulty'):  # no task has one of them alone
    changes.update(name='Pong-m1-d2', mode=1, difficulty=2)
  return dataclasses.replace(task, **changes)


def _write(folder, task, columns=(), provenance=None):
  writer = EpisodeLogWriter(folder, task, columns, provenance=provenance)
  frame = np.zeros(task.observation_shape, task.observation_dtype)
  search = np.ones([task.num_actions], np.float32)
  for step in range(3):
    writer.append(StepRow(
        observation=frame, action=0, search=search, reward=0., raw_reward=0.,
        terminal=False, truncated=False, life_loss=False, real=True,
        root_value=0., bootstrap_value=None, has_search=False, env_step=step))
  writer.close()


class DataHandshakeTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.addClassCleanup(gin.clear_config)
    cls.parts = _parts()
    cls.task = cls.parts.sources[0]

  def setUp(self):
    super().setUp()
    self.folder = os.path.join(self.create_tempdir().full_path, 'data')

  def check(self, parts):
    local_run.check_task_data(parts, {_SOURCE: self.folder})

  def refused(self, parts, *texts):
    begun = time.monotonic()
    with self.assertRaises(IncompatibleDataError) as caught:
      self.check(parts)
    self.assertLess(time.monotonic() - begun, _LIMIT_SECONDS)
    for text in (self.folder, *texts):
      self.assertIn(text, str(caught.exception))
    return str(caught.exception)

  @parameterized.parameters(*_FIELDS)
  def test_a_field_that_differs_is_refused(self, field, value, text):
    _write(self.folder, _changed(self.task, field, value))
    message = self.refused(self.parts, text)
    self.assertEqual('allowed_differences' in message,
                     (field, value, text) in _NEGOTIABLE)

  @parameterized.parameters(*_NEGOTIABLE)
  def test_a_difference_that_is_allowed_by_name(self, field, value, text):
    _write(self.folder, _changed(self.task, field, value))
    parts = dataclasses.replace(self.parts, allowed_differences=(field,))
    self.check(parts)
    log = data_handshake.open_log(self.folder, self.task, (field,))
    said, = data_handshake.allowed_ones(log, self.task)
    self.assertIn(text, said)
    other = 'codec' if field == 'stack' else 'stack'
    self.refused(dataclasses.replace(
        self.parts, allowed_differences=(other,)), text)

  def test_data_of_the_game_as_it_starts_are_no_flavours(self):
    _write(self.folder, self.task)
    source = get_task('Pong-m1-d2', resolution=48, grayscale=True)
    parts = dataclasses.replace(self.parts, sources=(source,))
    with self.assertRaisesRegex(
        IncompatibleDataError, "mode: expected 1, found None; name: expected "
        "'Pong-m1-d2', found 'Pong'"):
      local_run.check_task_data(parts, {'Pong-m1-d2': self.folder})

  def test_all_fields_of_a_task_are_in_the_matrix(self):
    fields = {f.name for f in dataclasses.fields(self.task)}
    self.assertEqual(fields - {row[0] for row in _FIELDS},
                     {'random_score', 'human_score'})

  def test_another_rom(self):
    environment = data_provenance.of_environment(self.task, 1, 100)
    self.assertEqual(environment['rom_md5'], rom_md5(_SOURCE))
    _write(self.folder, self.task, provenance={'environment': environment})
    self.check(self.parts)
    other = f'{self.folder}2'
    _write(other, self.task, provenance={
        'environment': {**environment, 'rom_md5': '0' * 32}})
    self.folder = other
    self.refused(self.parts, f"rom_md5: expected '{rom_md5(_SOURCE)}'",
                 f"found '{'0' * 32}'", "allowed_differences = ('rom_md5',)")
    self.check(dataclasses.replace(
        self.parts, allowed_differences=('rom_md5',)))

  @parameterized.parameters('no', 3, None, ({'rom_md5': None},))
  def test_provenance_of_other_programs(self, environment):
    _write(self.folder, self.task, provenance={'environment': environment})
    self.check(self.parts)

  def test_values_of_another_discount(self):
    _write(self.folder, self.task, ('search', 'root_value'), provenance={
        'acting': {'search': {'discount': 0.9}}})
    self.check(self.parts)  # Everything is reanalyzed: nobody reads them.
    reading = _parts('teacher/xtra_tf.experiments.StageSettings.'
                     'value_reanalyze_ratio = 0.5')
    self.refused(reading, 'root_value', 'discount: expected 0.988053892081',
                 'found 0.9')
    self.check(dataclasses.replace(
        reading, allowed_differences=('discount',)))

  def test_the_same_stickiness_as_the_data(self):
    _write(self.folder, _changed(self.task, 'sticky_actions', 0.25))
    parts = _parts('xtra_tf.experiments.TaskSettings.sticky_actions = 0.25')
    self.assertEqual([t.sticky_actions for t in (parts.target, *parts.sources)],
                     [0.25, 0.25])
    self.assertEqual(parts.description['task']['sticky_actions'], 0.25)
    self.check(parts)

  @parameterized.parameters(
      ('"sticky_actions"', 'is the text'), ('("colour",)', "names 'colour'"),
      ('("observation_shape",)', "names 'observation_shape'"))
  def test_what_cannot_be_allowed(self, value, text):
    with self.assertRaisesRegex(UsageError, text):
      _parts(_ALLOW + value)

  @parameterized.parameters('1.0', '-0.1', '"often"', 'True')
  def test_impossible_stickiness(self, value):
    with self.assertRaisesRegex(UsageError, 'sticky_actions is'):
      _parts(f'xtra_tf.experiments.TaskSettings.sticky_actions = {value}')


if __name__ == '__main__':
  absltest.main()
