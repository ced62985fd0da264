"""A stage at work takes no more of the machine than it did after a while.

The long form is long_run.py: an hour, four processes, memory.
"""

import glob
import json
import os
import subprocess
import sys
import threading

from absl.testing import absltest

from tests.faults import footprints


class SteadyTest(absltest.TestCase):

  def test_no_retraces_threads_files_or_objects_after_the_warm_up(self):
    folder = self.create_tempdir().full_path
    done = subprocess.run(
        [sys.executable, '-m', 'tests.faults.steady_run', folder],
        capture_output=True, text=True, check=False)
    self.assertEqual(done.returncode, 0, done.stderr[-3000:])
    first, last = json.loads(done.stdout)
    self.assertGreater(first['graphs'], 0)
    for name in ('graphs', 'threads', 'files', 'tasks', 'tensors'):
      self.assertEqual(last[name], first[name], name)
    # Games are remembered in the ledger of priorities, a few objects each.
    self.assertLess(last['objects'] - first['objects'], 200)
    saves = {os.path.basename(name).split('.')[0] for name in glob.glob(
        os.path.join(folder, '**', 'ckpt-*'), recursive=True)}
    self.assertBetween(len(saves), 1, 3)


class VerdictTest(absltest.TestCase):
  """What the hour's run is judged by."""

  def lines(self, **growing):
    """An hour of samples; what grows, and by how much in all."""
    return [{'seconds': 10. * i, 'updates': 20 * i, 'roles': {'learner': {
        'pid': 1, **{name: start + growing.get(name, 0.) * max(0, i - 90) / 270
                     for name, start in (('anonymous', 900.), ('files', 20),
                                         ('threads', 60))}}}}
            for i in range(361)]

  def test_flat(self):
    found = footprints.verdict(self.lines())
    self.assertTrue(found['flat'])
    self.assertEqual(found['samples'], 271)
    self.assertEqual(found['updates'], 5400)

  def test_what_grows_is_not(self):
    for name, growth in (('anonymous', 4.), ('files', 2), ('threads', 2)):
      found = footprints.verdict(self.lines(**{name: growth}))
      self.assertFalse(found['flat'], name)
    # 4 MiB in three quarters of an hour.
    found = footprints.verdict(self.lines(anonymous=4.))['roles']['learner']
    self.assertAlmostEqual(found['mib_per_hour'], 5.33, places=1)
    self.assertAlmostEqual(found['mib_per_10000_updates'], 7.41, places=1)

  def test_a_warm_up_is_not_judged_and_a_restart_is(self):
    lines = self.lines()
    lines[10]['roles']['learner']['anonymous'] = 100.
    self.assertTrue(footprints.verdict(lines)['flat'])
    lines[-1]['roles']['learner']['pid'] = 2
    self.assertFalse(footprints.verdict(lines)['flat'])

  def test_this_process(self):
    found = footprints.look(os.getpid())
    self.assertGreater(found['rss'], found['anonymous'])
    self.assertEqual(found['files'] > 2, True)
    self.assertGreaterEqual(found['threads'], threading.active_count())


if __name__ == '__main__':
  absltest.main()
