"""A learner's tables of which some are a shared server's."""

import dataclasses
import subprocess
import sys
import time
from unittest import mock

from absl.testing import parameterized
import numpy as np
import portpicker
import tensorflow as tf

from xtra_tf.episodes import StepRow
from xtra_tf.errors import (
  IncompatibleDataError,
  UnreachableError,
  UsageError,
)
from xtra_tf.replay import (
  Composition,
  Extras,
  ReplayServer,
  ReplayWriter,
  SharedRecord,
  SharedTable,
  SharedTables,
  TableSpec,
  WindowSpec,
  connect,
  publish,
  record_table,
  shared_tables,
)

WINDOW = WindowSpec(stack=1, unroll_steps=1, td_steps=1,
                    observation_shape=(2,), observation_dtype='float32',
                    target_shape=(2,))
STEPS = 6


def fill(writer):
  for step in range(STEPS + 1):
    writer.append(StepRow(
        observation=np.full([2], step, np.float32), action=0, search=None,
        reward=0., raw_reward=0., terminal=step == STEPS - 1, truncated=False,
        life_loss=False, real=step < STEPS, root_value=None,
        bootstrap_value=None, has_search=False, env_step=step), 0, step)
  writer.close()


def record():
  return SharedRecord(WINDOW, 0, .9, {'b': SharedTable(
      task={}, columns=(), items=STEPS, steps=STEPS, episodes=1,
      env_steps=STEPS, data='d0')})


def serve(port=None, ready=True):
  """A shared server with the table `b`."""
  server = ReplayServer([TableSpec('b', STEPS, 0., STEPS)], WINDOW, port,
                        others=[record_table()])
  fill(ReplayWriter(server.client(), 'b', WINDOW, lambda *_: 1.))
  if ready:
    publish(server.client(), record())
  return server


