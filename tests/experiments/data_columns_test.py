"""Logs that lack what a stage's targets read are refused by name."""

import os

from absl.testing import absltest, parameterized
import gin
import numpy as np

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.experiments import configuration, data_columns, local_run, roles
from xtra_tf.experiments.settings import StageSettings
from xtra_tf.experiments.training import train
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.runs import RunDirectory
from xtra_tf.targets import TargetSettings
from xtra_tf.tasks import get_task

_TASK = get_task('tiny:collect')
_TEACHER = 'teacher/xtra_tf.experiments.StageSettings.'


def write_log(folder, columns):
  """A log of one game of two steps with the given optional columns."""
  row = StepRow(
      observation=np.zeros(_TASK.observation_shape, np.uint8), action=0,
      search=np.ones([_TASK.num_actions], np.float32), reward=0.,
      raw_reward=0., terminal=False, truncated=False, life_loss=False,
      real=True, root_value=0., bootstrap_value=0., has_search=True,
      env_step=0)
  row = row._replace(**{name: None for name in
                        ('search', 'root_value', 'bootstrap_value')
                        if name not in columns})
  row = row._replace(has_search='search' in columns)
  writer = EpisodeLogWriter(folder, _TASK, columns)
  writer.append(row)
  writer.append(row._replace(terminal=True, env_step=1))
  writer.append(row._replace(real=False, has_search=False, env_step=2))
  writer.end_episode('terminal')
  writer.close()
  return EpisodeLog(folder)


class DataColumnsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = os.path.join(self.create_tempdir().full_path, 'log')
    self.addCleanup(gin.clear_config)

  @parameterized.parameters(
      (1., 1., ()), (0.99, 1., ('search',)),
      (1., 0.5, ('search', 'root_value')), (0., 0., ('search', 'root_value')))
  def test_reanalysis_reads_what_it_leaves_as_stored(self, policy, value,
                                                     expected):
    settings = StageSettings(updates=1, policy_reanalyze_ratio=policy,
                             value_reanalyze_ratio=value)
    self.assertEqual(data_columns.reanalyzed(settings), expected)

  @parameterized.parameters(
      ('bootstrap', ('search', 'bootstrap_value')),
      ('root_value', ('search', 'root_value')))
  def test_stored_targets_read_the_value_of_their_form(self, form, expected):
    self.assertEqual(
        data_columns.stored(TargetSettings(stored_value=form)), expected)

  def test_names_the_log_and_what_it_lacks(self):
    log = write_log(self.folder, ('search', 'root_value'))
    data_columns.check(log, ('search', 'root_value'), 'Anything')
    with self.assertRaisesRegex(
        IncompatibleDataError, f'{self.folder} of tiny:collect has no '
        'bootstrap_value. Stored targets read search and bootstrap_value; '
        'found search, root_value. Expected'):
      data_columns.check(log, data_columns.stored(TargetSettings()),
                         'Stored targets')

  @parameterized.parameters(
      ('student', 'stored', ('search', 'root_value'), 'no bootstrap_value'),
      ('finetune', 'finetuning', (), 'no search and no bootstrap_value'))
  def test_stored_targets_are_not_made_of_zeros(self, stage, targets, columns,
                                                message):
    log = write_log(self.folder, columns)
    configuration.parse(['protocols/smoke.gin'], [])
    plan = TrainingPlan(
        stage=stage, title='', tasks=(_TASK,), rows=(4,), targets=targets,
        directory=RunDirectory(self.create_tempdir().full_path).stage(
            stage, None if stage == 'student' else _TASK.name),
        logs={_TASK.name: log})
    with self.assertRaisesRegex(IncompatibleDataError, message):
      train(roles.resolve_parts(seed=0), plan)

  def test_the_users_data_are_looked_at_before_anything_starts(self):
    write_log(self.folder, ('search',))
    for ratio, accepted in (('policy', True), ('value', False)):
      configuration.parse(['protocols/smoke.gin'],
                          [f'{_TEACHER}{ratio}_reanalyze_ratio = 0.5'])
      parts = roles.resolve_parts(seed=0)
      data = {_TASK.name: self.folder}
      if accepted:
        local_run.check_task_data(parts, data)
        continue
      with self.assertRaisesRegex(IncompatibleDataError,
                                  'no root_value. Targets that are not rean'):
        local_run.check_task_data(parts, data)


if __name__ == '__main__':
  absltest.main()
