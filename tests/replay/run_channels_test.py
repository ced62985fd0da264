"""Weights and reports, through a real server."""

import threading
import time

from absl.testing import parameterized
import numpy as np
import portpicker
import reverb
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError, UnreachableError
from xtra_tf.replay.bounded_calls import BoundedCalls
from xtra_tf.replay.play_reports import (
  REPORTS_TABLE,
  PlayReport,
  ReportsChannel,
  reports_table,
)
from xtra_tf.replay.weights_table import (
  WEIGHTS_TABLE,
  Weights,
  WeightsChannel,
  from_bytes,
  to_bytes,
  weights_table,
)


def _weights(step=3, **changes):
  random = np.random.default_rng(step)
  return Weights(
      [random.normal(size=(2, 3)).astype(np.float32), np.arange(4)], step=step,
      allowed_env_steps=10, maximum_priority=2.5, temperature=.5,
      played={'0': 6, '1': 4})._replace(
          **changes)


_SHAPES = ((2, 3), (4,))


class ChannelTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    port = portpicker.pick_unused_port()
    self.server = reverb.Server([weights_table(), reports_table()], port=port)
    self.addCleanup(self.server.stop)
    self.address = f'localhost:{port}'

  def test_newest_weights_are_taken_once(self):
    learner, actor = (WeightsChannel(self.address) for _ in range(2))
    self.assertIsNone(actor.take(_SHAPES))
    for step in (3, 4):
      learner.publish(_weights(step, finished=step == 4))
    found = actor.take(_SHAPES)
    self.assertEqual(found._replace(variables=[]),
                     _weights(4, finished=True, variables=[]))
    for one, other in zip(found.variables, _weights(4).variables, strict=True):
      self.assertAllEqual(one, other)
      self.assertEqual(one.dtype, other.dtype)
    self.assertIsNone(actor.take(_SHAPES))
    # Another actor has its own count.
    self.assertEqual(WeightsChannel(self.address).take(_SHAPES).step, 4)

  def test_weights_of_another_network_are_refused(self):
    WeightsChannel(self.address).publish(_weights())
    with self.assertRaisesRegex(
        IncompatibleDataError, r'found 2 variables, expected 2; the first that '
        r'differs: \[4\], expected \[5\]'):
      WeightsChannel(self.address).take(((2, 3), (5,)))

  def test_weights_that_are_none_are_refused(self):
    client = reverb.Client(self.address)
    for content in (b'', b'PK', to_bytes(_weights())[:-30]):
      client.insert(np.frombuffer(content or b'x', np.uint8),
                    {WEIGHTS_TABLE: 1.})
      with self.assertRaisesRegex(IncompatibleDataError, 'cannot be read'):
        WeightsChannel(self.address).take(_SHAPES)

  def test_objects_are_not_read(self):
    content = to_bytes(_weights(variables=[np.array([{}], object)]))
    with self.assertRaisesRegex(IncompatibleDataError, 'allow_pickle'):
      from_bytes(content, 'somewhere')

  def test_reports_come_in_order_and_once(self):
    actor, learner = (ReportsChannel(self.address) for _ in range(2))
    self.assertEqual(learner.take(), [])
    sent = [PlayReport(i, 10 * i, 9 * i, 5, ({'slot': 1, 'raw_return': 2.},),
                       {'root_value': .5}) for i in range(30)]
    for report in sent:
      actor.send(report)
    found = learner.take()
    self.assertEqual([r._replace(games=tuple(r.games)) for r in found], sent)
    self.assertEqual(learner.take(), [])

  def test_reports_that_are_none_are_refused(self):
    for content in (b'{}', b'[', b'{"format": 1, "collector": 0, '
                    b'"env_steps": 0.5, "committed": 0, "weights_step": 1}'):
      reverb.Client(self.address).insert(
          np.frombuffer(content, np.uint8), {REPORTS_TABLE: 1.})
      with self.assertRaisesRegex(IncompatibleDataError, 'report at localhost'):
        ReportsChannel(self.address).take()


class BoundedCallsTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    port = portpicker.pick_unused_port()
    self.server = reverb.Server([weights_table()], port=port)
    self.calls = BoundedCalls(f'localhost:{port}', timeout_seconds=.5)

  def test_a_call_that_does_not_come_back_is_left(self):
    self.addCleanup(self.server.stop)
    forever = threading.Event()
    begun = time.monotonic()
    with self.assertRaisesRegex(
        UnreachableError, 'did not answer for 0.5 s: waiting for nothing'):
      self.calls('waiting for nothing', forever.wait)
    self.assertLess(time.monotonic() - begun, 5.)
    self.assertEqual(self.calls('counting', lambda: 1 + 1), 2)
    forever.set()  # a late answer belongs to nobody
    self.assertEqual(self.calls('counting', lambda: 2 + 2), 4)

  def test_errors_of_the_call_are_its_own(self):
    self.addCleanup(self.server.stop)
    with self.assertRaises(ZeroDivisionError):
      self.calls('dividing', lambda: 1 / 0)

  def test_a_server_that_is_gone_is_not_asked(self):
    self.server.stop()
    with self.assertRaisesRegex(UnreachableError, 'did not answer'):
      self.calls('counting', lambda: self.fail('asked'))


if __name__ == '__main__':
  tf.test.main()
