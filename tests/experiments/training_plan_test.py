"""Tests of what a training plan says of its tasks."""

from absl.testing import absltest, parameterized

from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.runs import StageDirectory
from xtra_tf.tasks import get_task

_NAMES = ('tiny:catch', 'tiny:cross', 'tiny:paddle')


class TrainingPlanTest(parameterized.TestCase):

  @parameterized.parameters(
      ('stored', _NAMES), ('finetuning', _NAMES[1:]), ('reanalyzed', ()))
  def test_taught_are_those_with_a_teachers_targets(self, targets, taught):
    plan = TrainingPlan(
        stage='student', title='', directory=StageDirectory('/nowhere'),
        tasks=tuple(get_task(name) for name in _NAMES), rows=(2, 1, 1),
        targets=targets, logs={})
    self.assertEqual(plan.taught, taught)


if __name__ == '__main__':
  absltest.main()
