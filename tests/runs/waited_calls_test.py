"""Calls that do not come back, and signals meanwhile."""

import os
import signal
import threading
import time

from absl.testing import absltest

from xtra_tf.errors import Stopped
from xtra_tf.runs import stop_request, wait_for


class WaitForTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    for number in (signal.SIGINT, signal.SIGTERM):
      self.addCleanup(signal.signal, number, signal.getsignal(number))
    stop_request.install()
    self.addCleanup(stop_request.install)
    self.forever = threading.Event()
    self.addCleanup(self.forever.set)
    self.begun = time.monotonic()

  def took(self):
    return time.monotonic() - self.begun

  def signal_soon(self):
    timer = threading.Timer(.2, os.kill, [os.getpid(), signal.SIGTERM])
    self.addCleanup(timer.cancel)
    timer.start()

  def test_answers_and_errors_are_handed_on(self):
    self.assertEqual(wait_for(lambda: 7), 7)
    self.assertIsNone(wait_for(lambda: None, 5.))
    with self.assertRaises(ZeroDivisionError):
      wait_for(lambda: 1 // 0)
    with self.assertRaises(StopIteration):
      wait_for(lambda: next(iter([])))

  def test_it_takes_no_longer_than_it_may(self):
    with self.assertRaisesRegex(TimeoutError, 'No answer for 0.3 s'):
      wait_for(self.forever.wait, .3)
    self.assertLess(self.took(), 10.)

  def test_a_signal_is_heard_at_once(self):
    self.signal_soon()
    with self.assertRaises(Stopped):
      wait_for(self.forever.wait)
    self.assertLess(self.took(), 10.)

  def test_a_held_signal_lets_a_call_end_that_is_about_to(self):
    with stop_request.held():
      self.signal_soon()
      self.assertEqual(wait_for(lambda: self.forever.wait(.6) or 3), 3)
      self.assertTrue(stop_request.is_made)
      with self.assertRaises(Stopped):
        wait_for(self.forever.wait)
    self.assertLess(self.took(), 10.)


if __name__ == '__main__':
  absltest.main()
