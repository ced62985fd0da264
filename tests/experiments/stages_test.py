"""Which stages of a run may be asked for alone."""

from unittest import mock

from absl.testing import absltest, parameterized
import gin

from xtra_tf.errors import UsageError
from xtra_tf.experiments import configuration, roles, stages
from xtra_tf.experiments.stages import StageRun
from xtra_tf.runs import RunDirectory


class CheckSelectionTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = RunDirectory(self.create_tempdir().full_path)
    self.addCleanup(gin.clear_config)

  def _run(self, bindings=(), task_data=None):
    configuration.parse(['protocols/smoke.gin'], bindings)
    return StageRun(roles.resolve_parts(0), self.directory, task_data or {})

  def _done(self, stage, *tasks):
    for task in tasks or (None,):
      self.directory.stage(stage, task).write_done({})

  @parameterized.parameters(
      ((),), (('data',),), (('scratch',),), (('data', 'teacher', 'student'),),
      (('finetune', 'student', 'teacher', 'data'),))
  def test_what_can_begin_in_an_empty_folder(self, only):
    stages.check_selection(self._run(), only)

  @parameterized.parameters(
      (('student',), 'student needs teacher/tiny:collect', 'teacher,student'),
      (('data', 'student'), 'student needs teacher/tiny:collect',
       'teacher,student'),
      (('teacher',), 'teacher needs data/tiny:collect', 'data,teacher'),
      (('finetune', 'scratch'), 'finetune needs student', 'student,finetune'))
  def test_what_lacks_its_beginning(self, only, message, advice):
    with self.assertRaisesRegex(
        UsageError,
        f'stage {message}, which is not done in .*--stages={advice}'):
      stages.check_selection(self._run(), only)

  def test_all_source_tasks_must_be_done(self):
    self._done('data', 'tiny:collect')
    with self.assertRaisesRegex(UsageError, 'needs data/tiny:cross'):
      stages.check_selection(self._run(), ['teacher'])
    self._done('data', 'tiny:cross')
    stages.check_selection(self._run(), ['teacher'])

  def test_own_data_are_done(self):
    run = self._run(task_data={'tiny:collect': 'a', 'tiny:cross': 'b'})
    stages.check_selection(run, ['teacher'])

  @parameterized.parameters((('TaskSettings.data_seed = 7',), 7), ((), 0))
  def test_data_have_a_seed_of_their_own(self, bindings, expected):
    run = self._run(bindings)
    with (mock.patch.object(stages, 'train', return_value={}) as train,
          mock.patch.object(RunDirectory, 'record_stage')):
      stages.make_source_data(run, run.parts.sources[0])
    (parts, plan, _), _ = train.call_args
    self.assertEqual((plan.stage, parts.seed), ('data', expected))
    self.assertEqual(run.parts.seed, 0)

  def test_unknown_stage(self):
    with self.assertRaisesRegex(UsageError, "no stage 'finetun'.*finetune"):
      stages.check_selection(self._run(), ['finetun'])

  def test_without_source_tasks_scratch_alone(self):
    run = self._run(['SOURCE_TASKS = ()'])
    stages.check_selection(run, ['scratch'])
    for only in ((), ('data', 'scratch'), ('student',)):
      with self.assertRaisesRegex(UsageError, 'SOURCE_TASKS is empty'):
        stages.check_selection(run, only)


if __name__ == '__main__':
  absltest.main()
