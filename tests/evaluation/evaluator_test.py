"""Tests of the evaluator on tiny games, with small models."""

from unittest import mock

import numpy as np
import tensorflow as tf

from xtra_tf import environments, tasks
from xtra_tf.errors import UsageError
from xtra_tf.evaluation import (
  EvaluationSettings,
  Evaluator,
  evaluate,
  evaluator,
  results,
)
from xtra_tf.planning import MctsPlanner, PriorPlanner
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.testing.scripted_games import Event, ScriptedGames

_EPISODES = 6


def _model(task: tasks.TaskSpec) -> LinearWorldModel:
  *space, channels = task.observation_shape
  return LinearWorldModel((*space, channels * task.stack),
                          num_actions=task.num_actions, seed=1)


class EvaluatorTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Its games end after 10 to 50 steps, none with another.
    cls.task = tasks.get_task('gym:CartPole-v1')
    cls.model = _model(cls.task)
    cls.settings = EvaluationSettings(episodes=_EPISODES)
    cls.evaluator = Evaluator(
        cls.task, cls.model, PriorPlanner(visits=10.), cls.settings)
    cls.seen = []
    cls.result = cls.evaluator.run(
        progress=lambda done, **fields: cls.seen.append((done, fields)))

  def test_one_entry_per_game(self):
    for column in self.result[:4]:
      self.assertLen(column, _EPISODES)
    self.assertFalse(any(self.result.truncated))
    # Else no test here would see a batch shrink.
    self.assertGreater(len(set(self.result.lengths)), 3)

  def test_seeds_are_the_evaluation_games(self):
    self.assertEqual(self.result.seeds, tuple(range(_EPISODES)))

  def test_equal_weights_give_equal_results(self):
    again = self.evaluator.run()
    self.assertEqual(again._replace(seconds=0.),
                     self.result._replace(seconds=0.))

  def test_ties_are_broken_alike_in_every_run(self):
    task = tasks.get_task('tiny:catch')
    model = _model(task)
    # Equal priors: the few visits go to actions by chance.
    model.policy_head.assign(tf.zeros_like(model.policy_head))
    planner = MctsPlanner(num_simulations=2, compile_search=False)
    settings = EvaluationSettings(episodes=1, max_episode_steps=12)
    seeded = Evaluator(task, model, planner, settings, seed=3)
    first = seeded.run().recording
    self.assertEqual(seeded.run().recording, first)
    other = evaluate(task, model, planner, settings, seed=4).recording
    self.assertNotEqual(other.actions, first.actions)

  def test_other_weights_give_other_results(self):
    before = self.model.policy_head.numpy()
    self.model.policy_head.assign(-before)
    try:
      other = self.evaluator.run()
    finally:
      self.model.policy_head.assign(before)
    self.assertNotEqual(other.recording, self.result.recording)

  def test_games_do_not_depend_on_who_plays_beside(self):
    """One game at a time, the batch never shrinks: the slow obvious twin."""
    alone = evaluate(
        self.task, self.model, PriorPlanner(visits=10.),
        EvaluationSettings(episodes=_EPISODES, batch_size=1))
    self.assertEqual(alone.returns, self.result.returns)
    self.assertEqual(alone.lengths, self.result.lengths)
    self.assertEqual(alone.seeds, self.result.seeds)
    self.assertEqual(alone.recording, self.result.recording)
    self.assertEqual(alone.searches, self.result.searches)
    for name, mean in self.result.statistics.items():
      self.assertAllClose(alone.statistics[name], mean, rtol=1e-4, msg=name)

  def test_searches_do_not_depend_on_who_plays_beside(self):
    """With a tree search; draws between equal scores go by the row."""
    task = tasks.get_task('gym:CartPole-v1')
    planner = MctsPlanner(num_simulations=4, tie_break='lowest',
                          compile_search=False)
    together, alone = (
        evaluate(task, self.model, planner,
                 EvaluationSettings(episodes=3, max_episode_steps=60,
                                    batch_size=size)) for size in (3, 1))
    self.assertLen(set(together.lengths), 3)
    self.assertEqual(alone.lengths, together.lengths)
    self.assertEqual(alone.recording, together.recording)

  def test_only_playing_games_are_searched(self):
    self.assertEqual(self.result.searches, sum(self.result.lengths))

  def test_finished_games_are_neither_searched_nor_stepped(self):
    """Counts what the games and the search are asked for, step by step."""
    lengths = [3, 9, 1, 5, 9]
    games = ScriptedGames(self.task, [
        [Event()] * (length - 1) + [Event(raw_reward=1, terminal=True)]
        for length in lengths])
    with mock.patch.object(environments.loading, 'load_games',
                           return_value=games) as load_games, \
        mock.patch.object(games, 'step', wraps=games.step) as step, \
        mock.patch.object(evaluator, '_rows', wraps=evaluator._rows) as rows:
      result = evaluate(self.task, self.model, PriorPlanner(visits=10.),
                        EvaluationSettings(episodes=5))
    self.assertTrue(load_games.call_args.kwargs['separate'])
    self.assertEqual(result.lengths, tuple(lengths))
    self.assertEqual([np.flatnonzero(~call.args[1]).tolist()
                      for call in step.call_args_list],
                     [[i for i in range(5) if lengths[i] > t]
                      for t in range(9)])
    self.assertEqual(result.searches, sum(lengths))
    # 5, 4, 4, 3, 3 and then 2 games, in batches of powers of two.
    self.assertEqual([len(call.args[1]) for call in rows.call_args_list],
                     [8, 4, 4, 4, 4, 2, 2, 2, 2])

  def test_each_batch_size_is_traced_once(self):
    self.evaluator.run()
    traced = self.evaluator._policies._act.experimental_get_tracing_count()
    self.assertLessEqual(traced, 4)  # of 8, 4, 2, 1

  def test_recording_is_the_lower_median_and_can_be_played_again(self):
    recording = self.result.recording
    self.assertEqual(recording.raw_return,
                     sorted(self.result.returns)[(_EPISODES - 1) // 2])
    self.assertEqual(recording.raw_return,
                     self.result.returns[recording.seed_index])
    pictures = environments.render_game(
        self.task, recording.seed_index, recording.actions,
        recording.raw_rewards)
    self.assertLen(pictures, len(recording.actions) + 1)

  def test_statistics_name_all_that_a_search_tells(self):
    self.assertCountEqual(self.result.statistics, (
        'root_value', 'max_depth', 'mean_depth', 'visit_entropy',
        'prior_to_visit_kl'))
    self.assertTrue(np.isfinite(list(self.result.statistics.values())).all())

  def test_progress_ends_with_all_games(self):
    counts = [done for done, _ in self.seen]
    self.assertEqual(counts, sorted(counts))
    done, fields = self.seen[-1]
    self.assertEqual(done, _EPISODES)
    self.assertEqual(fields['steps'], sum(self.result.lengths))
    self.assertAllClose(fields['return'], np.mean(self.result.returns))

  def test_step_limit_truncates(self):
    result = evaluate(self.task, self.model, PriorPlanner(visits=10.),
                      EvaluationSettings(episodes=2, max_episode_steps=3))
    self.assertEqual(result.lengths, (3, 3))
    self.assertEqual(result.truncated, (True, True))
    self.assertTrue(result.recording.truncated)

  def test_result_becomes_a_line_of_the_results_file(self):
    record = self.result.record(run='r', stage='student', task=self.task.name,
                                step=5, env_steps=0)
    path = self.create_tempfile().full_path
    results.append(path, record, self.result.recording)
    read = results.read(path)[0]
    self.assertEqual(read.returns, self.result.returns)
    self.assertEqual(results.read_recording(path, read), self.result.recording)

  def test_settings_are_checked(self):
    with self.assertRaisesRegex(UsageError, 'episodes is 0'):
      EvaluationSettings(episodes=0)


if __name__ == '__main__':
  tf.test.main()
