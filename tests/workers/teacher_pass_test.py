"""The teacher's pass, held to a pass over one row after the other."""

import json
import os
import shutil

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import (
  OPTIONAL_COLUMNS,
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
)
from xtra_tf.errors import DataFileError
from xtra_tf.numerics import observations
from xtra_tf.planning import PriorPlanner
from xtra_tf.tasks import TaskSpec
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.workers import TeacherPass
from xtra_tf.workers.frame_stacks import stacks_of

STACK = 3
# r real, l a life is lost, t the game ends, 0 not real: the no-op after a lost
# life, or the final observation.
GAMES = ('rrl0rrt0', 'rrrr', 'l0l0rt0')


def _task():
  return TaskSpec(name='drawn', observation_shape=(2, 2, 1),
                  observation_dtype='uint8', num_actions=3,
                  legal_actions=(0, 2), action_names=('a', 'b', 'c'),
                  stack=STACK)


def _write_log(directory):
  writer = EpisodeLogWriter(directory, _task(), (), block_steps=4)
  frame = 0
  for game in GAMES:
    for step, kind in enumerate(game):
      frame += 1
      writer.append(StepRow(
          observation=np.arange(4, dtype=np.uint8).reshape(2, 2, 1) + 9 * frame,
          action=2 * (step % 2) if kind in 'rlt' else 0, search=None,
          reward=0., raw_reward=0., terminal=kind == 't', truncated=False,
          life_loss=kind == 'l', real=kind in 'rlt', root_value=None,
          bootstrap_value=None, has_search=False, env_step=step))
    writer.end_episode('terminal' if game.endswith('t0') else 'cut')
  writer.close()
  return EpisodeLog(directory)


def _slow_stacks(episode):
  """Plays the episode anew, with a stack that a new life empties."""
  stacks, seen = [], []
  for row, frame in enumerate(episode.observation):
    seen.append(frame)
    padded = [seen[0]] * (STACK - 1) + seen
    stacks.append(np.stack(padded[-STACK:]))
    if not episode.real[row]:
      seen = []
  return np.stack(stacks)


class TeacherPassTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = LinearWorldModel((2, 2, STACK), num_actions=3, seed=3)
    cls.planner = PriorPlanner(visits=10.)

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.log = _write_log(os.path.join(self.folder, 'data'))

  def _run(self, batch_size, name='targets', noise_fraction=0., seed=0):
    teacher = TeacherPass(
        self.model.initial_inference, self.planner.bind(self.model.simulator()),
        _task(), batch_size, noise_fraction, seed)
    folder = os.path.join(self.folder, name)
    writer = EpisodeLogWriter(folder, _task(), OPTIONAL_COLUMNS, overlay=True,
                              block_steps=4)
    seen = []
    summary = teacher.run(self.log, writer, seen.append)
    writer.close()
    return list(self.log.with_overlay(folder).episodes()), summary, seen

  def test_stacks_against_slow_twin(self):
    for episode in self.log.episodes():
      self.assertAllEqual(stacks_of(episode, STACK), _slow_stacks(episode))

  def test_no_stack_crosses_a_lost_life(self):
    first = next(iter(self.log.episodes()))
    stacks = stacks_of(first, STACK)
    # The no-op's own row still shows the life before; then all begins anew.
    self.assertAllEqual(stacks[3], first.observation[1:4])
    self.assertAllEqual(stacks[4], first.observation[[4, 4, 4]])

  @parameterized.parameters(1, 3, 64)
  def test_against_one_row_at_a_time(self, batch_size):
    episodes, summary, seen = self._run(batch_size, f'by_{batch_size}')
    agreed = []
    for episode in episodes:
      for row, stack in enumerate(_slow_stacks(episode)):
        output = self.model.initial_inference(
            observations.stack_frames(tf.constant(stack[None])))
        prior = tf.nn.softmax(output.policy_logits[0].numpy()[[0, 2]])
        self.assertAllClose(episode.search[row][[0, 2]], 10 * prior, atol=1e-4)
        self.assertEqual(episode.search[row][1], 0.)  # not legal
        self.assertAllClose(episode.bootstrap_value[row], output.value[0])
        self.assertAllClose(episode.root_value[row], output.value[0])
        if episode.real[row]:
          agreed.append(2 * np.argmax(prior) == episode.action[row])
      self.assertTrue(episode.has_search.all())
    rows = sum(map(len, GAMES))
    self.assertEqual(summary.rows, rows)
    self.assertAlmostEqual(summary.agreement, np.mean(agreed))
    self.assertEqual(seen[-1], rows)

  def test_noise_depends_on_the_seed_and_on_the_batch(self):
    first, _, _ = self._run(4, 'first', noise_fraction=1., seed=1)
    again, _, _ = self._run(4, 'again', noise_fraction=1., seed=1)
    other, _, _ = self._run(4, 'other', noise_fraction=1., seed=2)
    self.assertAllEqual(first[0].search, again[0].search)
    self.assertNotAllClose(first[0].search, other[0].search)
    # Noise alone: equal rows of two batches would be the same draw.
    self.assertNotAllClose(first[0].search[0], first[0].search[4])

  @parameterized.parameters(*range(8))
  def test_a_killed_pass_goes_on_as_if_nothing_had_been(self, blocks):
    whole, expected, _ = self._run(3, 'whole', noise_fraction=1.)
    folder = os.path.join(self.folder, 'killed')
    shutil.copytree(os.path.join(self.folder, 'whole'), folder)
    index = os.path.join(folder, '0', 'index.jsonl')
    with open(index, 'rb') as file:
      lines = file.readlines()
    self.assertLen(lines, 7)
    with open(index, 'wb') as file:
      file.writelines(lines[:blocks])
    # As a kill leaves it: at most one block that no line names.
    os.truncate(os.path.join(folder, '0', 'shard-00000.tfrecord'), sum(
        json.loads(line)['length'] for line in lines[:blocks]))
    goes_on, seen = self._resume(folder)
    self.assertEqual(goes_on, expected)
    self.assertEqual(seen[-1], sum(map(len, GAMES)))
    for one, other in zip(whole, self.log.with_overlay(folder).episodes()):
      self.assertAllEqual(one.search, other.search)
      self.assertAllEqual(one.bootstrap_value, other.bootstrap_value)

  def _resume(self, folder):
    teacher = TeacherPass(
        self.model.initial_inference, self.planner.bind(self.model.simulator()),
        _task(), 3, 1., 0)
    writer = EpisodeLogWriter(folder, _task(), OPTIONAL_COLUMNS, overlay=True,
                              block_steps=4, drop_open=True)
    done = EpisodeLog(folder)
    # None is there in part, with a false end.
    for episode, whole in zip(done.episodes(), self.log.episodes()):
      self.assertEqual((episode.end, len(episode.real)),
                       (whole.end, len(whole.real)))
    seen = []
    summary = teacher.run(self.log, writer, seen.append, done)
    writer.close()
    return summary, seen

  def test_targets_of_other_actions_are_not_gone_on_with(self):
    self._run(3, 'targets')
    folder = os.path.join(self.folder, 'targets')
    other = os.path.join(self.folder, 'other')
    writer = EpisodeLogWriter(other, _task(), ())
    episode = next(iter(self.log.episodes()))
    for row in range(len(episode.real)):
      step = episode.row(row)
      writer.append(step._replace(action=2 - step.action))
    writer.end_episode('terminal')
    writer.close()
    self.log = EpisodeLog(other)
    with self.assertRaisesRegex(DataFileError, 'episode 0 of 8 rows.*Delete'):
      self._resume(folder)

  def test_the_data_stay_as_they_were(self):
    episodes, _, _ = self._run(4)
    for plain, told in zip(self.log.episodes(), episodes):
      self.assertEqual(plain.number, told.number)
      for name in ('observation', 'action', 'reward', 'real', 'life_loss'):
        self.assertAllEqual(getattr(plain, name), getattr(told, name))


if __name__ == '__main__':
  tf.test.main()
