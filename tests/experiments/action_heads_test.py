"""Which actions the network of a stage knows, from gin to model.json."""

from absl.testing import parameterized
import gin
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.evaluation import Evaluator
from xtra_tf.experiments import configuration, roles
from xtra_tf.tasks import get_task

ASSAULT = (0, 1, 2, 3, 4, 11, 12)
PHOENIX = (0, 1, 3, 4, 5, 11, 12, 13)


def resolve(target, sources, *heads):
  """Parts of a run whose stages `heads` have the head of their task."""
  configuration.parse(
      ['protocols/demo.gin'],
      [f'TARGET_TASK = {target!r}', f'SOURCE_TASKS = {sources!r}',
       *(f'{stage}/xtra_tf.experiments.StageSettings.action_head = "task"'
         for stage in heads)])
  return roles.resolve_parts(seed=0)


class ActionHeadsTest(parameterized.TestCase, tf.test.TestCase):

  def tearDown(self):
    super().tearDown()
    gin.clear_config()

  def test_by_default_the_whole_family(self):
    parts = resolve('Assault', ('Phoenix',))
    for stage, tasks in (('data', parts.sources), ('scratch', (parts.target,))):
      described = roles.describe_model(parts, stage, tasks)
      self.assertEqual(described, parts.description)
      self.assertIsNone(described['config']['action_ids'])

  def test_stages_of_one_task_have_its_actions(self):
    parts = resolve('Assault', ('Phoenix', 'Alien'), 'data', 'teacher',
                    'scratch')
    for stage, task, expected in (
        ('data', 'Phoenix', list(PHOENIX)), ('teacher', 'Phoenix',
                                             list(PHOENIX)),
        ('scratch', 'Assault', list(ASSAULT)),
        # All 18 are the family's own head.
        ('teacher', 'Alien', None)):
      described = roles.describe_model(parts, stage, [get_task(task)])
      self.assertEqual(described['config']['action_ids'], expected)
    # The others are as before.
    self.assertEqual(
        roles.describe_model(parts, 'student', parts.sources),
        parts.description)

  def test_the_model_has_the_head_and_the_familys_ids(self):
    parts = resolve('Assault', ('Phoenix',), 'scratch')
    described = roles.describe_model(parts, 'scratch', [parts.target])
    model = roles.build_model(parts, 0, described)
    self.assertEqual(model.action_ids, ASSAULT)
    self.assertEqual(model.num_actions, 18)
    self.assertIn((7,), [tuple(v.shape) for v in
                         model.prediction.policy.variables])

  def test_tasks_of_equal_actions_may_share_a_head(self):
    parts = resolve('Pong', ('DemonAttack', 'Carnival'), 'student', 'finetune')
    for stage in ('student', 'finetune'):
      described = roles.describe_model(parts, stage,
                                       roles.stage_tasks(parts, stage))
      self.assertEqual(described['config']['action_ids'],
                       [0, 1, 3, 4, 11, 12])

  def test_tasks_of_different_actions_may_not(self):
    with self.assertRaises(UsageError) as caught:
      resolve('Assault', ('Phoenix', 'Alien'), 'student')
    for part in ('stage student', 'Phoenix with the 8 actions',
                 str(list(PHOENIX)), 'Alien with the 18 actions',
                 "student/StageSettings.action_head = 'family'"):
      self.assertIn(part, str(caught.exception))

  def test_student_and_finetuning_must_agree(self):
    with self.assertRaisesRegex(
        UsageError, r'knows the actions \[0, 1, 3, 4, 11, 12\] and that of '
        'finetuning of the whole family'):
      resolve('Pong', ('DemonAttack', 'Carnival'), 'student')

  def test_a_head_that_does_not_fit_the_task_is_refused(self):
    parts = resolve('Assault', ('Phoenix',), 'scratch')
    model = roles.build_model(
        parts, 0, roles.describe_model(parts, 'scratch', [parts.target]))
    phoenix, = parts.sources
    message = (r'head of efficientzero does not fit Phoenix: it knows the 7 '
               r'actions \[0, 1, 2, 3, 4, 11, 12\], the task has the 8 actions '
               r'\[0, 1, 3, 4, 5, 11, 12, 13\]; \[5, 13\] are missing')
    with self.assertRaisesRegex(IncompatibleDataError, message):
      Evaluator(phoenix, model, parts.planner, parts.evaluation)
    with self.assertRaisesRegex(IncompatibleDataError, message):
      roles.planning_policy(parts, phoenix, model, greedy=True, seed=0)
    # A game of fewer actions can be played with it.
    Evaluator(get_task('Breakout', resolution=parts.target.observation_shape[0],
                       stack=parts.target.stack),
              model, parts.planner, parts.evaluation)

  def test_unknown_head(self):
    with self.assertRaisesRegex(
        UsageError, "action_head is 'minimal'. Expected one of 'family', "
        "'task'"):
      configuration.parse(
          ['protocols/demo.gin'],
          ['xtra_tf.experiments.StageSettings.action_head = "minimal"'])
      roles.resolve_parts(seed=0)


if __name__ == '__main__':
  tf.test.main()
