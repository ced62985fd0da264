import glob
import json
import math
import os
import resource

from absl.testing import absltest, parameterized
import tensorflow as tf

from xtra_tf.errors import DataFileError, StorageError
from xtra_tf.runs.metrics import MetricsWriter, read_metrics


def _without_time(rows):
  return [{k: v for k, v in row.items() if k != 'time'} for row in rows]


def _shown(folder):
  """What TensorBoard would draw: {tag: [(x, value)]}."""
  found = {}
  for path in sorted(glob.glob(os.path.join(folder, '*tfevents*'))):
    for record in tf.data.TFRecordDataset(path):
      event = tf.compat.v1.Event.FromString(record.numpy())
      for value in event.summary.value:
        found.setdefault(value.tag, []).append((event.step, value.simple_value))
  return found


class MetricsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.path = os.path.join(self.folder, 'metrics', 'learner.jsonl')
    self.events = os.path.join(self.folder, 'train')

  def write_steps(self, *steps):
    with MetricsWriter(self.path) as writer:
      for step in steps:
        writer.write(step, 10 * step, {'loss/total': step / 2})

  def test_round_trip(self):
    self.write_steps(1, 2)
    rows = read_metrics(self.path)
    self.assertEqual(_without_time(rows), [
        {'step': 1, 'env_steps': 10, 'loss/total': 0.5},
        {'step': 2, 'env_steps': 20, 'loss/total': 1.0}])
    self.assertGreater(rows[0]['time'], 1.6e9)

  def test_a_row_is_readable_before_the_file_is_closed(self):
    with MetricsWriter(self.path) as writer:
      writer.write(1, 0, {'a': 1.})
      self.assertLen(read_metrics(self.path), 1)

  @parameterized.parameters(math.nan, math.inf, -math.inf)
  def test_non_finite_is_null(self, value):
    with MetricsWriter(self.path, self.events) as writer:
      writer.write(1, 0, {'a': value, 'b': 2.})
    self.assertIsNone(read_metrics(self.path)[0]['a'])
    with open(self.path) as file:
      json.loads(file.read(), parse_constant=self.fail)
    self.assertNotIn('a', _shown(self.events))

  def test_full_disk_leaves_whole_rows(self):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsWriter(self.path) as writer:
      writer.write(1, 0, {'a': 1.})
      half = os.path.getsize(self.path) * 3 // 2
      # Python ignores SIGXFSZ, so that writing ends as on a full disk.
      resource.setrlimit(resource.RLIMIT_FSIZE, (half, hard))
      try:
        with self.assertRaisesRegex(StorageError, 'Cannot write .*learner.jso'):
          writer.write(2, 0, {'a': 2.})
      finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
      writer.write(3, 0, {'a': 3.})
    self.assertEqual([r['step'] for r in read_metrics(self.path)], [1, 3])

  def test_counters_are_no_tags(self):
    with MetricsWriter(self.path) as writer:
      with self.assertRaisesRegex(ValueError, 'got env_steps'):
        writer.write(1, 0, {'env_steps': 1.})

  def test_torn_last_line_is_dropped(self):
    self.write_steps(1)
    with open(self.path, 'a') as file:
      file.write('{"step": 2, "env_')
    self.assertLen(read_metrics(self.path), 1)
    self.write_steps(3)
    self.assertEqual([r['step'] for r in read_metrics(self.path)], [1, 3])

  @parameterized.parameters('garbage', '[1]', '{"a": 1}', '')
  def test_damaged_line_is_named(self, line):
    self.write_steps(1)
    with open(self.path, 'a') as file:
      file.write(line + '\n')
    self.assertRaisesRegex(DataFileError, 'learner.jsonl, record 1: is damaged',
                           read_metrics, self.path)

  def test_missing_file(self):
    with self.assertRaisesRegex(DataFileError, 'cannot be read'):
      read_metrics('/nowhere.jsonl')

  def test_truncate_keeps_the_save_and_goes_on(self):
    self.write_steps(1, 2, 2, 3)
    with MetricsWriter(self.path) as writer:
      writer.truncate_after(2)
      writer.write(3, 30, {'loss/total': 9.})
    rows = read_metrics(self.path)
    self.assertEqual([r['step'] for r in rows], [1, 2, 2, 3])
    self.assertEqual(rows[-1]['loss/total'], 9.)

  def test_tensorboard_axes(self):
    with MetricsWriter(self.path, self.events) as writer:
      writer.write(5, 0, {'eval/a': 1.})
      writer.write(7, 400, {'eval/a': 2., 'collect/b': 3., 'loss/c': 4.})
    self.assertEqual(_shown(self.events), {
        'eval/a': [(5, 1.), (400, 2.)], 'collect/b': [(400, 3.)],
        'loss/c': [(7, 4.)], 'counters/env_steps': [(5, 0.), (7, 400.)]})

  def test_tensorboard_forgets_what_is_truncated(self):
    foreign = os.path.join(self.events, 'events.out.tfevents.1.other.v2')
    with MetricsWriter(self.path, self.events) as writer:
      for step in (1, 2, 3):
        writer.write(step, 0, {'a': step})
    with open(foreign, 'w'):
      pass
    with MetricsWriter(self.path, self.events) as writer:
      writer.truncate_after(1)
      writer.write(2, 0, {'a': 7.})
    self.assertEqual(_shown(self.events)['a'], [(1, 1.), (2, 7.)])
    self.assertTrue(os.path.exists(foreign))


if __name__ == '__main__':
  absltest.main()
