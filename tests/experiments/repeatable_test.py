"""A stage that is broken off and gone on with ends as if it never had been."""

import dataclasses
import hashlib
import os
from unittest import mock

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import EpisodeLog
from xtra_tf.evaluation import results
from xtra_tf.experiments import configuration, roles, training
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.runs import RunDirectory
from xtra_tf.workers import StepLearner, Trainer

UPDATES, SAVES = 20, 4
_STAGE = 'scratch/xtra_tf.experiments.StageSettings.'
_REPLAY = 'xtra_tf.experiments.ReplaySettings.'
_BINDINGS = (
    'NUM_SIMULATIONS = 2', 'BATCH_SIZE = 8', f'{_REPLAY}unroll_steps = 2',
    f'{_REPLAY}td_steps = 2', f'{_REPLAY}with_replacement = False',
    f'{_REPLAY}repeatable = True', f'{_REPLAY}max_size = 90',
    'xtra_tf.learners.LearnerSettings.target_update_period = 3',
    'xtra_tf.learners.LearnerSettings.warmup_steps = 0',
    f'{_STAGE}updates = {UPDATES}', f'{_STAGE}env_steps = 130',
    f'{_STAGE}updates_per_env_step = 0.25', f'{_STAGE}start_env_steps = 50',
    f'{_STAGE}num_envs = 3', f'{_STAGE}acting_update_period = 5',
    f'{_STAGE}evaluation_interval = 6', f'{_STAGE}evaluation_episodes = 1',
    f'{_STAGE}save_interval = {SAVES}', f'{_STAGE}log_interval = {SAVES}')


class _KilledError(BaseException):
  """Nobody catches this."""


def _tensors(stage, step):
  """{name: bytes} of all that the last save holds."""
  reader = tf.train.load_checkpoint(
      os.path.join(stage.checkpoints, f'ckpt-{step}'))
  names = [name for name in reader.get_variable_to_shape_map()
           if name.endswith('VARIABLE_VALUE')]
  return {name: np.asarray(reader.get_tensor(name)).tobytes()
          for name in names}


def _files(folder):
  """{path: digest} of all files below a folder."""
  found = {}
  for parent, _, names in os.walk(folder):
    for name in names:
      with open(os.path.join(parent, name), 'rb') as file:
        found[os.path.relpath(os.path.join(parent, name), folder)] = (
            hashlib.sha256(file.read()).hexdigest())
  return found


class RepeatableTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.addClassCleanup(gin.clear_config)
    cls.addClassCleanup(
        configuration.ExecutionSettings(graph_optimizer=True).apply)
    configuration.parse(['protocols/smoke.gin'], _BINDINGS)
    configuration.ExecutionSettings(graph_optimizer=False).apply()
    cls.parts = roles.resolve_parts(seed=3)
    test = cls()
    cls.whole = test.train(test.create_tempdir().full_path)

  def train(self, root, killed_at=None, where=(StepLearner, 'run')):
    """One session, killed when something is done for the so-manieth time."""
    stage = RunDirectory(root).stage('scratch', self.parts.target.name)
    plan = TrainingPlan(
        stage='scratch', title='', directory=stage, tasks=(self.parts.target,),
        rows=(8,), targets='reanalyzed', logs={}, online=True)
    original, calls = getattr(*where), []

    def counted(*args, **kwargs):
      calls.append(1)
      if len(calls) == killed_at:
        raise _KilledError()
      return original(*args, **kwargs)

    with mock.patch.object(*where, counted):
      training.train(self.parts, plan)
    return stage

  def assert_ended_alike(self, stage):
    expected, found = (_tensors(s, UPDATES) for s in (self.whole, stage))
    self.assertEqual(set(found), set(expected))
    self.assertEqual([n for n in found if found[n] != expected[n]], [])
    self.assertEqual(_files(stage.episodes), _files(self.whole.episodes))
    expected, found = (
        [dataclasses.replace(line, seconds=0.)
         for line in results.read(s.evaluations)] for s in (self.whole, stage))
    self.assertNotEmpty(expected)
    self.assertEqual(found, expected)

  def test_the_stage_does_what_it_is_to_be_held_to(self):
    log = EpisodeLog(self.whole.episodes)
    # The table has dropped its oldest items, games were left open.
    self.assertGreater(log.num_steps, 100)
    self.assertGreater(sum(e.end == 'cut' for e in log.episodes()), 1)

  def test_killed_again_and_again_it_ends_in_the_same_weights(self):
    root = self.create_tempdir().full_path
    step, manifest = (StepLearner, 'run'), (
        training.ManifestedCheckpoints, 'commit')
    for killed_at, where in (
        (3, step),  # before the first save: the log alone is there
        (1, manifest),  # after TensorFlow's save, before it counts
        (2, (Trainer, '_evaluate'))):  # right behind a save
      with self.assertRaises(_KilledError):
        self.train(root, killed_at, where)
    self.assert_ended_alike(self.train(root))


if __name__ == '__main__':
  tf.test.main()
