"""Tests of how numbers are written."""

from absl.testing import absltest, parameterized

from xtra_tf.evaluation import formatting


class FormattingTest(parameterized.TestCase):

  @parameterized.parameters(
      (1294.6, '1,294.6'), (312., '312'), (20.71, '20.7'), (0.03124, '0.0312'),
      (100_000, '100,000'), (-3.14159, '-3.14'), (None, '–'),
      (float('nan'), '–'), (0., '0'), (0.99949, '0.999'))
  def test_number(self, value, text):
    self.assertEqual(formatting.number(value), text)

  @parameterized.parameters((1294.6, '1,294.6'), (372.75, '372.8'),
                            (-1.75, '-1.75'), (5., '5.0'), (None, '–'))
  def test_score(self, value, text):
    self.assertEqual(formatting.score(value), text)

  @parameterized.parameters((2000, 100_000, '2 %'), (32, 256, '12.5 %'),
                            (800, 120_000, '0.7 %'), (5, 5, '100 %'))
  def test_percent(self, part, whole, text):
    self.assertEqual(formatting.percent(part, whole), text)

  @parameterized.parameters(
      (3.21, '3.2 s'), (48.2, '48 s'), (59.7, '1 min 00 s'),
      (723, '12 min 03 s'), (7500, '2 h 05 min'), (None, '–'))
  def test_duration(self, seconds, text):
    self.assertEqual(formatting.duration(seconds), text)

  def test_listing(self):
    self.assertEqual(formatting.listing(['a', 'b', 'c']), 'a, b and c')
    self.assertEqual(formatting.listing(['a']), 'a')

  def test_counted(self):
    self.assertEqual(formatting.counted(1, 'game'), '1 game')
    self.assertEqual(formatting.counted(2000, 'game'), '2,000 games')

  def test_csv_has_no_thousands_separators(self):
    table = formatting.Table('t', ('Name', 'Score'),
                             [['a, b', '1,294.6'], ['c', '–']])
    self.assertEqual(table.to_csv(), 'Name,Score\n"a, b",1294.6\nc,–\n')

  def test_smooth_against_slow_twin(self):
    values = [3., 1., 4., 1., 5., 9., 2., 6.]
    for width in (1, 3, 20):
      twin = [sum(values[max(0, i - width + 1):i + 1])
              / len(values[max(0, i - width + 1):i + 1])
              for i in range(len(values))]
      self.assertEqual(formatting.smooth(values, width), twin)


if __name__ == '__main__':
  absltest.main()
