"""Several replicas give the gradient step of one device (replicas_cases.py)."""

import subprocess
import sys

from absl.testing import absltest
import pytest

_LAST_CHARACTERS = 4000


class ReplicasTest(absltest.TestCase):

  def _run(self, name):
    made = subprocess.run(
        [sys.executable, '-m', 'tests.learners.replicas_cases', name],
        check=False, capture_output=True, encoding='utf-8')
    self.assertEqual(made.returncode, 0, made.stderr[-_LAST_CHARACTERS:])

  def test_two_replicas_and_one_device(self):
    self._run('ReplicasTest')

  @pytest.mark.slow
  def test_efficientzero(self):
    self._run('SlowReplicasTest')


if __name__ == '__main__':
  absltest.main()
