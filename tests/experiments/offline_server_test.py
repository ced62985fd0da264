"""Does a shared server fit a run: each difference is named."""

import dataclasses

import gin
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import (
  configuration,
  offline_server,
  roles,
  teacher_targets,
)
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
        self.parts.planner.discount,
        {task.name: SharedTable(
            task.fingerprint(), COLUMNS, 3, 3, 1, 3, 'd0', 't0',
            {'data': 'd0', 'teacher_weights': 'w0', 'seed': 3,
             **teacher_targets.conditions_of(self.parts)})
         for task in self.parts.sources})

  def resolve(self, *bindings):
    configuration.parse(['protocols/smoke.gin'], bindings)
    return roles.resolve_parts(seed=0)

  def check(self, record, parts=None):
    offline_server.check(parts or self.parts,
                         SharedServer('localhost:1', record, 1.))

  def refuse(self, message, **changes):
    with self.assertRaisesRegex(IncompatibleDataError,
                                f'localhost:1 do not fit this run.*{message}'):
      self.check(dataclasses.replace(self.record, **changes))

  def tables(self, **changes):
    tables = dict(self.record.tables)
    tables['tiny:cross'] = dataclasses.replace(tables['tiny:cross'], **changes)
    return tables

  def test_what_fits(self):
    self.check(SharedRecord.from_bytes(self.record.to_bytes(), 'localhost:1'))
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

  def test_server_on_another_host(self):
    away = '192.0.2.1:8000'  # an address of nobody's, for documentation
    with self.assertRaisesRegex(
        UsageError, f'{away} is on another host .*without --allow_remote.*SSH'):
      offline_server.check(self.parts, SharedServer(away, self.record, 1.))
    offline_server.check(self.parts, SharedServer(
        away, dataclasses.replace(self.record, remote=True), 1.))

  def test_discount(self):
    self.refuse(r'discount: expected 0.\d+, found 0.5', discount=.5)

  def test_every_field_of_a_task_is_compared(self):
    for field, value in self.record.tables['tiny:cross'].task.items():
      if field != 'name':
        with self.subTest(field):
          task = {**self.record.tables['tiny:cross'].task, field: 'other'}
          self.refuse(f'tiny:cross.{field}: expected .*, found .other.',
                      tables=self.tables(task=task))
      self.assertIsNotNone(value, field)

  def test_every_condition_of_a_teacher_is_compared(self):
    teacher = self.record.tables['tiny:cross'].teacher
    for group, field in (
        ('', 'noise_fraction'), ('search', 'discount'),
        ('search', 'num_simulations'), ('training', 'unroll_steps'),
        ('training', 'td_steps'), ('training', 'support')):
      with self.subTest(field):
        changed = ({**teacher, group: {**teacher[group], field: 77}} if group
                   else {**teacher, field: 77})
        name = f'{group}.{field}' if group else field
        self.refuse(f'tiny:cross, its targets: {name}: expected .*, found 77',
                    tables=self.tables(teacher=changed))

  def test_targets_of_other_data_than_are_served(self):
    self.refuse("tiny:cross, its targets: data: expected 'd1', found 'd0'",
                tables=self.tables(data='d1'))

  def test_targets_that_say_nothing_are_warned_of(self):
    record = dataclasses.replace(self.record, tables=self.tables(teacher={}))
    with self.assertLogs('absl', 'WARNING') as logged:
      self.check(record)
    self.assertIn('localhost:1, tiny:cross does not say its data, noise_',
                  logged.output[0])

  def test_columns_of_the_data_themselves(self):
    self.check(dataclasses.replace(
        self.record, tables=self.tables(targets='', teacher={})))

  def test_facts_say_which_data(self):
    server = SharedServer('localhost:1', self.record, 1.)
    facts = offline_server.facts(self.parts, server)
    self.assertEqual(facts, {
        f'offline:{task}:{name}': value
        for task in ('tiny:collect', 'tiny:cross') for name, value in (
            ('data', 'd0'), ('targets', 't0'), ('teacher', 'w0'))})
    self.assertEqual(
        offline_server.facts_in({'flag:seed': '0', **facts}), facts)

  def test_other_actions(self):
    task = {**self.record.tables['tiny:cross'].task, 'legal_actions': [0]}
    self.refuse(r'tiny:cross.legal_actions: expected .*, found \[0\]',
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
