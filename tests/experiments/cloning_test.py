"""Behaviour cloning: what is learned, from what, and how it is played."""

import os
from unittest import mock

import gin
import numpy as np
import tensorflow as tf

from tests.experiments.offline_sets import write
from xtra_tf.errors import UsageError
from xtra_tf.evaluation import results
from xtra_tf.experiments import (
  checkpoint_evaluation,
  configuration,
  data_collection,
  final_evaluations,
  offline_server,
  roles,
  stage_settings,
  stages,
)
from xtra_tf.experiments.stages import StageRun
from xtra_tf.planning import MctsPlanner, PriorPlanner
from xtra_tf.runs import RunDirectory
from xtra_tf.variables import restore_world_model

_STUDENT = 'student/xtra_tf.'
_UPDATES = 120
_BINDINGS = (
    f'{_STUDENT}experiments.StageSettings.updates = {_UPDATES}',
    'xtra_tf.learners.LearnerSettings.warmup_steps = 0',
    # With a higher one a late batch may throw a learned action out again.
    'xtra_tf.learners.LearnerSettings.learning_rate = 0.05',
    'xtra_tf.learners.LearnerSettings.intensity = 0.0',
    'xtra_tf.evaluation.EvaluationSettings.episodes = 2',
    'xtra_tf.evaluation.EvaluationSettings.max_episode_steps = 12')


def _resolve(*bindings):
  configuration.parse(
      ['protocols/smoke.gin', 'methods/behaviour_cloning.gin'],
      [*_BINDINGS, *bindings])
  return roles.resolve_parts(0)


def _frames(task):
  """A frame for each legal action: the cells of its row are lit."""
  frames = {}
  for action in task.legal_actions:
    frames[action] = np.zeros(task.observation_shape, task.observation_dtype)
    # The same in all tasks, for nothing tells the network which one it sees.
    frames[action][action] = 255
  return frames


