"""What a server of shared tables says of itself."""

import dataclasses
import json

from absl.testing import parameterized
import reverb
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.replay import (
  RECORD_TABLE,
  ReplayServer,
  SharedRecord,
  SharedTable,
  TableSpec,
  WindowSpec,
  publish,
  read_record,
  record_table,
)
from xtra_tf.replay.probing import probe

WINDOW = WindowSpec(stack=2, unroll_steps=2, td_steps=2,
                    observation_shape=(3, 3, 1), observation_dtype='uint8',
                    target_shape=(2,))
TABLE = SharedTable(task={'name': 'tiny:a', 'legal_actions': [0, 1]},
                    columns=('search',), items=3, steps=5, episodes=2,
                    env_steps=6, data='d0', targets='t0',
                    teacher={'teacher_step': 7, 'search': {'discount': .9}})
RECORD = SharedRecord(WINDOW, 0, .9, {'tiny:a': TABLE})


def changed(**fields):
  content = json.loads(RECORD.to_bytes())
  content.update(fields)
  return json.dumps(content).encode()


class SharedRecordTest(parameterized.TestCase, tf.test.TestCase):

  def serve(self, spec, record):
    server = ReplayServer([spec], WINDOW, others=[record_table()])
    self.addCleanup(server.stop)
    publish(server.client(), record)
    return server

  def test_bytes_and_back(self):
    again = SharedRecord.from_bytes(RECORD.to_bytes(), 'x')
    self.assertEqual(again, RECORD)
    self.assertTrue(again.tables['tiny:a'].streams)
    whole = dataclasses.replace(TABLE, steps=3)
    self.assertFalse(whole.streams)

  def test_differences_name_each_field(self):
    table = dataclasses.replace(TABLE, data='d1', teacher={
        'teacher_step': 8, 'search': {'discount': .9}})
    other = dataclasses.replace(
        RECORD, block_length=4, tables={'tiny:a': table},
        window=dataclasses.replace(WINDOW, stack=3))
    self.assertEqual(RECORD.differences(other), [
        'block_length: expected 0, found 4',
        "tables.tiny:a.data: expected 'd0', found 'd1'",
        'tables.tiny:a.teacher.teacher_step: expected 7, found 8',
        'window.stack: expected 2, found 3'])
    self.assertEmpty(RECORD.differences(RECORD))
    # Who may use a server is no part of what it serves.
    self.assertEmpty(RECORD.differences(
        dataclasses.replace(RECORD, remote=True)))

  def test_through_a_server(self):
    server = self.serve(TableSpec('tiny:a', 3, 0.), RECORD)
    self.assertEqual(server.sizes(), {'tiny:a': 0})  # the record is no task's
    client = reverb.Client(server.address)
    self.assertEqual(probe(client)[RECORD_TABLE].current_size, 1)
    self.assertEqual(read_record(client, probe(client)), RECORD)

  def test_table_that_is_not_there(self):
    server = self.serve(TableSpec('tiny:b', 3, 0.), RECORD)
    client = server.client()
    with self.assertRaisesRegex(IncompatibleDataError,
                                r'serves tiny:a, but has no.*\[\'tiny:b\'\]'):
      read_record(client, probe(client))

  def test_table_that_is_not_uniform(self):
    server = self.serve(TableSpec('tiny:a', 3, .6), RECORD)
    client = server.client()
    with self.assertRaisesRegex(IncompatibleDataError, 'not sampled uniformly'):
      read_record(client, probe(client))

  @parameterized.named_parameters(
      ('no_json', b'\xff', 'UnicodeDecodeError'),
      ('not_a_record', b'[1]', 'TypeError|AttributeError'),
      ('version', changed(format=1), 'version 1. Expected version 2'),
      ('no_window', changed(window=None), 'TypeError'),
      ('impossible_window', changed(window={
          **dataclasses.asdict(WINDOW), 'stack': 0}), 'stack is 0'),
      ('strange_field', changed(tables={'a': {'os': 1}}), 'TypeError'),
      ('negative', changed(tables={'a': {
          **dataclasses.asdict(TABLE), 'items': -1}}), 'four counts'),
      ('teacher', changed(tables={'a': {
          **dataclasses.asdict(TABLE), 'teacher': 3}}), 'expected a teacher'),
      ('digest', changed(tables={'a': {
          **dataclasses.asdict(TABLE), 'data': None}}), 'two digests'),
      ('discount', changed(discount='much'), 'ValueError'),
      ('nested', b'[' * 5000, 'RecursionError|JSONDecodeError'),
      ('large', b'1' * (2**20 + 1), '1048577 bytes'))
  def test_unreadable(self, content, message):
    with self.assertRaisesRegex(IncompatibleDataError,
                                f'server somewhere cannot.*({message})'):
      SharedRecord.from_bytes(content, 'somewhere')
