"""A server with other items or priorities than the disk's would be noticed."""

import dataclasses
import os

from absl.testing import absltest
import numpy as np
import tensorflow as tf
from tf_agents.utils import common

from tests.faults import invariants, table_check
from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
  block_index,
)
from xtra_tf.replay import PriorityLedger, ReplayServer, ReplayWriter, TableSpec
from xtra_tf.replay.window import WindowSpec
from xtra_tf.runs import RunDirectory
from xtra_tf.tasks import get_task
from xtra_tf.variables import ManifestedCheckpoints

_TASKS = ('tiny:catch', 'tiny:collect')


def _play(folder, task, games=3, steps=9):
  writer = EpisodeLogWriter(folder, task, ())
  for _ in range(games):
    for step in range(steps + 1):
      writer.append(StepRow(
          observation=np.zeros(task.observation_shape, np.uint8), action=0,
          search=None, reward=0., raw_reward=0., terminal=step == steps - 1,
          truncated=False, life_loss=False, real=step < steps, root_value=None,
          bootstrap_value=None, has_search=False, env_step=step))
    writer.end_episode('terminal')
  writer.close()


class TableCheckTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    run = RunDirectory(self.create_tempdir().full_path)
    self.stage = run.stage('finetune', _TASKS[0])
    self.logs = {_TASKS[0]: self.stage.episodes,
                 _TASKS[1]: run.stage('data', _TASKS[1]).episodes}
    for task, folder in self.logs.items():
      _play(folder, get_task(task))
    self.ledger = PriorityLedger(_TASKS)
    self.ledger.maximum = 5.
    # Of two games there are priorities, of the third the save knows none.
    for task in _TASKS:
      for step in range(9):
        self.ledger.of_new(task, 0, step)
    self.ledger.update(np.array([0, 1]), np.array([[0, 3], [0, 4]]),
                       np.array([0.25, 2.5], np.float32))
    step = tf.Variable(7, dtype=tf.int64)
    checkpoints = ManifestedCheckpoints(self.stage)
    checkpoints.prepare()
    common.Checkpointer(self.stage.checkpoints, train_step=step).save(step)
    checkpoints.commit(7, 27, {'maximum_priority': 5.},
                       self.ledger.to_arrays())

  def broken(self, change=lambda task, episode, step, priority: priority,
             games=3):
    """What is said of a server that was loaded with other priorities."""
    task = get_task(_TASKS[0])
    window = WindowSpec(
        stack=1, unroll_steps=1, td_steps=2,
        observation_shape=task.observation_shape, observation_dtype='uint8',
        target_shape=(task.num_actions,))
    server = ReplayServer(
        [TableSpec(name, max_size=100) for name in _TASKS], window)
    self.addCleanup(server.stop)
    for name, folder in self.logs.items():
      def priority(episode, step, name=name):
        return change(name, episode, step,
                      self.ledger.of_new(name, episode, step))
      with self.ledger.restoring():
        writer = ReplayWriter(server.client(), name, window, priority)
        for episode in list(EpisodeLog(folder).episodes())[:games]:
          writer.load(episode)
        writer.close()
    return table_check.broken(server.address, self.stage, self.logs)

  def test_all_as_saved(self):
    self.assertEqual(self.broken(), [])

  def test_one_other_priority(self):
    for name in _TASKS:
      found = self.broken(lambda task, episode, step, priority, name=name: (
          priority + 1. if (task, episode, step) == (name, 0, 3)
          else priority))
      self.assertLen(found, 1)
      self.assertIn(f'the item of {name} at 0, 3 has the priority', found[0])

  def test_a_game_that_is_open(self):
    for folder in self.logs.values():
      index = os.path.join(folder, '0', 'index.jsonl')
      with open(index, 'rb') as file:
        lines = file.readlines()
      entry = block_index.decode_line(lines[-1])
      with open(index, 'wb') as file:
        file.writelines([*lines[:-1], block_index.encode_line(
            dataclasses.replace(entry, end=None))])
    # Whoever plays it feeds it; of a set it is a part like any other.
    self.assertEqual(self.broken(lambda *place: place[-1], games=2), [
        'the table tiny:collect holds 18 items, its log 27 steps'])

  def test_a_game_that_is_missing(self):
    self.assertIn('holds 18 items, its log 27 steps', self.broken(games=2)[0])


class InvariantsTest(absltest.TestCase):
  """What single_roles.py looks at besides."""

  def setUp(self):
    super().setUp()
    self.root = self.create_tempdir().full_path
    self.log = os.path.join(self.root, 'data', 'a', 'replay', 'episodes')
    _play(self.log, get_task(_TASKS[0]))

  def test_good_log(self):
    self.assertEqual(invariants.damaged(self.root), [])

  def test_changed_byte(self):
    path = os.path.join(self.log, '0', 'shard-00000.tfrecord')
    with open(path, 'r+b') as file:
      file.seek(50)
      file.write(b'!')
    self.assertIn('other bytes than were committed',
                  invariants.damaged(self.root)[0])

  def test_episode_of_two_writers(self):
    os.rename(os.path.join(self.log, '0'), os.path.join(self.log, '1'))
    _play(self.log, get_task(_TASKS[0]), games=1)
    self.assertIn('episode 0 of', invariants.damaged(self.root)[0])

  def test_leftovers(self):
    for name in ('.a.json.1-2.tmp', 'ckpt-5_temp', 'b.tempstate123'):
      with open(os.path.join(self.log, name), 'wb'):
        pass
    self.assertLen(invariants.leftovers(self.root), 3)

  def test_rows(self):
    rows = [{'step': 1, 'loss/total': 2.}, {'step': 1}, {'step': 2}]
    self.assertEqual(invariants.odd_rows(rows), [])
    self.assertLen(invariants.odd_rows([*rows, {'step': 1}]), 1)
    self.assertLen(invariants.odd_rows([*rows, {
        'step': 3, 'loss/total': None}]), 1)


if __name__ == '__main__':
  absltest.main()
