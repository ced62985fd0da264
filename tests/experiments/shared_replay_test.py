"""A server of offline tables: what is checked first, and what is served."""

import dataclasses
import os
from unittest import mock

from absl.testing import parameterized
import gin
import reverb
import tensorflow as tf

from tests.experiments import offline_sets
from xtra_tf.errors import (
  DataFileError,
  IncompatibleDataError,
  UnreachableError,
  UsageError,
)
from xtra_tf.experiments import shared_replay
from xtra_tf.offline_data import loading
from xtra_tf.replay import publish, read_record
from xtra_tf.replay.probing import probe

GIN_FILES = ['protocols/smoke.gin']


class SharedReplayTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.folder = self.create_tempdir().full_path

  def data(self, name, **kwargs):
    folder = os.path.join(self.folder, name)
    offline_sets.write(folder, name, **kwargs)
    return folder

  def prepare(self, task_data, task_targets=None, bindings=()):
    return shared_replay.prepare(task_data, task_targets or {}, GIN_FILES,
                                 bindings)

  def start(self, sets, port=None):
    server = shared_replay.SharedReplay(sets, port)
    self.addCleanup(server.stop)
    return server

  def test_serves_all_sets_and_comes_back_with_every_item(self):
    sets = self.prepare({
        'tiny:collect': self.data('tiny:collect'),
        'tiny:cross': self.data('tiny:cross', lengths=(5,))})
    self.assertRegex(sets.memory, r'^needs \d+\.\d [KM]iB, has \d+\.\d .iB$')
    expected = {'tiny:collect': 21, 'tiny:cross': 5}
    server = self.start(sets)
    client = reverb.Client(server.address)
    found = probe(client)
    # Nobody may learn from a part: a table is full before it is sampled.
    self.assertEqual({name: found[name].rate_limiter_info.min_size_to_sample
                      for name in expected}, expected)
    server.load()
    self.assertEqual(server.sizes(), expected)
    record = read_record(client, probe(client))
    self.assertEqual(record, sets.record)
    self.assertEqual(record.tables['tiny:collect'].env_steps, 21)
    self.assertEqual(record.tables['tiny:cross'].data,
                     sets.logs['tiny:cross'].digest())
    self.assertGreater(record.discount, .9)
    self.assertEqual(record.tables['tiny:cross'].columns,
                     ('search', 'root_value', 'bootstrap_value'))
    port = server.port
    server.stop()
    again = self.start(sets, port)
    again.load()
    self.assertEqual(again.sizes(), expected)

  def test_second_server_on_the_port(self):
    sets = self.prepare({'tiny:cross': self.data('tiny:cross')})
    first = self.start(sets)
    with self.assertRaisesRegex(UnreachableError,
                                f'port {first.port}, in use by this process'):
      self.start(sets, first.port)

  def test_tables_that_somebody_changes(self):
    sets = self.prepare({'tiny:cross': self.data('tiny:cross')})
    for change in (lambda c: c.reset('tiny:cross'),
                   lambda c: publish(c, sets.record),
                   lambda c: c.mutate_priorities('tiny:cross', deletes=[
                       c.sample('tiny:cross', 1).__next__()[0].info.key])):
      server = self.start(sets)
      server.load()
      client = reverb.Client(server.address)
      list(client.sample('tiny:cross', 3))
      server.watch(self.fail)  # to look does no harm
      change(client)
      with self.assertRaisesRegex(
          IncompatibleDataError, 'of localhost.* was changed by somebody else: '
          r'expected \d+ items, \d+ inserted in all, found \d+ and \d+'):
        server.watch(self.fail)

  def test_other_hosts_are_reported_once(self):
    sets = self.prepare({'tiny:cross': self.data('tiny:cross')})
    server = self.start(sets)
    server.load()
    warnings = []
    with mock.patch.object(shared_replay, 'strangers',
                           return_value=['192.0.2.7']):
      server.watch(warnings.append)
      server.watch(warnings.append)
      server._sets = sets._replace(
          record=dataclasses.replace(sets.record, remote=True))
      server._strangers.clear()
      server.watch(self.fail)  # they are meant to
    self.assertLen(warnings, 1)
    self.assertIn(f'192.0.2.7 is connected to port {server.port}', warnings[0])

  def test_what_is_told_before_loading(self):
    sets = self.prepare({'tiny:cross': self.data('tiny:cross', columns=())})
    self.assertRegex(sets.lines()[0], r'^tiny:cross: 21 steps of 2 episodes, '
                     r'needs \d+\.\d KiB; columns of the data .*: none\.$')
    table = dataclasses.replace(
        sets.record.tables['tiny:cross'], steps=30, targets='t', teacher={
            'teacher': 'teacher/x', 'teacher_step': 7,
            'teacher_weights': '0123456789'})
    sets = sets._replace(record=dataclasses.replace(
        sets.record, tables={'tiny:cross': table}))
    self.assertRegex(
        sets.lines()[0], '30 steps of 2 episodes, 21 at a time, needs .*; '
        'targets by teacher/x, step 7, weights 01234567\\.$')
    self.assertRegex(sets.lines()[1], '^Memory: needs .* has .*')

  def test_too_little_memory(self):
    folder = self.data('tiny:cross')
    memory = mock.Mock(available=1000)
    with mock.patch.object(loading.psutil, 'virtual_memory',
                           return_value=memory):
      with self.assertRaisesRegex(
          UsageError, r'needs .* .iB, has 1000 B \(tiny:cross .*max_size'):
        self.prepare({'tiny:cross': folder})

  def test_nothing_to_serve(self):
    with self.assertRaisesRegex(UsageError, 'nothing to serve.*--task_data'):
      self.prepare({})
    with self.assertRaisesRegex(UsageError, 'names tiny:cross, whose episodes'):
      self.prepare({'tiny:collect': 'x'}, {'tiny:cross': 'y'})

  def test_data_of_another_task(self):
    folder = self.data('tiny:cross')
    with self.assertRaisesRegex(IncompatibleDataError, 'tiny:collect'):
      self.prepare({'tiny:collect': folder})

  def test_empty_set(self):
    folder = self.data('tiny:cross', lengths=())
    with self.assertRaisesRegex(DataFileError, 'holds no step'):
      self.prepare({'tiny:cross': folder})

  def test_stages_that_differ(self):
    folder = self.data('tiny:cross')
    with self.assertRaisesRegex(UsageError, 'td_steps is 3 in the stage student'
                                ' and 5 in finetune'):
      self.prepare({'tiny:cross': folder}, bindings=(
          'student/xtra_tf.experiments.ReplaySettings.td_steps = 3',))

  def test_index_that_counts_too_much(self):
    sets = self.prepare({'tiny:cross': self.data('tiny:cross')})
    server = self.start(sets)
    with mock.patch.object(shared_replay, 'load_log'):
      with self.assertRaisesRegex(DataFileError, 'holds 0 steps.*Expected 21'):
        server.load()

  def test_larger_set_streams_through_a_bounded_table(self):
    sets = self.prepare(
        {'tiny:cross': self.data('tiny:cross', lengths=(6, 6, 6, 6))},
        bindings=('xtra_tf.experiments.ReplaySettings.max_size = 12',))
    table = sets.record.tables['tiny:cross']
    self.assertEqual((table.items, table.steps, table.streams), (12, 24, True))
    server = shared_replay.SharedReplay(sets, samples_per_step=2.)
    self.addCleanup(server.stop)
    server.load()
    self.assertEqual(server.sizes(), {'tiny:cross': 12})
    self.assertEqual(server.contents(), ['tiny:cross (12 of 24 steps)'])
    said = []
    self.assertFalse(server.stream(said.append))  # nobody samples
    client = reverb.Client(server.address)

    def episodes(samples):
      return {int(step.data['position'][-1, 0]) for step in client.sample(
          'tiny:cross', samples, emit_timesteps=False,
          unpack_as_table_signature=True)}

    self.assertEqual(episodes(24), {0, 1})
    while server.stream(said.append):
      self.assertEqual(server.sizes(), {'tiny:cross': 12})
    self.assertNotIn(0, episodes(60))  # the oldest are out
    while server.stream(said.append):
      pass
    # 84 samples, one step in for two of them: 12 + 42 = 2 * 24 + 6.
    self.assertLen(said, 2)
    for text, epoch in zip(said, (2, 3)):
      self.assertRegex(text, f'tiny:cross: epoch {epoch} begins, .* went')

  def test_impossible_pace(self):
    sets = self.prepare({'tiny:cross': self.data('tiny:cross')})
    with self.assertRaisesRegex(UsageError, 'samples_per_step is 0'):
      shared_replay.SharedReplay(sets, samples_per_step=0)
