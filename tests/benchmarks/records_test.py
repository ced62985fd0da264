"""What a benchmark prints and keeps: medians, ratios, goals, tables."""

import json

from absl.testing import absltest

from benchmarks import page, pairs, records


class _Party:
  """Answers with the times that it was given, and notes whose turn it was."""

  def __init__(self, times, name, turns):
    self.versions = {name: '1.0'}
    self._times = iter(times)
    self._name, self._turns = name, turns

  def sample_ms(self):
    self._turns.append(self._name)
    return next(self._times)


class RecordsTest(absltest.TestCase):

  def record(self, ours=(1., 2., 30.), peer=(4., 4., 5.), goal=1.5):
    self.turns = []
    return pairs.compare(
        'search', _Party(ours, 'ours', self.turns),
        _Party(peer, 'mctx', self.turns), 'mctx_muzero', pairs=3, threads=2,
        batch=8, goal=goal)

  def test_medians_ratio_and_goal(self):
    record = self.record()
    self.assertEqual((record.ours_ms, record.peer_ms, record.ratio),
                     (2., 4., 2.))
    self.assertTrue(record.reaches_goal)
    self.assertFalse(self.record(goal=2.1).reaches_goal)
    self.assertIsNone(self.record(goal=None).reaches_goal)

  def test_nobody_is_always_first(self):
    self.record()
    self.assertEqual(self.turns,
                     ['ours', 'mctx', 'mctx', 'ours', 'ours', 'mctx'])

  def test_a_line_is_one_object_with_the_fields_of_a_pair(self):
    line = self.record().to_line()
    fields = json.loads(line)
    expected = {'name': 'search', 'batch': 8, 'ours_ms': 2.,
                'peer': 'mctx_muzero', 'peer_ms': 4., 'ratio': 2.}
    self.assertEqual({name: fields[name] for name in expected}, expected)
    self.assertEqual(fields['versions'],
                     {'ours': {'ours': '1.0'}, 'mctx_muzero': {'mctx': '1.0'}})
    self.assertEqual(page.records_of(f'noise\n{line}\n'), [fields])
    self.assertEqual(records.Record.from_fields(fields), self.record())

  def test_upper_bounds_are_reached_from_below(self):
    for value, reached in ((7., True), (9., False)):
      record = records.counted('replay', value, 'GiB', 8., at_most=True)
      self.assertEqual(record.reaches_goal, reached)
      self.assertEqual('MISSED' in records.row_text(record), not reached)

  def test_tables_name_machine_command_and_numbers(self):
    text = page.tables({'search': {
        'command': 'python -m benchmarks.search', 'date': '2026-01-01',
        'threads': 2, 'machine': {
            'processor': 'A processor', 'family': '1', 'model': '2', 'cores': 2,
            'memory_gib': 4., 'load_average': 0.1},
        'records': [json.loads(self.record().to_line())]}})
    for expected in ('A processor', 'python -m benchmarks.search', 'mctx 1.0',
                     '| search | 8 | 2 ms | mctx_muzero | 4 | **2.00**'):
      self.assertIn(expected, text)


if __name__ == '__main__':
  absltest.main()
