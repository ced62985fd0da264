"""What each method's gin file changes: parts, tasks, data, weights."""

import os
from unittest import mock

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from tests.experiments.offline_sets import write
from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import UsageError
from xtra_tf.experiments import (
  configuration,
  roles,
  stage_models,
  stages,
  training,
)
from xtra_tf.experiments.settings import TaskSettings
from xtra_tf.experiments.stages import StageRun
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.experiments.transfer_settings import MODEL_PARTS, TransferSettings
from xtra_tf.models import build_world_model
from xtra_tf.runs import RunDirectory
from xtra_tf.variables import save_world_model

_SMALL = ('xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
          'xtra_tf.experiments.ReplaySettings.td_steps = 2')


def _parts(method='methods/xtra.gin', *bindings):
  configuration.parse(['protocols/smoke.gin', method], [*_SMALL, *bindings])
  return roles.resolve_parts(0)


class _InAFolder(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.directory = RunDirectory(self.create_tempdir().full_path)
    self.directory.begin({}, seed=0, command='')

  def finetuning_plan(self, method):
    """The plan that the stage `finetune` gives to the training."""
    parts = _parts(method)
    run = StageRun(parts, self.directory, {})
    with mock.patch.object(stages, 'train', return_value={}) as train, (
        mock.patch.object(stages, 'open_data', return_value='log')):
      stages.finetune(run)
    return parts, train.call_args.args[1]


class MethodsTest(_InAFolder):
  """The paper's rows, as what is given to the training."""

  def test_xtra(self):
    parts, plan = self.finetuning_plan('methods/xtra.gin')
    self.assertLen(plan.tasks, 3)
    self.assertEqual((plan.rows, plan.targets, plan.weighted),
                     ((16, 8, 8), 'finetuning', True))
    self.assertCountEqual(plan.logs, [t.name for t in parts.sources])
    self.assertEqual(plan.initial_weights, self.directory.stage('student').path)
    self.assertIsNone(plan.initial_parts)

  def test_without_cross_task(self):
    parts, plan = self.finetuning_plan('ablations/without_cross_task.gin')
    self.assertEqual(plan.tasks, (parts.target,))
    self.assertEqual((plan.rows, plan.targets, plan.weighted, plan.logs),
                     ((16,), 'reanalyzed', False, {}))
    self.assertEqual(plan.initial_weights, self.directory.stage('student').path)

  def test_without_pretraining(self):
    parts, plan = self.finetuning_plan('ablations/without_pretraining.gin')
    self.assertIsNone(plan.initial_weights)
    self.assertLen(plan.tasks, 3)
    self.assertTrue(plan.weighted)
    self.assertTrue(parts.stages['finetune'].stage.random_warm_up)
    self.assertEqual(stages.needed(parts, 'finetune'), ['teacher'])

  def test_without_task_weights(self):
    parts, plan = self.finetuning_plan('ablations/without_task_weights.gin')
    self.assertTrue(plan.weighted)
    self.assertEqual(parts.task_weights.measure, 'constant')

  def test_task_weights_that_do_not_fit_the_stage(self):
    name = 'xtra_tf.learners.TaskWeightSettings'
    for bindings, message in (
        ((f"{name}.parts = ('representation', 'reward')",),
         "TaskWeightSettings.parts names 'reward'.*representation"),
        ((f"{name}.parts = ('dynamics',)",
          'xtra_tf.experiments.TransferSettings.frozen = '
          "('representation', 'dynamics')"),
         'parts are dynamics, all of them frozen.*part that is trained'),
        ((f"{name}.clock = 'env_steps'", f'{name}.window = 1',
          f'{name}.period = 10'), '1 and 10 environment steps'),
        (("xtra_tf.experiments.ReplaySettings.offline_composition = 'random'",),
         "use is 'sampling'.*Expected 'one_of_each'.*xtra_official"),
        (("xtra_tf.experiments.ReplaySettings.offline_composition = 'random'",
          f"{name}.use = 'loss'", f"{name}.passes = 'by_task'"),
         "passes is 'by_task'.*Expected 'one_of_each'")):
      with self.assertRaisesRegex(UsageError, message):
        _parts('methods/xtra.gin', *bindings)

  def test_clock_of_environment_steps(self):
    name = 'xtra_tf.learners.TaskWeightSettings'
    parts = _parts('methods/xtra.gin', f"{name}.clock = 'env_steps'",
                   f'{name}.start = 160', f'{name}.period = 60',
                   f'{name}.window = 20')
    # smoke.gin: 120 steps before training, then 0.3 updates a step.
    self.assertEqual(
        (parts.task_weights.start, parts.task_weights.period,
         parts.task_weights.window), (12, 18, 6))

  @parameterized.parameters(
      ('representation', 1), ('dynamics', 2), ('prediction', 3))
  def test_components(self, name, count):
    _, plan = self.finetuning_plan(f'ablations/transfer_{name}.gin')
    self.assertEqual(plan.initial_parts, MODEL_PARTS[:count])
    self.assertLen(plan.tasks, 3)

  def test_fewer_sources(self):
    parts = _parts('ablations/sources_1.gin')
    self.assertEqual([t.name for t in parts.sources], ['tiny:collect'])
    with self.assertRaisesRegex(UsageError, 'num_sources is 4.*1 to 2.*cross'):
      _parts('ablations/sources_4.gin')

  def test_batch_that_sources_do_not_divide(self):
    parts = _parts('methods/xtra.gin',
                   "SOURCE_TASKS = ('tiny:collect', 'tiny:cross', 'tiny:dodge')"
                   )
    self.assertEqual(roles.batch_rows(parts, 'finetune', True), (16, 6, 5, 5))

  def test_less_data(self):
    task = write(self.directory.stage('data', 'tiny:collect').episodes,
                 'tiny:collect', lengths=(10,) * 10)
    for method, steps in (('methods/xtra.gin', 100),
                          ('ablations/data_half.gin', 50),
                          ('ablations/data_tenth.gin', 10)):
      run = StageRun(_parts(method), self.directory, {})
      self.assertEqual(
          stages.open_data(run, task, with_teacher=False).num_steps, steps)


class ComponentsTest(_InAFolder):
  """Weights that finetuning begins with."""

  def _weights(self, initial_parts, initial=True):
    parts = _parts()
    folder = os.path.join(self.directory.path, 'student')
    if not os.path.isdir(folder):
      student = build_world_model(parts.description, seed=77)
      student.build_variables()
      for variable in student.variables:  # running statistics differ as well
        variable.assign_add(tf.ones_like(variable))
      save_world_model(student, folder, parts.description)
    plan = TrainingPlan(
        stage='finetune', title='', tasks=(parts.target, *parts.sources),
        directory=self.directory.stage('finetune', parts.target.name),
        rows=(16, 8, 8), targets='finetuning', logs={}, online=True,
        initial_weights=folder if initial else None,
        initial_parts=initial_parts)
    models = stage_models.build_models(
        parts, plan, tf.distribute.get_strategy())
    found = {name: np.concatenate([
        v.numpy().ravel() for v in getattr(models.online, name).variables])
             for name in MODEL_PARTS}
    for other in (models.target, models.acting):
      for name, values in found.items():
        self.assertAllEqual(values, np.concatenate([
            v.numpy().ravel() for v in getattr(other, name).variables]))
    return found

  def test_named_parts_are_the_student_s_and_the_others_begin_anew(self):
    student = self._weights(None)
    fresh = self._weights(None, initial=False)
    for name in MODEL_PARTS:
      self.assertNotAllClose(student[name], fresh[name])
    mixed = self._weights(('representation', 'dynamics'))
    for name in MODEL_PARTS:
      expected = student if name in ('representation', 'dynamics') else fresh
      self.assertAllEqual(mixed[name], expected[name], name)


class UnevenBatchTest(_InAFolder):

  def test_student_learns_from_three_tables_in_a_batch_of_eight(self):
    names = ('tiny:collect', 'tiny:cross', 'tiny:dodge')
    parts = _parts('methods/xtra.gin', f'SOURCE_TASKS = {names}',
                   'BATCH_SIZE = 8',
                   'student/xtra_tf.experiments.StageSettings.updates = 2')
    logs = {}
    for name in names:
      folder = os.path.join(self.directory.path, name)
      write(folder, name, lengths=(30, 20))
      logs[name] = EpisodeLog(folder)
    rows = roles.batch_rows(parts, 'student', with_target=False)
    self.assertEqual(rows, (3, 3, 2))
    result = training.train(parts, TrainingPlan(
        stage='student', title='', directory=self.directory.stage('student'),
        tasks=parts.sources, rows=rows, targets='stored', logs=logs))
    self.assertEqual(result['updates'], 2)


class SettingsTest(parameterized.TestCase):

  @parameterized.parameters(
      (dict(parts='dynamics'), 'Expected a tuple'),
      (dict(parts=('dynamic',)), 'Did you mean dynamics'),
      (dict(parts=('dynamics', 'dynamics')), 'twice'),
      (dict(offline_tasks=1), 'Expected one of True, False'),
      (dict(parts=(), offline_tasks=False), 'nothing is transferred'))
  def test_transfer(self, fields, message):
    with self.assertRaisesRegex(UsageError, message):
      TransferSettings(**fields)

  @parameterized.parameters(
      (dict(num_sources=0),), (dict(num_sources=3),), (dict(num_sources=True),),
      (dict(num_sources=1.),), (dict(data_share=0.),), (dict(data_share=1.1),),
      (dict(data_seed=-1),), (dict(data_seed=True),), (dict(data_seed=0.),))
  def test_tasks(self, fields):
    with self.assertRaisesRegex(UsageError, next(iter(fields))):
      TaskSettings('a', ('b', 'c'), **fields)

  def test_first_sources_are_used(self):
    self.assertEqual(TaskSettings('a', ('b', 'c')).used_sources, ('b', 'c'))
    self.assertEqual(
        TaskSettings('a', ('b', 'c'), num_sources=1).used_sources, ('b',))


class ShareTest(tf.test.TestCase):

  def test_episodes_are_spread_over_the_log(self):
    folder = self.get_temp_dir()
    write(folder, 'tiny:collect', lengths=(5, 5, 20, 5, 5, 20, 5, 5))
    log = EpisodeLog(folder)
    numbers = [e.number for e in log.episodes()]
    half = log.with_share(.5)
    kept = [e.number for e in half.episodes()]
    self.assertBetween(half.num_steps, 30, 45)
    self.assertEqual(kept[0], numbers[0])
    self.assertTrue(set(kept) & set(numbers[4:]))
    self.assertNotEqual(half.digest(), log.digest())
    self.assertEqual(log.with_share(1.).digest(), log.digest())
    self.assertEqual(log.num_steps, 70)
    with self.assertRaisesRegex(ValueError, 'share'):
      log.with_share(0.)


if __name__ == '__main__':
  tf.test.main()
