"""Signals that ask a program to end."""

import signal
import subprocess
import sys
import textwrap

from absl.testing import absltest

from xtra_tf.errors import Stopped
from xtra_tf.runs import StopRequest

_TWICE = textwrap.dedent("""
    import signal
    from xtra_tf.runs import StopRequest
    request = StopRequest()
    request.install()
    with request.held():
      signal.raise_signal(signal.SIGTERM)
      print('held', flush=True)
      signal.raise_signal(signal.SIGTERM)
      print('not reached')
    """)


class StopRequestTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    for number in (signal.SIGINT, signal.SIGTERM):
      self.addCleanup(signal.signal, number, signal.getsignal(number))
    self.request = StopRequest()
    self.request.install()

  def test_a_signal_raises_where_the_program_is(self):
    with self.assertRaisesRegex(Stopped, 'Stopped by SIGINT.') as caught:
      signal.raise_signal(signal.SIGINT)
    self.assertEqual(caught.exception.exit_code, 130)
    self.assertIsInstance(caught.exception, KeyboardInterrupt)

  def test_sigterm_is_no_failure(self):
    with self.assertRaises(Stopped) as caught:
      signal.raise_signal(signal.SIGTERM)
    self.assertEqual(caught.exception.exit_code, 0)

  def test_held_it_waits_for_check(self):
    done = []
    with self.assertRaises(Stopped), self.request.held():
      self.request.check()
      signal.raise_signal(signal.SIGTERM)
      done.append('step')
      self.request.check()
      done.append('not reached')
    self.assertEqual(done, ['step'])

  def test_released_within_held_it_raises_at_once(self):
    with self.request.held():
      with self.assertRaises(Stopped), self.request.released():
        signal.raise_signal(signal.SIGTERM)
        self.fail('not reached')
      # And is not forgotten.
      with self.assertRaises(Stopped):
        self.request.check()

  def test_a_part_that_begins_after_the_signal_is_not_begun(self):
    with self.request.held():
      signal.raise_signal(signal.SIGTERM)
      with self.assertRaises(Stopped), self.request.released():
        self.fail('not reached')

  def test_let_go_and_taken_back(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      with self.request.let_go():
        self.assertEqual(signal.getsignal(number), signal.SIG_DFL)
        # A library takes it for itself.
        signal.signal(number, lambda *_: None)
      with self.assertRaises(Stopped):
        signal.raise_signal(number)
      self.request.install()

  def test_let_go_where_nothing_was_taken(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      signal.signal(number, signal.SIG_IGN)
      with StopRequest().let_go():
        self.assertEqual(signal.getsignal(number), signal.SIG_IGN)

  def test_a_second_signal_does_not_wait(self):
    ended = subprocess.run([sys.executable, '-c', _TWICE], check=False,
                           capture_output=True, text=True, timeout=60)
    self.assertEqual(ended.returncode, -signal.SIGTERM, ended.stderr)
    self.assertEqual(ended.stdout, 'held\n')


if __name__ == '__main__':
  absltest.main()
