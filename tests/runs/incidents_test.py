import os

from absl.testing import absltest, parameterized

from xtra_tf.runs import incidents


class IncidentsTest(parameterized.TestCase):

  def test_round_trip_in_order(self):
    logs = self.create_tempdir().full_path
    self.assertEmpty(incidents.read_incidents(logs))
    for step in range(3):
      path = incidents.record_incident(logs, 'older-checkpoint', step=step)
      self.assertEndsWith(path, '-older-checkpoint.json')
    found = incidents.read_incidents(logs)
    self.assertEqual([i['step'] for i in found], [0, 1, 2])
    self.assertEqual({i['kind'] for i in found}, {'older-checkpoint'})

  def test_an_incident_that_cannot_be_written_stops_nobody(self):
    file = self.create_tempfile('file').full_path
    self.assertIsNone(incidents.record_incident(
        os.path.join(file, 'logs'), 'disk-full'))

  @parameterized.parameters('', 'a/b', '../x', 'Two Words')
  def test_kind(self, kind):
    with self.assertRaisesRegex(ValueError, 'lower-case words'):
      incidents.record_incident('/tmp', kind)


if __name__ == '__main__':
  absltest.main()
