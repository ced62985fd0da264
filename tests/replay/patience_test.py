"""Waiting that says for whom, and that ends."""

import signal
import time
from unittest import mock

from absl.testing import absltest

from xtra_tf.errors import Stopped, UnreachableError
from xtra_tf.replay.patience import Patience
from xtra_tf.runs import stop_request


class PatienceTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.now, self.said = 0., []
    self.enter_context(mock.patch.object(time, 'monotonic', lambda: self.now))
    self.enter_context(mock.patch.object(time, 'sleep', self.sleep))
    self.patience = Patience('the learner at localhost:1', 60.,
                             self.said.append)

  def sleep(self, seconds):
    self.now += seconds

  def wait(self, seconds):
    for _ in range(int(seconds)):
      self.patience.wait('has published no weights', 1.)

  def test_a_line_every_ten_seconds(self):
    self.wait(35)
    self.assertLen(self.said, 3)
    self.assertEqual(
        self.said[0], 'Waiting for the learner at localhost:1, which has '
        'published no weights: 10 s so far; without progress it is given up '
        'after 60 s.')
    self.patience.end()
    self.assertEqual(self.said[-1],
                     'Waited 35 s for the learner at localhost:1.')

  def test_a_short_wait_is_not_worth_a_line(self):
    self.wait(9)
    self.patience.end()
    self.assertEmpty(self.said)

  def test_it_ends(self):
    with self.assertRaisesRegex(
        UnreachableError, 'Waited for the learner at localhost:1, which has '
        'published no weights, for 60 s. Expected progress within 60 s.'):
      self.wait(100)

  def test_progress_prolongs_it(self):
    self.wait(50)
    self.patience.progress()
    self.wait(59)
    with self.assertRaises(UnreachableError):
      self.wait(2)

  def test_a_signal_ends_it(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      self.addCleanup(signal.signal, number, signal.getsignal(number))
    stop_request.install()
    self.addCleanup(stop_request.install)
    with stop_request.held():
      signal.raise_signal(signal.SIGTERM)
      with self.assertRaises(Stopped):
        self.wait(5)
    self.assertLess(self.now, 1.)


if __name__ == '__main__':
  absltest.main()
