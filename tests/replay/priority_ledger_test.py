"""The learner's own word on priorities."""

from absl.testing import absltest
import numpy as np

from xtra_tf.errors import CheckpointError
from xtra_tf.replay import PriorityLedger


def _filled(seed=0):
  """A ledger after random updates, and the dictionary that it should be."""
  random = np.random.default_rng(seed)
  ledger, twin = PriorityLedger(['target', 'source']), {}
  for _ in range(60):
    task = random.integers(0, 2, 8)
    position = np.stack([random.integers(0, 3, 8) * 2**32,
                         random.integers(0, 500, 8)], axis=1)
    priority = random.random(8).astype(np.float32) * 4
    ledger.update(task, position, priority)
    for t, (episode, step), p in zip(task, position, priority):
      twin[int(t), int(episode), int(step)] = float(p)
  return ledger, twin


def _restored(ledger):
  other = PriorityLedger(['target', 'source'])
  other.take_arrays(ledger.to_arrays(), ledger.maximum)
  return other


class PriorityLedgerTest(absltest.TestCase):

  def test_new_items_of_the_played_task_enter_with_the_largest(self):
    ledger = PriorityLedger(['target', 'source'])
    self.assertEqual(ledger.of_new('target', 0, 0), 1.)
    ledger.update(np.array([0, 1]), np.array([[0, 0], [0, 0]]),
                  np.array([2.5, 9.], np.float32))
    self.assertEqual(ledger.of_new('target', 0, 1), 2.5)
    self.assertEqual(ledger.of_new('source', 0, 1), 1.)

  def test_what_is_not_finite_is_no_maximum(self):
    ledger = PriorityLedger(['target'])
    ledger.update(np.zeros([2], int), np.zeros([2, 2], int),
                  np.array([np.inf, np.nan], np.float32))
    self.assertEqual(ledger.maximum, 1.)

  def test_restored_items_get_back_what_they_had(self):
    ledger, twin = _filled()
    again = _restored(ledger)
    names = ['target', 'source']
    with again.restoring():
      for (task, episode, step), priority in twin.items():
        self.assertEqual(again.of_new(names[task], episode, step), priority)
      self.assertEqual(again.of_new('target', 7, 3), again.maximum)
      self.assertEqual(again.of_new('source', 7, 3), 1.)
    self.assertEqual(again.maximum, max(
        priority for (task, *_), priority in twin.items() if not task))

  def test_an_item_that_enters_anew_is_new(self):
    ledger, twin = _filled()
    [place] = [where for where in twin if where[0] == 1][:1]
    self.assertEqual(ledger.of_new('source', *place[1:]), 1.)
    with ledger.restoring():
      self.assertEqual(ledger.of_new('source', *place[1:]), 1.)

  def test_items_that_were_never_sampled_are_known_too(self):
    ledger = PriorityLedger(['target'])
    ledger.of_new('target', 5, 200)
    ledger.maximum = 7.
    again = PriorityLedger(['target'])
    again.take_arrays(ledger.to_arrays(), 7.)
    with again.restoring():
      self.assertEqual(again.of_new('target', 5, 200), 1.)
      self.assertEqual(again.of_new('target', 5, 201), 7.)

  def test_an_older_save_knew_the_largest_alone(self):
    ledger = PriorityLedger(['target'])
    ledger.take_arrays({}, 3.)
    self.assertEqual(ledger.of_new('target', 0, 0), 3.)

  def test_arrays_of_other_tasks_or_lengths_are_refused(self):
    ledger, _ = _filled()
    with self.assertRaisesRegex(
        CheckpointError, r"episode/1.*those of 1 tasks: \['episode/0'"):
      PriorityLedger(['target']).take_arrays(ledger.to_arrays(), 1.)
    arrays = ledger.to_arrays()
    arrays['priority/1'] = arrays['priority/1'][:-1]
    with self.assertRaisesRegex(
        CheckpointError, 'priorities of source do not fit: found 3 episodes'):
      PriorityLedger(['target', 'source']).take_arrays(arrays, 1.)


if __name__ == '__main__':
  absltest.main()
