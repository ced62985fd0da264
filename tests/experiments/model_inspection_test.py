"""A checkpoint is held to recorded games of its own task and frames."""

import os

import gin
import tensorflow as tf

from tests.experiments import offline_sets
from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import configuration, model_inspection, roles
from xtra_tf.models.registry import build_world_model
from xtra_tf.variables import save_world_model

_TASK = 'tiny:catch'


class ModelInspectionTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.root = self.create_tempdir().full_path
    self.data = os.path.join(self.root, 'data')
    offline_sets.write(self.data, _TASK, lengths=(40, 30), columns=())
    configuration.parse(['protocols/smoke.gin'], [
        f'TARGET_TASK = {_TASK!r}', "SOURCE_TASKS = ('tiny:cross',)"])
    self.description = roles.resolve_parts(0).description

  def _checkpoint(self, **changes):
    description = {**self.description, **changes}
    return save_world_model(
        build_world_model(description, seed=0),
        os.path.join(self.root, 'checkpoint'), description, step=7)

  def test_predictions_are_held_to_the_log(self):
    checkpoint = self._checkpoint()
    inspection = model_inspection.prepare(checkpoint, _TASK, self.data,
                                          count=20)
    quality = inspection.measure()
    # A new network says 0 (its last layers are zeros); every step pays 1.
    self.assertLen(quality.prefix, 5)
    for k, fit in enumerate(quality.prefix, start=1):
      self.assertAlmostEqual(fit.predicted_mean, 0., places=5)
      self.assertAlmostEqual(fit.found_mean, k, places=5)
    self.assertGreater(quality.value.found_mean, 5.)
    again = model_inspection.prepare(checkpoint, _TASK, self.data, count=20)
    self.assertAllEqual(again.states.observation,
                        inspection.states.observation)

  def test_games_of_another_task_are_refused(self):
    other = os.path.join(self.root, 'other')
    offline_sets.write(other, 'tiny:cross', columns=())
    with self.assertRaisesRegex(IncompatibleDataError, 'tiny:cross'):
      model_inspection.prepare(self._checkpoint(), _TASK, other)

  def test_behaviour_cloning_has_no_model_to_inspect(self):
    checkpoint = self._checkpoint(acting='prior')
    with self.assertRaisesRegex(UsageError,
                                'behaviour cloning: it has learned a policy'):
      model_inspection.prepare(checkpoint, _TASK, self.data)


if __name__ == '__main__':
  tf.test.main()