class SharedTablesTest(parameterized.TestCase, tf.test.TestCase):

  def tables(self, server, names=('a', 'b'), timeout=5.):
    tables = SharedTables([TableSpec(name, 10) for name in names], WINDOW, 0,
                          connect(server.address, timeout))
    self.addCleanup(tables.stop)
    return tables

  def batches(self, tables, quotas):
    return iter(tables.dataset(
        Composition(quotas), Extras(
            np.ones([len(quotas), 2], bool),
            tf.Variable(np.zeros(len(quotas), np.int64))), 0))

  def test_own_rows_are_prioritized_and_shared_ones_are_not(self):
    server = serve()
    self.addCleanup(server.stop)
    tables = self.tables(server)
    fill(tables.writer('a', lambda *_: 1.))
    self.assertEqual(tables.sizes(), {'a': STEPS, 'b': STEPS})
    self.assertEqual(tables.least_items('a', 4), 1)
    batches = self.batches(tables, (3, 4))
    for _ in range(5):
      unroll, info = next(batches)
      self.assertAllEqual(unroll.task, [0] * 3 + [1] * 4)
      self.assertAllEqual(unroll.importance_weight[3:], [1.] * 4)
    before = {s[0].info.key: s[0].info.priority for s in
              server.client().sample('b', 100)}
    tf.function(tables.update_priorities)(info, tf.fill([7], 5.))
    changed = {s.info.key: s.info.priority for s in tables._own.server.client(
        ).sample('a', 300, emit_timesteps=False)}
    for key in info.key.numpy()[:3]:
      self.assertEqual(changed.get(key, 5.), 5.)
    self.assertIn(5., changed.values())
    after = {s[0].info.key: s[0].info.priority for s in
             server.client().sample('b', 100)}
    self.assertEqual(set(before.values()) | set(after.values()), {1.})

  def test_rows_by_weight(self):
    server = serve()
    self.addCleanup(server.stop)
    tables = self.tables(server)
    fill(tables.writer('a', lambda *_: 1.))
    weights = tf.Variable([1., 0.5])
    batches = iter(tables.dataset(
        Composition((3, 4), weighted=(1,)), Extras(
            np.ones([2, 2], bool), tf.Variable([0, 0], dtype=tf.int64),
            weights), 0))
    for _ in range(5):
      unroll, info = next(batches)
      self.assertAllEqual(unroll.task, [0] * 3 + [1] * 4)
      self.assertAllEqual(info.task, unroll.task)
      self.assertAllClose(unroll.offline_factor, [1.] * 3 + [0.5] * 4)

  def test_all_shared(self):
    server = serve()
    self.addCleanup(server.stop)
    tables = self.tables(server, names=('b',))
    _, info = next(self.batches(tables, (4,)))
    tables.update_priorities(info, tf.ones([4]))  # nothing is done
    with self.assertRaisesRegex(UsageError, 'b of the .*cannot be written'):
      tables.writer('b', lambda *_: 1.)

  @parameterized.parameters('8000', 'host:', ':80', 'host:name')
  def test_address_that_is_none(self, address):
    with self.assertRaisesRegex(UsageError, 'Expected HOST:PORT'):
      connect(address, 1.)

  def test_server_that_is_loading(self):
    server = serve(ready=False)
    self.addCleanup(server.stop)
    with self.assertRaisesRegex(UnreachableError,
                                f'{server.address} is still loading'):
      connect(server.address, 1.)

  def test_server_of_something_else(self):
    server = ReplayServer([TableSpec('b', 3)], WINDOW)
    self.addCleanup(server.stop)
    with self.assertRaisesRegex(UsageError, 'shares no offline tables'):
      connect(server.address, 1.)

  def test_server_of_other_data_at_the_next_stage(self):
    server = serve()
    tables = self.tables(server, names=('b',))
    next(self.batches(tables, (4,)))
    server.stop()
    again = ReplayServer([TableSpec('b', STEPS, 0., STEPS)], WINDOW,
                         server.port, others=[record_table()])
    self.addCleanup(again.stop)
    fill(ReplayWriter(again.client(), 'b', WINDOW, lambda *_: 1.))
    table = dataclasses.replace(record().tables['b'], data='d1')
    publish(again.client(), dataclasses.replace(record(), tables={'b': table}))
    message = "came back with .* tables.b.data: expected 'd0', found 'd1'"
    with self.assertRaisesRegex(IncompatibleDataError, message):
      self.batches(tables, (4,))
    # And in the middle of one.
    with self.assertRaisesRegex(IncompatibleDataError, message):
      shared_tables._Patience(tables._shared, 'b').check()

  def test_a_server_that_loads_is_waited_for(self):
    server = serve()
    said = []
    shared = connect(server.address, .4, said.append)
    server.stop()
    again = ReplayServer([TableSpec('b', STEPS, 0., STEPS)], WINDOW,
                         server.port, others=[record_table()])
    self.addCleanup(again.stop)
    patience = shared_tables._Patience(shared, 'b')
    fill(ReplayWriter(again.client(), 'b', WINDOW, lambda *_: 1.))
    time.sleep(.5)
    patience.check()  # longer than the limit, but it makes progress
    time.sleep(.5)
    with self.assertRaisesRegex(UnreachableError, 'loads its data again'):
      patience.check()  # no more
    patience.end()
    self.assertRegex(said[0], f'Waiting for b of .*{server.address}, which '
                     r'loads its data again \(6 steps by now\): \d s so far')
    self.assertRegex(said[1], r'serves b again, after \d+ s')

  def test_a_slow_learner_is_no_fault_of_the_server(self):
    server = serve()
    self.addCleanup(server.stop)
    tables = self.tables(server, names=('b',), timeout=1.5)

    def slow():
      for batch in range(2):
        time.sleep(.3)
        yield batch

    with mock.patch.object(shared_tables, '_POLL_SECONDS', .1):
      for _ in tables._patiently('b', slow()):
        time.sleep(1.7)  # e.g. an evaluation

  def test_server_that_dies_under_a_learner(self):
    port = portpicker.pick_unused_port()
    process = subprocess.Popen(
        [sys.executable, '-c', 'import time; from tests.replay import '
         f'shared_tables_test as t; s = t.serve({port}); print(1, flush=True); '
         'time.sleep(600)'], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    process.stdout.readline()
    tables = SharedTables([TableSpec('b', 10)], WINDOW, 0,
                          connect(f'localhost:{port}', 5.))
    self.addCleanup(tables.stop)
    batches = self.batches(tables, (4,))
    next(batches)
    process.kill()
    begun = time.monotonic()
    with self.assertRaises(tf.errors.OpError):
      while True:  # what is on its way comes first
        next(batches)
    self.assertLess(time.monotonic() - begun, 60)
    self.assertRegex(str(tables.failure),
                     f'localhost:{port} does not answer, for \\d+ s')
