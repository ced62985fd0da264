"""Offline sets that are larger than their table, inside a learner."""

import contextlib
import dataclasses
import io
import os
from unittest import mock

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from tests.experiments import offline_sets
from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import UsageError
from xtra_tf.experiments import configuration, roles, training
from xtra_tf.experiments.offline_tables import OfflineTables
from xtra_tf.experiments.settings import ReplaySettings
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.offline_data import loading
from xtra_tf.replay import (
  Composition,
  Extras,
  IndexedTables,
  ReverbTables,
  TableSpec,
  WindowSpec,
)
from xtra_tf.runs import RunDirectory, read_metrics
from xtra_tf.types import POSITION

NAME, LENGTHS, SIZE, ROWS = 'tiny:collect', (12, 9, 14), 20, 8
WINDOW = WindowSpec(stack=1, unroll_steps=2, td_steps=2,
                    observation_shape=(10, 10, 10), observation_dtype='uint8',
                    target_shape=(6,))


class OfflineTablesTest(parameterized.TestCase, tf.test.TestCase):

  def build(self, kind, say=print, **settings):
    folder = os.path.join(self.create_tempdir().full_path, 'data')
    offline_sets.write(folder, NAME, LENGTHS)
    tables = kind([TableSpec(NAME, SIZE)], WINDOW)
    self.addCleanup(tables.stop)
    return tables, OfflineTables(
        {NAME: EpisodeLog(folder)}, tables, {NAME: ROWS},
        ReplaySettings(max_size=SIZE, **settings), say)

  @parameterized.parameters(ReverbTables, IndexedTables)
  def test_the_oldest_steps_go(self, kind):
    said = []
    tables, offline = self.build(kind, said.append, samples_per_step=2.)
    offline.load(0)
    batches = iter(tables.dataset(
        Composition((ROWS,)), Extras(np.ones([1, 6], bool), tf.Variable(
            [0], dtype=tf.int64)),
        0))
    column = POSITION.index('episode')
    seen = []
    for step in range(1, 21):
      unroll, _ = next(batches)
      seen.append(set(unroll.position[:, WINDOW.anchor, column].numpy()))
      offline.advance(step)
      self.assertEqual(tables.sizes(), {NAME: SIZE})
    self.assertContainsSubset(seen[0], {0, 1})
    self.assertEqual(set().union(*seen), {0, 1, 2})
    self.assertRegex(said[0], r'Memory of the offline tables: needs .* has ')
    # 20 + 20 * 8 / 2 steps of 35, in whole games.
    self.assertEqual(
        [text.split(',')[0] for text in said[1:]],
        [f'{NAME}: epoch {n} of the data begins' for n in (2, 3, 4)])
    self.assertAllClose(offline.scalars(),
                        {f'replay/{NAME}/epochs': 105 / 35})

  def test_a_set_that_fits_is_loaded_once(self):
    tables, offline = self.build(ReverbTables)
    offline._settings = dataclasses.replace(offline._settings, max_size=35)
    offline.load(7)
    offline.advance(1000)
    self.assertEqual(tables.sizes(), {NAME: SIZE})
    self.assertEmpty(offline.scalars())

  def test_too_little_memory(self):
    _, offline = self.build(ReverbTables)
    with mock.patch.object(loading.psutil, 'virtual_memory',
                           return_value=mock.Mock(available=10)):
      with self.assertRaisesRegex(UsageError, 'needs .* has 10 B .tiny:coll'):
        offline.load(0)

  @parameterized.parameters(0., -1., float('nan'), float('inf'))
  def test_impossible_pace(self, value):
    with self.assertRaisesRegex(UsageError, 'samples_per_step is'):
      ReplaySettings(samples_per_step=value)


class StreamingStageTest(tf.test.TestCase):
  """A stage that learns from a set larger than its table, in two sessions."""

  def test_stage(self):
    self.addCleanup(gin.clear_config)
    self.addCleanup(
        configuration.ExecutionSettings(graph_optimizer=True).apply)
    stage = 'student/xtra_tf.experiments.StageSettings.'
    replay = 'xtra_tf.experiments.ReplaySettings.'
    configuration.parse(['protocols/smoke.gin'], [
        f'{replay}unroll_steps = 1', f'{replay}td_steps = 1',
        f'{replay}max_size = {SIZE}', f'{replay}samples_per_step = 2.0',
        f'{stage}updates = 6', f'{stage}log_interval = 2'])
    configuration.ExecutionSettings(graph_optimizer=False).apply()
    tf.config.run_functions_eagerly(True)  # tracing would take most of the time
    self.addCleanup(tf.config.run_functions_eagerly, False)
    folder = self.create_tempdir().full_path
    task = offline_sets.write(os.path.join(folder, 'data'), NAME, LENGTHS)
    directory = RunDirectory(folder).stage('student')
    plan = TrainingPlan(
        stage='student', title='', directory=directory, tasks=(task,),
        rows=(ROWS,), targets='stored',
        logs={NAME: EpisodeLog(os.path.join(folder, 'data'))})
    said = []
    for updates in (6, 12):
      parts = roles.resolve_parts(0)
      student = parts.stages['student']
      parts.stages['student'] = dataclasses.replace(
          student, stage=dataclasses.replace(student.stage, updates=updates))
      with contextlib.redirect_stdout(io.StringIO()) as output:
        training.train(parts, plan)
      said.append(output.getvalue())
    epochs = [row[f'replay/{NAME}/epochs'] for row in read_metrics(
        directory.metrics_file('learner'))]
    # After 2, 4, .. 12 steps: 20 + 4 steps each, in whole games, of 35.
    self.assertAllClose(epochs, [count / 35 for count in
                                 (35, 47, 47, 56, 70, 70)])
    self.assertIn(f'{NAME}: epoch 2 of the data begins, 35 steps', said[0])
    # The second session finds the steps in its table that the first one left.
    self.assertIn(f'Loading {NAME}, epoch 1: 0/20 steps', said[1])
    self.assertIn(f'{NAME}: epoch 3 of the data begins, 70 steps', said[1])


if __name__ == '__main__':
  tf.test.main()
