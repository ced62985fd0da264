"""Stored targets are known again, and refused where they are stale."""

import dataclasses
import json
import os
import shutil
import tempfile
from unittest import mock

import gin
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
  checked_json,
)
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.experiments import configuration, roles, teacher_targets
from xtra_tf.models.registry import build_world_model
from xtra_tf.runs import StageDirectory, read_incidents
from xtra_tf.variables import save_world_model
from xtra_tf.workers import TeacherPass


def _write_data(folder, task, games=2, seed=0):
  rng = np.random.default_rng(seed)
  writer = EpisodeLogWriter(folder, task, ())
  for _ in range(games):
    for step in range(6):
      last = step == 5
      writer.append(StepRow(
          observation=rng.integers(
              0, 256, task.observation_shape).astype(task.observation_dtype),
          action=0 if last else int(rng.choice(task.legal_actions)),
          search=None, reward=0., raw_reward=0., terminal=step == 4,
          truncated=False, life_loss=False, real=not last, root_value=None,
          bootstrap_value=None, has_search=False, env_step=step))
    writer.end_episode('terminal')
  writer.close()
  return EpisodeLog(folder)


class TeacherTargetsTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    configuration.parse(['protocols/smoke.gin'], [
        'xtra_tf.planning.MctsPlanner.compile_search = False',
        'NUM_SIMULATIONS = 2',
        'xtra_tf.experiments.TeacherPassSettings.batch_size = 4'])
    cls.addClassCleanup(gin.clear_config)
    cls.parts = roles.resolve_parts(0)
    cls.task = cls.parts.sources[0]
    cls.root = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.log = _write_data(os.path.join(cls.root, 'data'), cls.task)
    cls.made = os.path.join(cls.root, 'teacher')
    cls._save(cls.made, seed=0)
    cls.result = teacher_targets.store(
        cls.parts, StageDirectory(cls.made), cls.task, cls.log)

  @classmethod
  def _save(cls, folder, seed):
    shutil.rmtree(os.path.join(folder, 'train'), ignore_errors=True)
    description = roles.describe_model(cls.parts, 'teacher', [cls.task])
    save_world_model(build_world_model(description, seed=seed), folder,
                     description, step=3)

  def setUp(self):
    super().setUp()
    folder = os.path.join(self.create_tempdir().full_path, 'teacher')
    shutil.copytree(self.made, folder)
    self.stage = StageDirectory(folder)

  def _laid_over(self, parts=None, log=None):
    return teacher_targets.laid_over(
        parts or self.parts, self.stage, self.task, log or self.log)

  def _store(self, parts=None):
    return teacher_targets.store(
        parts or self.parts, self.stage, self.task, self.log)

  def test_targets_are_laid_over_their_data(self):
    episodes = list(self._laid_over().episodes())
    self.assertLen(episodes, 2)
    for episode in episodes:
      self.assertAllEqual(episode.search.sum(-1), np.full([6], 2.))
    self.assertEqual(self.result['teacher_rows'], 12)

  def test_a_complete_pass_is_not_made_again(self):
    with mock.patch.object(TeacherPass, '_search') as search:
      self.assertEqual(self._store(), self.result)
    search.assert_not_called()
    self.assertEmpty(read_incidents(self.stage.logs))

  def test_another_teacher_is_refused(self):
    self._save(self.stage.path, seed=1)
    with self.assertRaisesRegex(
        IncompatibleDataError, r"teacher's targets in .*targets for tiny:coll"
        r"ect are stale. teacher_weights: expected '[0-9a-f]{64}', found '[0-9a"
        r"-f]{64}'. .*delete .*done.json and run the stage `teacher` again"):
      self._laid_over()

  def test_other_settings_are_refused_with_both_values(self):
    planner = dataclasses.replace(self.parts.planner, num_simulations=9)
    with self.assertRaisesRegex(
        IncompatibleDataError,
        'stale. search.num_simulations: expected 9, found 2. Expected'):
      self._laid_over(dataclasses.replace(self.parts, planner=planner))
    teacher_pass = dataclasses.replace(
        self.parts.teacher_pass, noise_fraction=0.)
    with self.assertRaisesRegex(
        IncompatibleDataError, 'noise_fraction: expected 0.0, found 0.25'):
      self._laid_over(dataclasses.replace(
          self.parts, teacher_pass=teacher_pass, seed=4))

  def test_how_a_search_is_compiled_does_not_matter(self):
    planner = dataclasses.replace(self.parts.planner, compile_search=True)
    self._laid_over(dataclasses.replace(self.parts, planner=planner))

  def test_other_data_are_refused_though_their_lengths_agree(self):
    other = _write_data(self.create_tempdir().full_path, self.task, seed=1)
    with self.assertRaisesRegex(IncompatibleDataError, 'stale. data: expected'):
      self._laid_over(log=other)

  def test_stale_targets_are_made_anew_with_an_incident(self):
    self._save(self.stage.path, seed=1)
    with mock.patch.object(TeacherPass, '_search', autospec=True,
                           side_effect=TeacherPass._search) as search:
      self._store()
    self.assertEqual(search.call_count, 4)  # 6 rows in batches of 4, twice
    self._laid_over()
    incident, = read_incidents(self.stage.logs)
    self.assertEqual(incident['kind'], 'stale-targets')
    self.assertIn('teacher_weights', incident['differences'][0])

  def test_targets_of_an_earlier_version_are_used_with_a_warning(self):
    path = os.path.join(self.stage.folder('targets'), 'dataset.json')
    with open(path, encoding='utf-8') as file:
      header = json.load(file)
    header['provenance'] = {'teacher': 'teacher', 'seed': 0}
    del header[checked_json.CHECK]
    with open(path, 'wb') as file:
      file.write(checked_json.encode(header))
    with self.assertLogs('absl', 'WARNING') as logged:
      self._laid_over()
    self.assertIn('does not say its teacher_step, teacher_weights, data, ',
                  logged.output[0])
    self.assertIn('of an earlier version', logged.output[0])

  def _replayed(self, **changes):
    stage = self.parts.stages['teacher']
    changed = dataclasses.replace(
        stage, replay=dataclasses.replace(stage.replay, **changes))
    return dataclasses.replace(
        self.parts, stages={**self.parts.stages, 'teacher': changed})

  def test_each_setting_of_a_teacher_is_named(self):
    config = {**self.parts.description['config'], 'support': 7}
    for parts, message in (
        (self._replayed(unroll_steps=3), 'training.unroll_steps: expected 3, '
                                         'found 5'),
        (self._replayed(td_steps=2), 'training.td_steps: expected 2, found 5'),
        (dataclasses.replace(self.parts, planner=dataclasses.replace(
            self.parts.planner, discount=.5)),
         r'search.discount: expected 0.5, found 0.9\d+'),
        (dataclasses.replace(self.parts, description={
            **self.parts.description, 'config': config}),
         r'training.support: expected 7, found \d+')):
      with self.subTest(message):
        with self.assertRaisesRegex(IncompatibleDataError, message):
          self._laid_over(parts)

  def test_a_killed_pass_goes_on_where_it_was(self):
    shutil.rmtree(self.stage.folder('targets'))
    calls = []

    def die(teacher_pass, frames):
      calls.append(len(frames))
      if len(calls) == 4:  # in the second of two episodes
        raise KeyboardInterrupt
      return original(teacher_pass, frames)

    original = TeacherPass._search
    with mock.patch.object(TeacherPass, '_search', autospec=True,
                           side_effect=die):
      with self.assertRaises(KeyboardInterrupt):
        self._store()
    with self.assertRaisesRegex(DataFileError, 'expected 2 episodes'):
      self._laid_over()  # a part of a pass is no teacher's word
    with mock.patch.object(TeacherPass, '_search', autospec=True,
                           side_effect=original) as search:
      self.assertEqual(self._store(), self.result)
    self.assertEqual(search.call_count, 2)  # the first episode is there
    for made, again in zip(
        EpisodeLog(os.path.join(self.made, 'targets')).episodes(),
        EpisodeLog(self.stage.folder('targets')).episodes()):
      self.assertAllEqual(made.search, again.search)
      self.assertAllEqual(made.root_value, again.root_value)

  def _served(self, log=None, **changes):
    conditions = {**teacher_targets.conditions_of(self.parts), **changes}
    return teacher_targets.served(
        log or self.log, self.stage.folder('targets'), conditions)

  def test_what_is_served_is_checked_by_the_server(self):
    self.assertIn('bootstrap_value', self._served().columns)
    with self.assertRaisesRegex(IncompatibleDataError,
                                'noise_fraction: expected 0.5, found 0.25'):
      self._served(noise_fraction=.5)
    other = _write_data(self.create_tempdir().full_path, self.task, seed=1)
    with self.assertRaisesRegex(IncompatibleDataError, 'stale. data: expected'):
      self._served(other)
    self._save(self.stage.path, seed=1)  # the teacher was trained again
    with self.assertRaisesRegex(IncompatibleDataError, 'teacher_weights: exp'):
      self._served()
    shutil.rmtree(os.path.join(self.stage.path, 'train'))  # copied without it
    self._served()


if __name__ == '__main__':
  tf.test.main()
