"""Tests of the evaluation protocol's settings."""

from absl.testing import absltest, parameterized

from xtra_tf.errors import UsageError
from xtra_tf.evaluation import protocol


class ProtocolTest(parameterized.TestCase):

  def test_defaults_are_the_paper_s(self):
    settings = protocol.EvaluationSettings()
    self.assertEqual((settings.episodes, settings.max_episode_steps),
                     (32, 27_000))

  @parameterized.parameters(
      ('episodes', 0), ('episodes', 2.5), ('max_episode_steps', -1),
      ('batch_size', True))
  def test_impossible_numbers(self, field, value):
    with self.assertRaisesRegex(
        UsageError, f'EvaluationSettings.{field} is {value}. Expected a whole '
        'number'):
      protocol.EvaluationSettings(**{field: value})

  @parameterized.parameters(
      (1, (1,)), (2, (2, 1)), (5, (8, 4, 2, 1)), (8, (8, 4, 2, 1)),
      (32, (32, 16, 8, 4, 2, 1)), (33, (64, 32, 16, 8, 4, 2, 1)))
  def test_search_sizes(self, batch_size, sizes):
    self.assertEqual(protocol.search_sizes(batch_size), sizes)


if __name__ == '__main__':
  absltest.main()
