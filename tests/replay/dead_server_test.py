"""A server that is killed: whoever asks it comes back, in time and by name."""

import os
import signal
import subprocess
import sys
import threading
import time
from unittest import mock

import numpy as np
import portpicker
import reverb
import tensorflow as tf

from xtra_tf.episodes import StepRow
from xtra_tf.errors import Stopped, UnreachableError
from xtra_tf.replay import Composition, Extras, ReplayWriter, writer
from xtra_tf.replay.play_reports import PlayReport, ReportsChannel
from xtra_tf.replay.reanalyzed_queue import ReanalyzedQueue, batch_spec
from xtra_tf.replay.remote_tables import RemoteTables
from xtra_tf.replay.server import TableSpec
from xtra_tf.replay.weights_table import Weights, WeightsChannel
from xtra_tf.replay.window import WindowSpec
from xtra_tf.runs import stop_request, wait_for
from xtra_tf.types import SampleInfo

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
_SPECS = (TableSpec('game', 100, .6, 1),)
_WINDOW = WindowSpec(1, 1, 1, (2,), 'float32', (2,))
_ROWS = 2
_SERVER = f"""
import time
from xtra_tf.replay.play_reports import reports_table
from xtra_tf.replay.reanalyzed_queue import reanalyzed_table
from xtra_tf.replay.server import ReplayServer, TableSpec
from xtra_tf.replay.weights_table import weights_table
from xtra_tf.replay.window import WindowSpec
window = {_WINDOW!r}
server = ReplayServer({list(_SPECS)!r}, window, {{port}}, others=[
    weights_table(), reports_table(), reanalyzed_table(window, {_ROWS})])
print('ready', flush=True)
time.sleep(600)
"""


def _row(step):
  return StepRow(
      observation=np.full([2], step, np.float32), action=0,
      search=np.ones([2], np.float32), reward=0., raw_reward=0.,
      terminal=False, truncated=False, life_loss=False, real=True,
      root_value=0., bootstrap_value=0., has_search=True, env_step=step)


class DeadServerTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    """Everybody connects and is served; then the server is killed."""
    super().setUpClass()
    port = portpicker.pick_unused_port()
    cls.address = f'localhost:{port}'
    cls.server = subprocess.Popen(
        [sys.executable, '-c', _SERVER.format(port=port)], cwd=_ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    cls.addClassCleanup(cls.server.stdout.close)
    cls.addClassCleanup(cls.server.wait)
    cls.addClassCleanup(cls.server.kill)
    assert cls.server.stdout.readline() == 'ready\n'
    cls.writer = cls.make_writer()
    cls.impatient = cls.make_writer(60., lambda: True)
    for step in range(12):
      cls.writer.append(_row(step), 0, step)
      cls.impatient.append(_row(step), 1, step)
    cls.said = []
    cls.tables = RemoteTables(_SPECS, _WINDOW, cls.address, 600.,
                              cls.said.append)
    cls.addClassCleanup(cls.tables.stop)
    cls.batches = iter(cls.tables.dataset(
        Composition((_ROWS,)), Extras(np.ones([1, 2], bool), tf.Variable(
            [50], dtype=tf.int64)), 0))
    _, cls.info = next(cls.batches)
    cls.tables.update_priorities(cls.info, tf.ones([_ROWS]))
    cls.queue = ReanalyzedQueue(cls.address, _WINDOW, _ROWS)
    cls.queue.put(cls.zeros())
    assert cls.queue.take() is not None
    cls.server.kill()
    cls.server.wait()

  @classmethod
  def make_writer(cls, timeout=3., gives_up=lambda: False):
    return ReplayWriter(reverb.Client(cls.address), 'game', _WINDOW,
                        lambda *_: 1., timeout_seconds=timeout,
                        gives_up=gives_up)

  @classmethod
  def zeros(cls):
    return tf.nest.map_structure(
        lambda column: np.zeros(column.shape, column.dtype.as_numpy_dtype),
        batch_spec(_WINDOW, _ROWS))

  def setUp(self):
    super().setUp()
    for number in (signal.SIGINT, signal.SIGTERM):
      self.addCleanup(signal.signal, number, signal.getsignal(number))
    stop_request.install()
    self.addCleanup(stop_request.install)
    self.begun = time.monotonic()

  def assert_soon(self, seconds=10.):
    self.assertLess(time.monotonic() - self.begun, seconds)

  def fill(self, writer_of_rows, episode):
    # More than may be on their way to the server.
    for step in range(12, 60):
      writer_of_rows.append(_row(step), episode, step)

  def test_rows_are_written_no_longer(self):
    with self.assertRaisesRegex(
        UnreachableError, rf'{self.address} did not answer for 3.* s: adding '
        'items in the table game'):
      self.fill(self.writer, 0)
    self.assert_soon(15.)

  def test_who_is_asked_to_end_does_not_wait_for_a_writer(self):
    with self.assertRaisesRegex(UnreachableError, 'adding items'):
      self.fill(self.impatient, 1)
    self.assert_soon()

  def test_a_writer_is_not_opened_for_ever(self):
    # The server dies behind the look at its table.
    with mock.patch.object(writer, 'check_table',
                           return_value=mock.Mock(max_size=100)):
      with self.assertRaisesRegex(
          UnreachableError, 'did not answer for 2 s: opening a writer of the '
          'table game'):
        self.make_writer(2.)
    self.assert_soon()

  def test_a_signal_is_heard_while_rows_are_waited_for(self):
    timer = threading.Timer(3., os.kill, [os.getpid(), signal.SIGTERM])
    self.addCleanup(timer.cancel)
    timer.start()
    with stop_request.held():
      with self.assertRaises(Stopped):
        for _ in range(100):  # some were on their way
          wait_for(lambda: next(self.batches))
    self.assert_soon()
    self.assertIsNone(self.tables.failure)

  def test_priorities_are_dropped(self):
    before = self.tables.updates_lost
    self.tables.update_priorities(SampleInfo(*self.info), tf.ones([_ROWS]))
    self.assertEqual(self.tables.updates_lost, before + 1)
    self.assert_soon()

  def test_weights_reports_and_batches_are_refused_by_name(self):
    weights = Weights([np.zeros([2])], 0, 0, 1., 1.)
    channel, reports = (kind(self.address) for kind in (
        WeightsChannel, ReportsChannel))
    for call in (lambda: channel.publish(weights), channel.is_empty,
                 lambda: channel.take([(2,)]), reports.take,
                 lambda: reports.send(PlayReport(0, 0, 0, 0)),
                 self.queue.take, self.queue.is_full,
                 lambda: self.queue.put(self.zeros())):
      self.begun = time.monotonic()
      with self.assertRaisesRegex(UnreachableError, self.address):
        call()
      self.assert_soon()


if __name__ == '__main__':
  tf.test.main()