class StageTest(tf.test.TestCase):
  """One run of the stage, on data whose frames tell the action."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.addClassCleanup(gin.clear_config)
    cls.parts = _resolve()
    cls.directory = RunDirectory(cls().create_tempdir().full_path)
    cls.directory.begin(configuration.run_settings(), seed=0, command='')
    # No column of a search, and no teacher has seen them.
    for task in cls.parts.sources:
      stage = cls.directory.stage('data', task.name)
      write(stage.episodes, task.name, (30, 30), (), frames=_frames(task))
      stage.write_done({})
    cls.run_of_all = StageRun(cls.parts, cls.directory, {})
    stages.check_selection(cls.run_of_all, ['cloning'])
    stages.run_stages(cls.run_of_all, ['cloning'])
    cls.stage = cls.directory.stage('cloning')
    cls.model = roles.build_model(cls.parts, 1)
    restore_world_model(cls.model, cls.stage.path)

  def test_the_actions_are_learned(self):
    self.assertEqual(self.stage.read_done(),
                     {'updates': _UPDATES, 'env_steps': 0})
    for task in self.parts.sources:
      frames = _frames(task)
      seen = np.stack([frames[action] for action in frames]) / 255.
      said = self.model.initial_inference(
          tf.constant(seen, tf.float32)).policy_logits
      # Of all actions of the family, not of the legal ones alone.
      self.assertAllEqual(tf.argmax(said, axis=1), list(frames), task.name)

  def test_what_has_no_targets_is_left_as_it_began(self):
    # Its own seed: the parts that moved would differ anyway.
    with mock.patch.object(stages, 'train', return_value={}) as train, (
        mock.patch.object(stages, 'once', lambda run, d, body: body())):
      stages.clone_behaviour(self.run_of_all)
    seed = train.call_args.args[1].seed(self.parts.seed)
    fresh = roles.build_model(self.parts, seed)
    for name in ('dynamics', 'projection', 'representation', 'prediction'):
      pairs = zip(getattr(self.model, name).variables,
                  getattr(fresh, name).variables, strict=True)
      same = [np.array_equal(a, b) for a, b in pairs]
      if name in ('dynamics', 'projection'):
        self.assertTrue(all(same), name)
      else:
        self.assertLess(np.mean(same), .5, name)

  def test_it_plays_the_target_without_search(self):
    with mock.patch.object(MctsPlanner, 'bind', side_effect=AssertionError):
      final_evaluations.on_target(self.run_of_all, ('cloning',))
    record, = results.read(self.directory.results)
    self.assertEqual(
        (record.stage, record.task, record.step, len(record.returns)),
        ('cloning', 'tiny:catch', _UPDATES, 2))

  def test_its_checkpoint_says_how_it_plays(self):
    prepared = checkpoint_evaluation.prepare(self.stage.path, 'tiny:catch')
    self.assertEqual(prepared.planner, PriorPlanner())
    self.assertEqual((prepared.stage, prepared.run),
                     ('cloning', self.directory.run_id))
    with self.assertRaisesRegex(UsageError, 'num_simulations is 8.*cloning'):
      checkpoint_evaluation.prepare(self.stage.path, 'tiny:catch',
                                    num_simulations=8)

  def test_nothing_is_collected_as_if_it_had_searched(self):
    settings = data_collection.CollectionSettings(
        'tiny:catch', os.path.join(self.directory.path, 'more'), env_steps=5,
        checkpoint=self.stage.path)
    with self.assertRaisesRegex(UsageError, 'plays without search'):
      data_collection.DataCollection(settings)


class SettingsTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  def test_it_has_the_student_s_settings(self):
    parts = _resolve(f'{_STUDENT}learners.LearnerSettings.momentum = 0.5',
                     f'{_STUDENT}experiments.ReplaySettings.'
                     'priority_exponent = 0.3')
    student, cloning = parts.stages['student'], parts.stages['cloning']
    self.assertEqual(cloning.stage, student.stage)
    self.assertEqual(cloning.learner.momentum, 0.5)
    self.assertEqual(cloning.replay.priority_exponent, 0.)
    self.assertEqual(roles.batch_rows(parts, 'cloning', False), (8, 8))
    self.assertEqual(cloning.learner.unroll_steps, 0)
    self.assertEqual(
        {name: getattr(cloning.learner, f'{name}_coefficient') for name in
         ('policy', 'value', 'value_prefix', 'consistency')},
        {'policy': 1., 'value': 0., 'value_prefix': 0., 'consistency': 0.})

  def test_it_has_no_scope_of_its_own(self):
    with self.assertRaisesRegex(UsageError, 'cloning, which there is not. This '
                                'stage reads the scope student'):
      _resolve('cloning/xtra_tf.experiments.StageSettings.updates = 4')

  def test_it_needs_data_and_no_teacher(self):
    directory = RunDirectory(self.create_tempdir().full_path)
    run = StageRun(_resolve(), directory, {})
    stages.check_selection(run, ['data', 'cloning'])
    with self.assertRaisesRegex(
        UsageError, 'cloning needs data/tiny:collect.*--stages=data,cloning'):
      stages.check_selection(run, ['cloning'])

  def test_it_does_not_learn_from_a_server_s_tables(self):
    with self.assertRaisesRegex(UsageError, 'cloning, which cannot learn from'):
      offline_server.chosen_stages(('cloning',))
    self.assertNotIn('cloning', offline_server.chosen_stages(()))

  def test_it_depends_on_the_data_alone(self):
    found = stage_settings.of_stage(_resolve(), 'cloning', {})
    self.assertIn('data/tiny:cross.stage.updates', found)
    self.assertFalse([name for name in found if name.startswith('teacher')])
    self.assertEqual(found['cloning.stage.updates'], str(_UPDATES))
    half = stage_settings.of_stage(
        _resolve('xtra_tf.experiments.TaskSettings.data_share = 0.5'),
        'cloning', {})
    self.assertEqual({name for name in found if found[name] != half[name]},
                     {'cloning.data_share'})


if __name__ == '__main__':
  tf.test.main()
