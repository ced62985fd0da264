"""Random play by the protocol of evaluations."""

import os

from absl.testing import absltest, parameterized
import gin

from xtra_tf.errors import UsageError
from xtra_tf.evaluation import results
from xtra_tf.experiments import random_evaluation
from xtra_tf.tasks import get_task

_TASK = 'tiny:catch'


class RandomEvaluationTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.path = os.path.join(self.create_tempdir().full_path, 'random.jsonl')

  def _prepare(self, **options):
    return random_evaluation.prepare(
        _TASK, **{'output': self.path, 'episodes': 6, **options})

  def test_games_are_those_of_evaluations(self):
    evaluation = self._prepare()
    result = evaluation.play()
    self.assertEqual(result.seeds, tuple(range(6)))
    legal = set(get_task(_TASK).legal_actions)
    self.assertContainsSubset(result.recording.actions, legal)
    # Not one action throughout, as a policy without draws would play.
    self.assertGreater(len(set(result.recording.actions)), 1)
    self.assertEqual((result.statistics, result.searches), ({}, 0))

  def test_it_can_be_repeated_and_is_kept_once(self):
    evaluation = self._prepare()
    for _ in range(2):
      result = evaluation.play()
      results.append(evaluation.results_path, evaluation.record(result),
                     result.recording)
    record, = results.read(self.path)
    self.assertEqual((record.run, record.stage, record.task, record.step),
                     ('random', 'random', _TASK, 0))
    self.assertEqual(record.returns, result.returns)

  def test_gin_decides_length_and_number(self):
    evaluation = self._prepare(
        episodes=None, gin_files=['protocols/smoke.gin'],
        gin_bindings=['EvaluationSettings.max_episode_steps = 3',
                      'EvaluationSettings.episodes = 5'])
    self.assertEqual(evaluation.settings.max_episode_steps, 3)
    self.assertEqual(evaluation.play().lengths, (3,) * 5)

  def test_sticky_actions_are_the_protocols(self):
    evaluation = random_evaluation.prepare(
        'Breakout', output=self.path,
        gin_bindings=['TaskSettings.sticky_actions = 0.25'])
    self.assertEqual(evaluation.task.sticky_actions, 0.25)

  @parameterized.parameters(
      ({'output': None}, 'root_dir is None and --output is None.*needs one'),
      ({'root_dir': 'runs/demo'}, 'root_dir is runs/demo and --output is'))
  def test_results_need_one_place(self, options, message):
    with self.assertRaisesRegex(UsageError, message):
      self._prepare(**options)

  def test_one_action_is_played_always(self):
    evaluation = self._prepare(actions=['LEFT'])
    result = evaluation.play()
    left = get_task(_TASK).action_names.index('LEFT')
    self.assertEqual(set(result.recording.actions), {left})
    self.assertEqual(evaluation.record(result).run, 'random LEFT')

  def test_several_actions_are_mixed_and_named_in_order(self):
    evaluation = self._prepare(actions=['RIGHT', 'LEFT', 'RIGHT'])
    result = evaluation.play()
    names = get_task(_TASK).action_names
    self.assertEqual({names[a] for a in result.recording.actions},
                     {'LEFT', 'RIGHT'})
    self.assertEqual(evaluation.run, ' '.join(
        ['random', *sorted(('LEFT', 'RIGHT'), key=names.index)]))

  def test_an_action_that_is_not_legal(self):
    with self.assertRaisesRegex(
        UsageError, "catch has no legal action 'LEFTT'. Did you mean LEFT"):
      self._prepare(actions=['LEFTT'])

  def test_a_misspelt_task(self):
    with self.assertRaisesRegex(UsageError, 'tiny:catsh.*tiny:catch'):
      random_evaluation.prepare('tiny:catsh', output=self.path)


if __name__ == '__main__':
  absltest.main()
