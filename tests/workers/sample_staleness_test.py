"""Ages of rows in environment steps and in updates."""

from absl.testing import absltest
import numpy as np

from xtra_tf.types import SampleInfo
from xtra_tf.workers import SampleStaleness


def _rows(task, taken_at):
  count = len(task)
  return SampleInfo(
      key=np.zeros([count], np.uint64), task=np.array(task, np.int32),
      position=np.zeros([count, 2], np.int64), probability=np.ones([count]),
      taken_at=np.array(taken_at, np.int64))


class SampleStalenessTest(absltest.TestCase):

  def test_ages_of_the_played_tasks_rows(self):
    staleness = SampleStaleness()
    staleness.publish(0, 0)
    staleness.publish(100, 50)
    staleness.observe(60, 120, [_rows([0, 0, 1], [99, 100, 7])])
    # On another replica; collectors are ahead of what they have told.
    staleness.observe(60, 120, [_rows([0], [110]), _rows([0], [125])])
    self.assertEqual(staleness.take(), {
        'replay/age_mean': (21 + 20 + 10 + 0) / 4, 'replay/age_max': 21,
        'replay/policy_age_mean': (60 + 10 + 10 + 10) / 4,
        'replay/policy_age_max': 60})
    self.assertEqual(staleness.take(), {})

  def test_a_run_that_is_gone_on_with_knows_what_was_published(self):
    staleness = SampleStaleness()
    for env_steps, updates in ((0, 0), (100, 50), (200, 100)):
      staleness.publish(env_steps, updates)
    again = SampleStaleness(staleness.published)
    again.observe(100, 200, [_rows([0], [150])])
    self.assertEqual(again.take()['replay/policy_age_max'], 50)
    # Steps that a kill has lost are played again, with newer weights.
    again.publish(150, 100)
    self.assertEqual(again.published, [[0, 0], [100, 50], [150, 100]])

  def test_what_nobody_knows_is_left_out(self):
    staleness = SampleStaleness()
    staleness.publish(100, 50)
    staleness.observe(60, 120, [_rows([0, 1], [30, 110])])
    self.assertEqual(staleness.take(),
                     {'replay/age_mean': 90, 'replay/age_max': 90})
    staleness.observe(60, 120, [_rows([1], [30])])
    self.assertEqual(staleness.take(), {})


if __name__ == '__main__':
  absltest.main()
