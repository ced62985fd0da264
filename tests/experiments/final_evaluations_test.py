"""Evaluations of finished stages, of untrained models on the tiny tasks."""

import dataclasses
import os
from unittest import mock

from absl.testing import parameterized
import gin
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.evaluation import results
from xtra_tf.evaluation.protocol import SourceEvaluationSettings
from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.experiments import (
  configuration,
  final_evaluations,
  inheritance,
  roles,
  stage_settings,
  stages,
)
from xtra_tf.experiments.stages import StageRun
from xtra_tf.models import build_world_model
from xtra_tf.runs import RunDirectory
from xtra_tf.variables import save_world_model

_TARGET, _SOURCES = 'tiny:catch', ('tiny:collect', 'tiny:cross')
_EPISODES = 'xtra_tf.evaluation.SourceEvaluationSettings.episodes'
_LIMIT = 'xtra_tf.evaluation.EvaluationSettings.max_episode_steps'
_BINDINGS = ('NUM_SIMULATIONS = 2', f'{_EPISODES} = 1', f'{_LIMIT} = 12',
             'xtra_tf.evaluation.EvaluationSettings.episodes = 1')
_STAGES = (*(('teacher', name) for name in _SOURCES), ('student', None),
           ('finetune', _TARGET))


def _parts(*bindings):
  configuration.parse(['protocols/smoke.gin'], [*_BINDINGS, *bindings])
  return roles.resolve_parts(0)


class FinalEvaluationsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.root = self.create_tempdir().full_path
    self.parts = _parts()
    self.run_ = self.make_run('first', self.parts)

  def make_run(self, name, parts, stages=_STAGES):
    directory = RunDirectory(os.path.join(self.root, name))
    directory.begin({}, seed=0, command='')
    for number, (kind, task) in enumerate(stages):
      stage = directory.stage(kind, task)
      model = build_world_model(parts.description, seed=number)
      model.build_variables()
      save_world_model(model, stage.path, parts.description)
      stage_settings.write(parts, stage, {})
      stage.write_done({'updates': 0})
      directory.record_stage(stage.name, 'done')
    return StageRun(parts, directory, {})

  def child(self, parts=None, *texts):
    """A run that takes over what the first one has."""
    parts = parts or self.parts
    directory = RunDirectory(os.path.join(self.root, 'child'))
    directory.inherit(inheritance.find(
        parts, directory, inheritance.parse(
            texts or [self.run_.directory.path]), {}))
    directory.begin({}, seed=0, command='')
    return StageRun(parts, directory, {})

  def lines(self, run):
    return [(r.stage, r.task, len(r.seeds))
            for r in results.read(run.directory.results)]

  def play(self, run, kinds):
    for kind in kinds:
      final_evaluations.on_sources(run, kind)
    return self.lines(run)

  def test_each_model_plays_its_source_tasks_once(self):
    # There may be an evaluation of more games, by launchers.evaluate.
    self.plant(('student', None), games=3)
    final_evaluations.take_over(self.run_)
    expected = [*(('student', name, 3) for name in _SOURCES),
                *(('teacher', name, 1) for name in _SOURCES),
                *(('student', name, 1) for name in _SOURCES)]
    self.assertEqual(self.play(self.run_, ['teacher', 'student']), expected)
    with open(self.run_.directory.results, 'rb') as file:
      before = file.read()
    with self.subTest('a repeat adds and plays nothing'):
      with self.patch_evaluator():
        self.play(self.run_, ['teacher', 'student'])
      with open(self.run_.directory.results, 'rb') as file:
        self.assertEqual(file.read(), before)
    with self.subTest('what they are'):
      for record in results.read(self.run_.directory.results)[2:]:
        self.assertEqual(record.run, self.run_.directory.run_id)
        self.assertEqual(record.step_limit, 12)
        self.assertEqual(record.recording, '')
    with self.subTest('they stand beside the stage too'):
      stage = self.run_.directory.stage('teacher', _SOURCES[1])
      self.assertEqual([r.task for r in results.read(stage.evaluations)],
                       [_SOURCES[1]])

  def plant(self, *stages, games=1, **fields):
    """Leaves scores beside stages of the first run, without playing."""
    for kind, task in stages:
      stage = self.run_.directory.stage(kind, task)
      for name in [task] if task else _SOURCES:
        results.append(stage.evaluations, ResultRecord(**{
            **dict(run=self.run_.directory.run_id, stage=kind, task=name,
                   step=0, env_steps=0, profile='fixed', codec='lossless',
                   seeds=range(games), returns=[1.] * games,
                   lengths=[9] * games, truncated=[False] * games,
                   step_limit=12), **fields}))

  def patch_evaluator(self):
    """Any game is a mistake."""
    return mock.patch.object(
        final_evaluations, 'Evaluator',
        side_effect=AssertionError('a game is played'))

  @parameterized.parameters('episodes = 0', "stages = ('finetune',)")
  def test_none_where_none_is_asked_for(self, setting):
    parts = _parts(f'xtra_tf.evaluation.SourceEvaluationSettings.{setting}')
    with self.patch_evaluator():
      self.assertEqual(self.play(self.run_._replace(parts=parts),
                                 ('data', 'teacher', 'student', 'scratch')), [])

  def test_a_stage_taken_over_brings_its_score(self):
    self.plant(*_STAGES[:3])
    child = self.child()
    with self.patch_evaluator():
      final_evaluations.take_over(child)
      self.play(child, ['teacher', 'student'])
    taken = results.read(child.directory.results)
    self.assertEqual([(r.run, r.stage, r.task) for r in taken], [
        (self.run_.directory.run_id, kind, name) for kind, name in (
            *(('teacher', name) for name in _SOURCES),
            *(('student', name) for name in _SOURCES))])
    with self.subTest('whatever this run asks for'):
      os.remove(child.directory.results)
      none = child._replace(parts=dataclasses.replace(
          self.parts, source_evaluation=SourceEvaluationSettings(0)))
      final_evaluations.take_over(none)
      self.assertLen(self.lines(none), 4)

  def test_a_score_that_is_lacking_is_played_and_kept_by_the_child(self):
    child = self.child()
    self.assertEqual(self.play(child, ['student']),
                     [('student', name, 1) for name in _SOURCES])
    # The other run's folder is left alone.
    stage = self.run_.directory.stage('student')
    self.assertFalse(os.path.exists(stage.evaluations))

  def test_a_score_under_another_step_limit_is_not_taken_and_said(self):
    self.plant(*_STAGES[:2])
    child = self.child(_parts(f'{_LIMIT} = 20'))
    with self.assertLogs('absl', 'WARNING') as logs:
      final_evaluations.take_over(child)
    self.assertEqual(self.lines(child), [])
    self.assertIn('teacher/tiny:collect on tiny:collect', logs.output[0])
    self.assertIn('cut after 12 steps, this run has EvaluationSettings.'
                  'max_episode_steps = 20', logs.output[0])

  def test_a_score_of_an_earlier_save_is_not_taken(self):
    self.plant(_STAGES[0], step=-5)
    self.plant(_STAGES[1])
    child = self.child()
    final_evaluations.take_over(child)
    self.assertEqual(self.lines(child), [('teacher', _SOURCES[1], 1)])

  def test_each_stage_is_judged_before_the_next_is_begun(self):
    judged = []
    stages.run_stages(self.run_, ['finetune', 'student', 'teacher'],
                      judged.append)
    self.assertEqual(judged, ['teacher', 'student', 'finetune'])

  def test_target_is_played_by_the_chosen_stages_with_a_recording(self):
    for _ in range(2):
      final_evaluations.on_target(self.run_, ['finetune', 'teacher'])
    record, = results.read(self.run_.directory.results)
    self.assertEqual((record.stage, record.task), ('finetune', _TARGET))
    self.assertIsNotNone(results.read_recording(
        self.run_.directory.results, record))

  def test_a_finetuned_model_plays_the_source_tasks(self):
    self.assertEqual(self.play(self.run_, ['finetune']),
                     [('finetune', name, 1) for name in _SOURCES])


class SourceEvaluationSettingsTest(parameterized.TestCase):

  @parameterized.parameters(
      (dict(episodes=-1), r'episodes is -1\. Expected a whole number of at '
       r'least 0'),
      (dict(episodes=True), 'episodes is True'),
      (dict(episodes=2.), r'episodes is 2\.0'),
      (dict(stages='teacher'), r"is the text 'teacher'. Expected a tuple of "
       r"names, e\.g\. \('teacher',\)"),
      (dict(stages=('teachers',)), "names 'teachers'.*teacher"),
      (dict(stages=('scratch',)), 'finetune'))
  def test_refused(self, fields, text):
    with self.assertRaisesRegex(UsageError, text):
      SourceEvaluationSettings(**fields)

  def test_episodes_of_a_stage(self):
    settings = SourceEvaluationSettings(3, ['teacher'])
    self.assertEqual([settings.episodes_of(name) for name in (
        'teacher', 'student', 'data')], [3, 0, 0])


if __name__ == '__main__':
  tf.test.main()
