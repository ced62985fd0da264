"""What holds for every import: kills, two at once, memory."""

import os
import subprocess
import sys
import tracemalloc

from absl.testing import absltest
import numpy as np

from xtra_tf.episodes import EpisodeLog, StepRow
from xtra_tf.errors import UsageError
from xtra_tf.offline_data.importing import (
  ImportedRow,
  ImportSource,
  import_dataset,
)
from xtra_tf.runs import RunLock
from xtra_tf.tasks import get_task

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# Ends without a word after some rows, as a kill does.
_KILLED = """
import os, sys
sys.path[:0] = [{root!r}, {here!r}]
import importing_test
importing_test.import_dataset(
    importing_test.Counting(900), {output!r},
    progress=lambda done: os._exit(7) if done == 700 else None)
"""


class Counting(ImportSource):
  """Games of 100 steps; frame j is full of j."""

  columns = ()
  path = 'nowhere'
  provenance = {'source': 'a test'}
  unit = 'records'
  stored_bytes = 0

  def __init__(self, count, resolution=8):
    self.task = get_task('Pong', resolution=resolution, grayscale=True)
    self.num_records = count
    self.left_out = {}

  def rows(self):
    for step in range(self.num_records):
      row = StepRow(
          observation=np.full(self.task.observation_shape, step % 251,
                              np.uint8),
          action=step % 5, search=None, reward=0., raw_reward=0.,
          terminal=False, truncated=False, life_loss=False, real=True,
          root_value=None, bootstrap_value=None, has_search=False,
          env_step=step)
      yield ImportedRow(row, 'cut' if step % 100 == 99 else None, step + 1)


def content(directory):
  return {name: [getattr(e, name) for e in EpisodeLog(directory).episodes()]
          for name in ('observation', 'action', 'real', 'env_step', 'end')}


class ImportingTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.output = os.path.join(self.folder, 'data')

  def test_kill_leaves_no_output_and_the_next_import_is_whole(self):
    script = _KILLED.format(root=_ROOT, here=os.path.dirname(__file__),
                            output=self.output)
    result = subprocess.run([sys.executable, '-c', script], timeout=120,
                            capture_output=True, text=True, check=False)
    self.assertEqual(result.returncode, 7, result.stderr)
    self.assertEqual(os.listdir(self.folder), ['data.partial'])
    self.assertGreater(EpisodeLog(os.path.join(
        self.output + '.partial', 'data')).num_episodes, 3)
    import_dataset(Counting(900), self.output)
    other = os.path.join(self.folder, 'other')
    import_dataset(Counting(900), other)
    self.assertCountEqual(os.listdir(self.folder), ['data', 'other'])
    np.testing.assert_equal(content(self.output), content(other))

  def test_two_at_once(self):
    with RunLock(self.output + '.partial'):
      with self.assertRaisesRegex(UsageError, 'data.partial is in use'):
        import_dataset(Counting(100), self.output)
    self.assertFalse(os.path.exists(self.output))

  def test_memory_does_not_grow_with_the_data(self):
    import_dataset(Counting(100, 84), self.output)  # imports what is needed
    peaks = []
    for count in (500, 5000):  # 3.5 and 35 MB of frames
      tracemalloc.start()
      import_dataset(Counting(count, 84), f'{self.output}{count}')
      peaks.append(tracemalloc.get_traced_memory()[1])
      tracemalloc.stop()
    self.assertLess(peaks[1], peaks[0] + 2**20)


if __name__ == '__main__':
  absltest.main()
