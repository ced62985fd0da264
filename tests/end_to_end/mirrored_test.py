"""All stages with a learner on two replicas, and what becomes of its models."""

import subprocess
import sys

from absl.testing import absltest
import pytest

from tests.end_to_end import tiny_run
from xtra_tf.evaluation import results
from xtra_tf.runs import RunDirectory, read_metrics


@pytest.mark.timeout(2400)
class MirroredTest(absltest.TestCase):

  @pytest.mark.slow
  def test_a_run_on_two_replicas(self):
    root = self.create_tempdir().full_path
    made = subprocess.run(
        [sys.executable, '-m', 'tests.end_to_end.mirrored_case', root],
        cwd=tiny_run.ROOT, capture_output=True, text=True, timeout=1800,
        check=False)
    self.assertEqual(made.returncode, 0, made.stderr[-3000:])
    directory = RunDirectory(root)
    self.assertEqual(directory.record['state'], 'done')
    cosines = []
    for stage, task in (('student', None), ('finetune', tiny_run.TARGET)):
      rows = read_metrics(directory.stage(stage, task).metrics_file('learner'))
      self.assertEqual(rows[-1]['step'], tiny_run.UPDATES[stage])
      cosines += [value for row in rows for name, value in row.items()
                  if name.startswith('transfer/cosine/')]
    self.assertNotEmpty(cosines)
    self.assertTrue(all(0. < abs(cosine) < 1. for cosine in cosines), cosines)
    # What two replicas have learned plays on one device.
    played = subprocess.run(
        [sys.executable, '-m', 'launchers.evaluate',
         '--checkpoint='
         + directory.stage('finetune', tiny_run.TARGET).path,
         f'--task={tiny_run.TARGET}', '--episodes=2',
         f'--output={root}/again.jsonl'],
        cwd=tiny_run.ROOT, capture_output=True, text=True, timeout=300,
        check=False)
    self.assertEqual(played.returncode, 0, played.stderr[-3000:])
    record, = results.read(f'{root}/again.jsonl')
    self.assertEqual(record.step, tiny_run.UPDATES['finetune'])


if __name__ == '__main__':
  absltest.main()
