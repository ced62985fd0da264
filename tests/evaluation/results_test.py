"""Tests of eval/results.jsonl."""

import dataclasses
import json
import os
import threading

from absl.testing import absltest, parameterized

from xtra_tf.errors import DataFileError, StorageError
from xtra_tf.evaluation import results
from xtra_tf.evaluation.results import Recording, ResultRecord


def _record(**changes) -> ResultRecord:
  fields = dict(
      run='r1', stage='finetune', task='tiny:catch', step=40, env_steps=200,
      profile='fixed', codec='lossless', seeds=(0, 1_000_001),
      returns=(1., -2.5), lengths=(7, 9), truncated=(False, True),
      statistics={'max_depth': 2.5})
  return ResultRecord(**{**fields, **changes})


class ResultsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.path = os.path.join(self.folder, 'eval', 'results.jsonl')

  def test_round_trip(self):
    records = [_record(), _record(stage='scratch'), _record(step=80)]
    for record in records:
      self.assertTrue(results.append(self.path, record))
    self.assertEqual(results.read(self.path), records)

  def test_no_file_no_results(self):
    self.assertEqual(results.read(self.path), [])

  def test_steps_that_are_made_again_are_forgotten(self):
    for step in (10, 20, 30):
      results.append(self.path, _record(step=step))
    results.truncate_after(self.path, 20)
    self.assertEqual([r.step for r in results.read(self.path)], [10, 20])
    # Made again, with other scores.
    self.assertTrue(results.append(self.path, _record(step=30, returns=(0, 0))))
    results.truncate_after(os.path.join(self.folder, 'none.jsonl'), 0)
    self.assertFalse(os.path.exists(os.path.join(self.folder, 'none.jsonl')))

  def test_identical_repeat_is_kept_once(self):
    results.append(self.path, _record())
    # What it took to evaluate is not what came out.
    self.assertFalse(results.append(self.path, _record(seconds=3.)))
    self.assertLen(results.read(self.path), 1)

  def test_who_follows_a_run_adds_beside_it(self):
    def add(first):
      for step in range(first, 60, 4):
        results.append(self.path, _record(step=step))
    writers = [threading.Thread(target=add, args=[i]) for i in range(4)]
    for writer in writers:
      writer.start()
    for writer in writers:
      writer.join()
    self.assertEqual(sorted(r.step for r in results.read(self.path)),
                     list(range(60)))

  def test_differing_repeat_is_refused(self):
    results.append(self.path, _record())
    with self.assertRaisesRegex(
        DataFileError, r'record 0.*finetune on tiny:catch at step 40 is there '
        r'already.*found returns \[1.0, -2.5\], got \[1.0, 3.0\]'):
      results.append(self.path, _record(returns=(1., 3.)))
    self.assertLen(results.read(self.path), 1)

  @parameterized.parameters(
      {'run': 'r2'}, {'stage': 'student'}, {'task': 'Pong'}, {'step': 41},
      {'profile': 'xtra_official'}, {'codec': 'jpeg'}, {'seeds': (0, 2)})
  def test_each_part_of_the_key_makes_another_evaluation(self, **change):
    results.append(self.path, _record())
    self.assertTrue(results.append(self.path, _record(returns=(4., 4.),
                                                      **change)))

  def test_torn_last_line_is_forgotten(self):
    results.append(self.path, _record())
    with open(self.path, 'ab') as file:
      file.write(b'{"run": "r1", "sta')
    self.assertLen(results.read(self.path), 1)
    results.append(self.path, _record(step=80))
    self.assertEqual([r.step for r in results.read(self.path)], [40, 80])

  def test_damaged_line_is_named(self):
    results.append(self.path, _record())
    with open(self.path, 'ab') as file:
      file.write(b'{"run": "r1"}\n')
    with self.assertRaisesRegex(DataFileError,
                                'results.jsonl, record 1: not an evaluation'):
      results.read(self.path)

  def test_lines_are_plain_json_without_absolute_paths(self):
    results.append(self.path, _record(), Recording(1, (0, 1), (0., 1.)))
    with open(self.path, encoding='utf-8') as file:
      text = file.read()
    self.assertNotIn(self.folder, text)
    self.assertEqual(json.loads(text)['seeds'], [0, 1_000_001])

  def test_columns_must_be_equally_long(self):
    with self.assertRaisesRegex(ValueError, "'returns': 1"):
      _record(returns=(1.,))

  def test_statistics_that_are_not_finite_become_none(self):
    results.append(self.path, _record(statistics={'root_value': float('nan')}))
    self.assertEqual(results.read(self.path)[0].statistics,
                     {'root_value': None})

  def test_recording_round_trip(self):
    recording = Recording(3, (2, 0, 1), (0., -1., 4.), truncated=True)
    self.assertEqual(recording.raw_return, 3.)
    results.append(self.path, _record(), recording)
    record = results.read(self.path)[0]
    self.assertStartsWith(record.recording, 'recordings/finetune-tiny.catch-40')
    self.assertEqual(results.read_recording(self.path, record), recording)
    self.assertIsNone(results.read_recording(self.path, _record()))

  def test_recording_wants_a_reward_per_action(self):
    with self.assertRaisesRegex(ValueError, 'got 1 and 2'):
      Recording(0, (1, 2), (1.,))

  def test_missing_recording_is_named(self):
    record = dataclasses.replace(_record(), recording='recordings/gone.json')
    with self.assertRaisesRegex(DataFileError, 'recordings/gone.json'):
      results.read_recording(self.path, record)

  def test_a_recording_lies_beside_the_results_only(self):
    record = dataclasses.replace(_record(), recording='../../secret.json')
    with self.assertRaisesRegex(DataFileError, 'eval/recordings/secret.json'):
      results.read_recording(self.path, record)

  def test_place_that_is_no_folder(self):
    self.create_tempfile(os.path.join(self.folder, 'file'))
    with self.assertRaises(StorageError):
      results.append(os.path.join(self.folder, 'file', 'results.jsonl'),
                     _record())


if __name__ == '__main__':
  absltest.main()
