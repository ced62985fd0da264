"""What holds for every import: kills, two at once, memory."""

import os
import subprocess
import sys
import tracemalloc
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import pytest

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import DataFileError, UsageError
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
    progress=lambda done: os._exit(7) if done == {row} else None)
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


def files(directory):
  """{relative path: bytes} of all files."""
  found = {}
  for parent, _, names in os.walk(directory):
    for name in names:
      path = os.path.join(parent, name)
      with open(path, 'rb') as file:
        found[os.path.relpath(path, directory)] = file.read()
  return found


class ImportingTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.output = os.path.join(self.folder, 'data')

  def kill_at(self, row):
    script = _KILLED.format(root=_ROOT, here=os.path.dirname(__file__),
                            output=self.output, row=row)
    result = subprocess.run([sys.executable, '-c', script], timeout=120,
                            capture_output=True, text=True, check=False)
    self.assertEqual(result.returncode, 7, result.stderr)
    self.assertEqual(os.listdir(self.folder), ['data.partial'])

  @pytest.mark.slow
  def test_thirty_kills_one_after_the_other(self):
    for row in np.random.default_rng(0).integers(1, 900, 30):
      self.kill_at(row)
    import_dataset(Counting(900), self.output)
    other = os.path.join(self.folder, 'other')
    import_dataset(Counting(900), other)
    self.assertEqual(files(self.output), files(other))

  def test_kill_leaves_no_output_and_the_next_import_is_whole(self):
    self.kill_at(700)
    self.assertGreater(EpisodeLog(os.path.join(
        self.output + '.partial', 'data')).num_episodes, 3)
    written = []
    with mock.patch.object(EpisodeLogWriter, 'append', autospec=True,
                           side_effect=EpisodeLogWriter.append) as append:
      summary = import_dataset(Counting(900), self.output,
                               progress=written.append)
    self.assertLess(append.call_count, 900 - 300)  # It did not begin anew.
    self.assertEqual(written, list(range(1, 901)))
    other = os.path.join(self.folder, 'other')
    self.assertEqual(import_dataset(Counting(900), other).ends, summary.ends)
    self.assertCountEqual(os.listdir(self.folder), ['data', 'other'])
    self.assertEqual(files(self.output), files(other))
    self.assertTrue(EpisodeLog(self.output).sealed)

  @parameterized.parameters('other_source', 'damaged', 'no_header')
  def test_what_another_import_has_left_is_made_again(self, what):
    left = os.path.join(self.output + '.partial', 'data')
    if what == 'no_header':
      os.makedirs(left)
      with open(os.path.join(left, 'dataset.json.12.tmp'), 'w') as file:
        file.write('{')
    else:
      import_dataset(Counting(300), left)
    if what == 'damaged':
      os.truncate(os.path.join(left, '0', 'shard-00000.tfrecord'), 50)
    source = Counting(300)
    if what == 'other_source':
      source.provenance = {'source': 'another test'}
    import_dataset(source, self.output)
    self.assertEqual(EpisodeLog(self.output).num_rows, 300)
    self.assertEqual(EpisodeLog(self.output).header.provenance['source'],
                     source.provenance['source'])

  @parameterized.parameters(
      lambda row: row._replace(action=4), lambda row: row._replace(reward=1.),
      lambda row: row._replace(env_step=7))
  def test_a_source_that_changed_meanwhile(self, change):
    import_dataset(Counting(300), os.path.join(self.output + '.partial',
                                               'data'))
    source = Counting(600)
    rows = [r if i != 120 else r._replace(row=change(r.row))
            for i, r in enumerate(source.rows())]
    source.rows = lambda: iter(rows)
    with self.assertRaisesRegex(DataFileError, 'episode 1, row 20'):
      import_dataset(source, self.output)
    self.assertEqual(os.listdir(self.folder), [])

  def test_a_source_that_became_shorter(self):
    import_dataset(Counting(300), os.path.join(self.output + '.partial',
                                               'data'))
    with self.assertRaisesRegex(DataFileError, 'interrupted import'):
      import_dataset(Counting(200), self.output)
    import_dataset(Counting(200), self.output)
    self.assertEqual(EpisodeLog(self.output).num_rows, 200)

  @parameterized.parameters('file', 'link', 'inner link', 'folder', 'data')
  def test_what_no_import_has_made_is_left_alone(self, what):
    partial, mine = self.output + '.partial', os.path.join(self.folder, 'mine')
    os.makedirs(os.path.join(mine, 'data'))
    kept = os.path.join(mine, 'data', 'thesis.txt')
    with open(kept, 'w') as file:
      file.write('years of work')
    if what == 'file':
      os.rename(kept, partial)
      kept = partial
    elif what == 'link':
      os.symlink(mine, partial)
    elif what == 'inner link':
      os.mkdir(partial)
      os.symlink(os.path.join(mine, 'data'), os.path.join(partial, 'data'))
    else:
      os.rename(mine if what == 'data' else os.path.join(mine, 'data'), partial)
      kept = kept.replace(mine if what == 'data' else os.path.join(
          mine, 'data'), partial)
    with self.assertRaisesRegex(UsageError, 'no import has made it'):
      import_dataset(Counting(100), self.output)
    with open(kept) as file:
      self.assertEqual(file.read(), 'years of work')

  @parameterized.parameters(
      'x/../data', 'ö 中 🎮', 'a\nb', '-rf', '٣', "'; touch y", 'a' * 200)
  def test_odd_names_stay_in_their_folder(self, name):
    import_dataset(Counting(100), os.path.join(self.folder, name))
    self.assertEqual(os.listdir(self.folder),
                     [os.path.basename(os.path.normpath(name))])
    self.assertEqual(EpisodeLog(os.path.join(
        self.folder, os.path.normpath(name))).num_rows, 100)

  def test_an_output_that_is_a_link_to_nowhere(self):
    os.symlink(os.path.join(self.folder, 'elsewhere'), self.output)
    with self.assertRaisesRegex(UsageError, 'data exists already'):
      import_dataset(Counting(100), self.output)
    self.assertEqual(os.listdir(self.folder), ['data'])

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
