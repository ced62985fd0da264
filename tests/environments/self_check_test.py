"""The start-up check of the emulator."""

import numpy as np
import tensorflow as tf

from xtra_tf import tasks
from xtra_tf.environments import self_check
from xtra_tf.environments.atari import AtariGames
from xtra_tf.testing.scripted_games import Event, ScriptedGames


class SelfCheckTest(tf.test.TestCase):

  def test_this_machine_is_well(self):
    self.assertEqual(self_check.check_atari(), [])

  def test_another_frame_is_reported_with_both_digests(self):
    games = AtariGames(tasks.get_task('Breakout', resolution=48), 1)
    self.addCleanup(games.close)
    (problem,) = self_check.check_frames(games)
    self.assertRegex(problem, 'has the digest [0-9a-f]{16}. Expected 7355d2')

  def test_a_restart_at_a_life_loss_is_reported(self):
    task = tasks.get_task('Breakout', resolution=8)
    alive, lost = Event(lives=5), Event(lives=4)
    for script, problems in (
        ([alive, alive, lost, lost, lost, lost], 0),
        ([alive, alive, lost, alive, alive, alive], 1),
        ([alive, alive, Event(lives=4, terminal=True), lost, lost, lost], 1),
        ([alive] * 70, 1)):
      games = ScriptedGames(task, [script], lives=5)
      found = self_check.check_life_loss_is_no_reset(games, task)
      self.assertLen(found, problems, script)

  def test_an_emulator_with_fewer_actions_is_reported(self):

    class FewActions(AtariGames):
      num_actions = 4

    games = FewActions(tasks.get_task('Breakout', resolution=8), 1)
    self.addCleanup(games.close)
    games.begin(np.ones([1], bool), np.array([0]))
    self.assertRegex(self_check.check_actions(games)[0],
                     'takes 4 actions. Expected 18')


if __name__ == '__main__':
  tf.test.main()
