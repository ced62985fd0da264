"""The recorder's rows, held to games that are written out by hand."""

from typing import List, NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from xtra_tf.types import SearchStatistics
from xtra_tf.workers.recorder import EpisodeRecorder


class _Info(NamedTuple):
  raw_reward: np.ndarray
  terminal: np.ndarray
  truncated: np.ndarray
  life_loss: np.ndarray


class _Log:
  """Keeps what an episode log writer is given."""

  def __init__(self):
    self.rows: List = []
    self.ends: List[str] = []
    self.next_episode = 0
    self.env_steps = 0

  def append(self, row):
    self.rows.append(row)

  def end_episode(self, kind):
    self.ends.append(kind)
    self.next_episode += 1

  def close(self):
    pass


class _Table:
  """Keeps what a replay writer is given."""

  def __init__(self):
    self.rows: List = []

  def append(self, row, number, index):
    self.rows.append((number, index, row))

  def close(self):
    pass


def _statistics():
  return SearchStatistics(*(np.array([x], np.float32) for x in range(4)))


FIRST, MID, LAST = (int(x) for x in (
    ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


def _time_step(step_type, frame, reward=0.0):
  return ts.TimeStep(
      np.array([step_type], np.int32), np.array([reward], np.float32),
      np.ones([1], np.float32),
      {'frame': np.full([1, 2, 2, 1], frame, np.uint8),
       'legal_actions': np.ones([1, 3], bool)})


class RecorderTest(tf.test.TestCase):

  def _record(self, script):
    """Plays (step type, frame, action, raw, terminal, truncated, life)."""
    log, table, games = _Log(), _Table(), []
    recorder = EpisodeRecorder([log], [table], stack=2, env_steps=0,
                               on_game=games.append)
    for now, then in zip(script[:-1], script[1:]):
      kind, frame, action, raw, terminal, truncated, life = now
      action_step = policy_step.PolicyStep(
          np.array([action]), (), {
              'search': np.array([[1., 3., 0.]], np.float32),
              'root_value': np.array([frame], np.float32),
              'statistics': _statistics()})
      recorder.observe_transition(
          (_time_step(kind, frame), action_step,
           _time_step(then[0], then[1], np.sign(raw))))
      recorder.observe_info(_Info(
          *(np.array([x]) for x in (raw, terminal, truncated, life))))
    return log, table, games, recorder

  def test_life_loss_then_game_over(self):
    log, table, games, recorder = self._record([
        (FIRST, 0, 1, 0., False, False, False),
        (MID, 1, 2, 20., False, False, True),  # loses a life
        (LAST, 2, 1, 5., False, False, False),  # the no-op after it
        (FIRST, 3, 1, 10., True, False, False),  # game over
        (LAST, 4, 2, 0., False, False, False),  # the reset
        (FIRST, 9, 1, 0., False, False, False),
    ])
    self.assertEqual([r.real for r in log.rows],
                     [True, True, False, True, False])
    self.assertEqual([int(r.observation[0, 0, 0]) for r in log.rows],
                     [0, 1, 2, 3, 4])
    self.assertEqual([r.action for r in log.rows], [1, 2, 0, 1, 0])
    self.assertEqual([r.reward for r in log.rows], [0., 1., 0., 1., 0.])
    self.assertEqual([r.raw_reward for r in log.rows], [0., 20., 5., 10., 0.])
    self.assertEqual([r.life_loss for r in log.rows],
                     [False, True, False, False, False])
    self.assertEqual([r.terminal for r in log.rows],
                     [False, False, False, True, False])
    self.assertEqual(log.ends, ['terminal'])
    # The no-op's reward counts in the game's score.
    self.assertEqual(games[0].raw_return, 35.)
    self.assertEqual(games[0].length, 4)
    self.assertEqual(recorder.env_steps, 3)
    self.assertEqual([index for _, index, _ in table.rows], [0, 1, 2, 3, 4])

  def test_no_op_that_ends_the_game_is_the_last_row(self):
    log, table, games, _ = self._record([
        (FIRST, 0, 1, 0., False, False, True),
        (LAST, 1, 1, 7., True, False, False),  # the no-op ends the game
        (FIRST, 5, 2, 1., False, False, False),  # already the next game
        (MID, 6, 1, 0., False, False, False),
    ])
    self.assertEqual([r.real for r in log.rows], [True, False, True])
    self.assertEqual(log.ends, ['terminal'])
    self.assertEqual(games[0].raw_return, 7.)
    self.assertEqual([(number, index) for number, index, _ in table.rows],
                     [(0, 0), (0, 1), (1, 0)])

  def test_truncation_is_told_apart_from_termination(self):
    log, _, games, _ = self._record([
        (FIRST, 0, 1, 1., False, True, False),
        (LAST, 1, 1, 0., False, False, False),
        (FIRST, 2, 1, 0., False, False, False),
    ])
    self.assertEqual(log.ends, ['truncated'])
    self.assertEqual([r.truncated for r in log.rows], [True, False])
    self.assertTrue(games[0].truncated)

  def test_log_is_written_before_the_table(self):
    order = []
    log, table = _Log(), _Table()
    log.append = lambda row: order.append('log')
    table.append = lambda *_: order.append('table')
    recorder = EpisodeRecorder([log], [table], stack=1, env_steps=0)
    action_step = policy_step.PolicyStep(
        np.array([0]), (), {'search': np.zeros([1, 3], np.float32),
                            'root_value': np.zeros([1], np.float32),
                            'statistics': _statistics()})
    recorder.observe_transition(
        (_time_step(FIRST, 0), action_step, _time_step(MID, 1)))
    recorder.observe_info(_Info(*(np.array([x]) for x in (
        0., False, False, False))))
    self.assertEqual(order, ['log', 'table'])

  def test_frames_for_a_policy_that_takes_over(self):
    _, _, _, recorder = self._record([
        (FIRST, 1, 1, 0., False, False, False),
        (MID, 2, 1, 0., False, False, False),
        (MID, 3, 1, 0., False, False, False),
    ])
    self.assertAllEqual(recorder.frames[0, :, 0, 0, 0], [1, 2])

  def test_search_means_leave_boundaries_out(self):
    _, _, _, recorder = self._record([
        (FIRST, 2, 1, 0., False, False, False),
        (MID, 4, 1, 0., True, False, False),
        (LAST, 100, 1, 0., False, False, False),  # its action is not played
        (FIRST, 0, 1, 0., False, False, False),
    ])
    means = recorder.take_search_means()
    self.assertEqual(means['root_value'], 3.)
    self.assertEqual(means['prior_to_visit_kl'], 3.)
    self.assertEmpty(recorder.take_search_means())

  def test_a_policy_that_does_not_search_leaves_no_search_results(self):
    log, table = _Log(), _Table()
    recorder = EpisodeRecorder([log], [table], stack=1, env_steps=0)
    recorder.searching = recorder.has_targets = False
    action_step = policy_step.PolicyStep(
        np.array([0]), (), {'search': np.ones([1, 3], np.float32),
                            'root_value': np.zeros([1], np.float32),
                            'statistics': _statistics()})
    recorder.observe_transition(
        (_time_step(FIRST, 0), action_step, _time_step(MID, 1)))
    recorder.observe_info(_Info(*(np.array([x]) for x in (
        0., False, False, False))))
    self.assertFalse(log.rows[0].has_search)
    self.assertEmpty(recorder.take_search_means())

  def test_one_table_writer_per_log(self):
    with self.assertRaisesRegex(ValueError, 'got 1 logs and 2'):
      EpisodeRecorder([_Log()], [_Table(), _Table()], 1, 0)


if __name__ == '__main__':
  tf.test.main()
