"""When the visit temperature falls, from a profile's gin file to the actor."""

from unittest import mock

from absl.testing import parameterized
import gin
import tensorflow as tf

from xtra_tf.errors import UsageError
from xtra_tf.experiments import configuration, roles, training
from xtra_tf.experiments.settings import StageSettings


class TemperatureTest(parameterized.TestCase, tf.test.TestCase):

  def temperatures(self, stage, steps):
    """What `_publish` gives the acting policy at each step."""
    session = mock.Mock()
    session._settings.stage = stage
    made = tf.Variable(0, dtype=tf.int64)
    session._temperature = training._temperature_at(made, stage)
    session._policy.temperature = tf.Variable(0.)
    session._staleness = None  # nobody asks how old the weights are
    found = []
    with mock.patch.object(training, 'copy_variables'):
      for step in steps:
        made.assign(step)
        training._Session._publish(session, step)
        found.append(float(session._policy.temperature.numpy()))
    return found

  @parameterized.parameters(
      ('fixed', 60_000, 90_000), ('xtra_official', 60_000, 90_000),
      ('efficientzero_head', 50_000, 75_000))
  def test_official_steps(self, profile, half, quarter):
    self.addCleanup(gin.clear_config)
    configuration.parse(
        ['protocols/paper.gin', f'profiles/{profile}.gin'], [])
    parts = roles.resolve_parts(seed=0)
    for name in ('data', 'finetune', 'scratch'):
      self.assertEqual(
          self.temperatures(parts.stages[name].stage, [
              0, half - 1, half, quarter - 1, quarter, 119_999]),
          [1., 1., 0.5, 0.5, 0.25, 0.25])

  @parameterized.parameters(
      ((0.5,),), ((0.75, 0.5),), ((-0.1, 0.5),), ((0.5, 1.1),),
      ((0.1, 0.2, 0.3),), (0.5,), (None,))
  def test_refused(self, boundaries):
    with self.assertRaisesRegex(
        UsageError, 'temperature_boundaries is .* Expected two shares'):
      StageSettings(updates=1, temperature_boundaries=boundaries)

  def test_a_list_becomes_a_tuple(self):
    settings = StageSettings(updates=1, temperature_boundaries=[0.1, 0.1])
    self.assertEqual(settings.temperature_boundaries, (0.1, 0.1))
    hash(settings)


if __name__ == '__main__':
  tf.test.main()
