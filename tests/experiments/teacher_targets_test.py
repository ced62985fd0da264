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

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import IncompatibleDataError
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
    header['provenance'] = {'teacher': 'teacher/tiny:collect', 'seed': 0}
    with open(path, 'w', encoding='utf-8') as file:
      json.dump(header, file)
    with self.assertLogs('absl', 'WARNING') as logged:
      self._laid_over()
    self.assertIn('of an earlier version', logged.output[0])


if __name__ == '__main__':
  tf.test.main()
