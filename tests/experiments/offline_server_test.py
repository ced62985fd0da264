"""Does a shared server fit a run: each difference is named."""

import dataclasses

import gin
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import configuration, offline_server, roles
from xtra_tf.replay import SharedRecord, SharedServer, SharedTable

COLUMNS = ('search', 'root_value', 'bootstrap_value')


class OfflineServerTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.parts = self.resolve()
    replay = self.parts.stages['finetune'].replay
    self.record = SharedRecord(
        roles.window_spec(self.parts.target, replay, self.parts.planner), 0,
        {task.name: SharedTable(task.fingerprint(), COLUMNS, 3, 3, 1, 3)
         for task in self.parts.sources})

  def resolve(self, *bindings):
    configuration.parse(['protocols/smoke.gin'], bindings)
    return roles.resolve_parts(seed=0)

  def check(self, record, parts=None):
    offline_server.check(parts or self.parts,
                         SharedServer('host:1', record, 1.))

  def refuse(self, message, **changes):
    with self.assertRaisesRegex(IncompatibleDataError,
                                f'host:1 do not fit this run.*{message}'):
      self.check(dataclasses.replace(self.record, **changes))

  def tables(self, **changes):
    tables = dict(self.record.tables)
    tables['tiny:cross'] = dataclasses.replace(tables['tiny:cross'], **changes)
    return tables

  def test_what_fits(self):
    self.check(SharedRecord.from_bytes(self.record.to_bytes(), 'host:1'))
    more = {**self.record.tables,
            'tiny:other': self.record.tables['tiny:cross']}
    self.check(dataclasses.replace(self.record, tables=more))

  def test_windows_of_equal_length_that_differ(self):
    window = self.record.window
    self.refuse(
        'td_steps: expected 5, found 6.*unroll_steps: expected 5, found 4',
        window=dataclasses.replace(window, unroll_steps=4, td_steps=6))

  def test_blocks(self):
    self.refuse('block_length: expected 0, found 400', block_length=400)

  def test_task_that_is_not_served(self):
    tables = {'tiny:collect': self.record.tables['tiny:collect']}
    self.refuse('tiny:cross: expected a table, found those of tiny:collect',
                tables=tables)

  def test_other_actions(self):
    task = {**self.record.tables['tiny:cross'].task, 'legal_actions': [0]}
    self.refuse(r'tiny:cross: legal_actions: expected .*, found \[0\]',
                tables=self.tables(task=task))

  def test_no_targets(self):
    self.refuse('tiny:cross: expected the columns search and bootstrap_value, '
                'found neither .--task_targets', tables=self.tables(columns=()))

  def test_sampling_without_replacement(self):
    parts = self.resolve(
        'xtra_tf.experiments.ReplaySettings.with_replacement = False')
    with self.assertRaisesRegex(UsageError, 'with_replacement is False in'):
      self.check(self.record, parts)

  def test_stages(self):
    self.assertEqual(offline_server.chosen_stages(()),
                     ('student', 'finetune', 'scratch'))
    self.assertEqual(offline_server.chosen_stages(('finetune',)),
                     ('finetune',))
    with self.assertRaisesRegex(UsageError, 'asks for teacher, and --offline'):
      offline_server.chosen_stages(('teacher', 'student'))
