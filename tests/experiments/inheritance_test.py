"""Stages that a run takes over from another."""

import os

from absl.testing import parameterized
import gin
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import (
  configuration,
  inheritance,
  roles,
  stage_settings,
  stages,
)
from xtra_tf.experiments.stages import StageRun
from xtra_tf.models import build_world_model
from xtra_tf.runs import RunDirectory
from xtra_tf.variables import save_world_model

_STUDENT = 'xtra_tf.experiments.StageSettings'


def _parts(*bindings, seed=0):
  configuration.parse(['protocols/smoke.gin'], bindings)
  return roles.resolve_parts(seed)


class InheritanceTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    root = self.create_tempdir().full_path
    self.parent = RunDirectory(os.path.join(root, 'parent'))
    self.child = RunDirectory(os.path.join(root, 'child'))
    self.parts = _parts()
    self.parent.begin({}, seed=0, command='')
    self.student = self.parent.stage('student')
    model = build_world_model(self.parts.description, seed=3)
    model.build_variables()
    save_world_model(model, self.student.path, self.parts.description)
    stage_settings.write(self.parts, self.student, {})
    self.student.write_done({'updates': 0})

  def find(self, parts, *texts):
    parents = inheritance.parse(texts or [self.parent.path])
    return inheritance.find(parts, self.child, parents, {})

  def test_what_is_done_is_taken_with_its_hash(self):
    taken = self.find(self.parts)
    self.assertEqual(list(taken), ['student'])
    self.assertEqual(taken['student']['folder'], '../parent/student')
    self.assertEqual(taken['student']['run'], self.parent.run_id)
    self.assertEqual(taken['student']['digest'],
                     inheritance.digest(self.student))
    self.assertLen(taken['student']['digest'], 64)

  def test_a_run_goes_on_with_it(self):
    self.child.inherit(self.find(self.parts))
    run = StageRun(self.parts, self.child, {})
    stages.check_selection(run, ['student'])
    self.assertEqual(self.child.stage('student').path, self.student.path)
    # The teachers are not there, and finetuning learns from their targets.
    with self.assertRaisesRegex(UsageError, 'finetune needs teacher/tiny'):
      stages.check_selection(run, ['finetune'])
    stages.check_selection(StageRun(_parts(
        'xtra_tf.experiments.TransferSettings.offline_tasks = False'),
                                    self.child, {}), ['finetune'])
    self.child.begin({}, seed=0, command='')
    again = RunDirectory(self.child.path)
    self.assertEqual(again.stage('student').path, self.student.path)
    self.assertNotEqual(again.stage('teacher', 'tiny:cross').path,
                        self.student.path)

  @parameterized.parameters(
      ('xtra_tf.models.EfficientZeroConfig.channels = 16',
       r'student\.network\.channels: 8 -> 16'),
      ('SOURCE_TASKS = ("tiny:cross",)', r'student\.sources'),
      ('NUM_SIMULATIONS = 5', r'num_simulations: 4 -> 5'),
      (f'teacher/{_STUDENT}.updates = 21',
       r'teacher/tiny:collect\.stage\.updates: 20 -> 21'))
  def test_a_student_of_other_settings_is_refused(self, binding, message):
    with self.assertRaisesRegex(
        IncompatibleDataError, f'made with other settings(.|\n)*{message}'):
      self.find(_parts(binding))

  def test_a_student_with_another_head_is_refused(self):
    sources = 'SOURCE_TASKS = ("tiny:paddle",)'
    target = 'TARGET_TASK = "tiny:dodge"'
    head = [f'{name}/{_STUDENT}.action_head = "task"'
            for name in ('student', 'finetune')]
    with self.assertRaisesRegex(
        IncompatibleDataError,
        r"student\.stage\.action_head: 'family' -> 'task'"):
      self.find(_parts(sources, target, *head))

  @parameterized.parameters(
      'TARGET_TASK = "tiny:dodge"', f'finetune/{_STUDENT}.updates = 31',
      'xtra_tf.learners.TaskWeightSettings.window = 3',
      f'student/{_STUDENT}.log_interval = 7',
      'xtra_tf.experiments.TransferSettings.parts = ("dynamics",)')
  def test_what_the_student_does_not_depend_on_may_differ(self, binding):
    self.assertIn('student', self.find(_parts(binding)))

  def test_of_another_seed(self):
    with self.assertRaisesRegex(IncompatibleDataError, 'seed: 0 -> 1'):
      self.find(_parts(seed=1))

  def test_a_stage_of_its_own_is_not_replaced(self):
    os.makedirs(os.path.join(self.child.path, 'student'))
    with self.assertRaisesRegex(UsageError, 'has a stage student of its own'):
      self.find(self.parts)

  def test_what_is_asked_for_by_name_must_be_there(self):
    with self.assertRaisesRegex(UsageError, 'the stage teacher of .*not done'):
      self.find(self.parts, f'student,teacher={self.parent.path}')
    os.unlink(self.student.done)
    self.assertEmpty(self.find(self.parts))

  @parameterized.parameters(
      ('finetune={}', "stage 'finetune' cannot be taken"),
      ('{}/student', 'is no run: it has no run.json'))
  def test_flags(self, text, message):
    with self.assertRaisesRegex(UsageError, message):
      inheritance.parse([text.format(self.parent.path)])


if __name__ == '__main__':
  tf.test.main()
