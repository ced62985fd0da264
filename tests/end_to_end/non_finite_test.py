"""A loss that is not finite stops the run and leaves a good checkpoint."""

import os
import re
import shutil
import tempfile
import unittest

import numpy as np
import pytest

from tests.end_to_end import tiny_run
from xtra_tf import errors
from xtra_tf.models import build_world_model
from xtra_tf.runs import RunDirectory, read_metrics
from xtra_tf.variables import load_model_description, restore_world_model

_LEARNER = 'data/xtra_tf.learners.LearnerSettings'
# The learning rate explodes at the seventh update: there is a save before it.
_BINDINGS = (f'{_LEARNER}.warmup_steps = 0', f'{_LEARNER}.decay_steps = 6',
             f'{_LEARNER}.decay_rate = 1e30')


@pytest.mark.timeout(1200)
class NonFiniteTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, folder)
    cls.root = os.path.join(folder, 'run')
    cls.result = tiny_run.launch(cls.root, _BINDINGS)
    cls.directory = RunDirectory(cls.root)
    cls.stage = cls.directory.stage('data', tiny_run.SOURCES[0])

  def test_stops_with_a_message_that_names_step_losses_and_checkpoint(self):
    self.assertEqual(self.result.returncode, errors.EXIT_NON_FINITE,
                     self.result.stderr[-3000:])
    message = self.result.stderr
    self.assertNotIn('Traceback', message)
    self.assertEqual(message.count('error: '), 1, message)
    step = int(re.search(r'not finite at step (\d+)', message).group(1))
    self.assertGreater(step, tiny_run.SAVE_INTERVAL)
    self.assertLessEqual(step, tiny_run.UPDATES['data'])
    for part in ('value', 'value_prefix', 'policy', 'consistency'):
      self.assertRegex(message, rf"'{part}': (-?[\d.e+]+|nan|-?inf)")
    self.assertRegex(message, r'loss \S*(nan|inf)|gradient norm \S*(nan|inf)')
    self.assertIn(
        f'Last good checkpoint: step {tiny_run.SAVE_INTERVAL} in '
        f'{self.stage.checkpoints}', message)

  def test_run_is_recorded_as_stopped(self):
    record = self.directory.record
    self.assertEqual(record['state'], 'stopped')
    self.assertIn('NonFiniteError', record['exit_reason'])
    self.assertIsNone(self.stage.read_done())
    rows = read_metrics(self.stage.metrics_file('learner'))
    # The update that was not applied is in no row.
    self.assertEqual([row['step'] for row in rows if 'loss/total' in row],
                     [tiny_run.SAVE_INTERVAL])

  def test_that_checkpoint_is_finite_and_can_be_restored(self):
    model = build_world_model(load_model_description(self.stage.path), seed=9)
    model.build_variables()
    born = [variable.numpy() for variable in model.variables]
    info = restore_world_model(model, self.stage.path)
    self.assertEqual(info.step, tiny_run.SAVE_INTERVAL)
    changed = 0
    for before, variable in zip(born, model.variables):
      value = variable.numpy()
      self.assertTrue(np.isfinite(value).all(), variable.name)
      self.assertLess(np.abs(value).max(initial=0.), 1e4, variable.name)
      changed += bool(np.any(before != value))
    self.assertGreater(changed, len(born) // 2)


if __name__ == '__main__':
  unittest.main()
