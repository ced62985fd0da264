"""The job script: its syntax, the commands that it makes, how it ends."""

import os
import re
import subprocess
import sys
import time
import unittest

from absl.testing import absltest

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SCRIPT = os.path.join(_ROOT, 'launchers', 'cluster_example.sh')
# In place of Python: notes what it was asked to run, and waits like a role. The
# learner ends once the others are there.
_RECORDER = r"""#!/bin/bash
printf '%s\n' "$@" > "$RECORDS/$2.$$"
trap 'echo ended > "$RECORDS/$2.$$.ended"; exit 0' TERM
if [ "$2" = launchers.train ]; then
  until [ "$(ls "$RECORDS" | wc -l)" -ge "$ROLES" ]; do sleep 0.05; done
  [ "$LEARNER" = waits ] || exit "$LEARNER"
fi
if [ "$2" = launchers.evaluate ] && [ "$LEARNER" = 0 ]; then
  sleep 0.5
  echo ended > "$RECORDS/$2.$$.ended"
  exit 0
fi
while :; do sleep 0.05; done
"""


class ClusterExampleTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.records = os.path.join(self.folder, 'records')
    os.mkdir(self.records)
    self.recorder = os.path.join(self.folder, 'recorder')
    with open(self.recorder, 'w', encoding='utf-8') as file:
      file.write(_RECORDER)
    os.chmod(self.recorder, 0o755)

  def start(self, learner):
    return subprocess.Popen(['bash', _SCRIPT], cwd=_ROOT, text=True, env={
        **os.environ, 'PYTHON': self.recorder, 'RECORDS': self.records,
        'ROOT_DIR': os.path.join(self.folder, 'run'), 'LEARNER': str(learner),
        'COLLECTORS': '2', 'REANALYZERS': '1', 'ROLES': '6', 'GRACE': '20',
        'GIN_BINDINGS': 'NUM_SIMULATIONS = 4;BATCH_SIZE = 8'},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

  def commands(self):
    """{launcher: its flags}, and how many roles were asked to end."""
    found, ended = {}, 0
    for name in sorted(os.listdir(self.records)):
      if name.endswith('.ended'):
        ended += 1
        continue
      with open(os.path.join(self.records, name), encoding='utf-8') as file:
        _, launcher, *flags = file.read().splitlines()
      found.setdefault(launcher, []).append(flags)
    return found, ended

  def test_the_syntax_is_right(self):
    subprocess.run(['bash', '-n', _SCRIPT], check=True)

  def test_every_flag_is_one_of_its_launcher(self):
    job = self.start(0)
    output, _ = job.communicate(timeout=60)
    self.assertEqual(job.returncode, 0, output)
    commands, ended = self.commands()
    self.assertEqual({name: len(flags) for name, flags in commands.items()}, {
        'launchers.replay_server': 1, 'launchers.train': 1,
        'launchers.collect': 2, 'launchers.reanalyze': 1,
        'launchers.evaluate': 1})
    self.assertEqual(ended, 5)  # all but the learner
    for launcher, (flags, *_) in commands.items():
      shown = subprocess.run(
          [sys.executable, '-m', launcher, '--help'], cwd=_ROOT, text=True,
          capture_output=True, check=True).stdout
      for flag in flags:
        name = re.fullmatch(r'--(?:no(?=lock_step))?(\w+)(=.*)?', flag).group(1)
        self.assertRegex(shown, rf'--(\[no\])?{name}\b', launcher)
    self.assertIn('--gin_bindings=BATCH_SIZE = 8',
                  commands['launchers.collect'][1])
    self.assertEqual({flag for flags in commands['launchers.collect']
                      for flag in flags if flag.startswith('--collector=')},
                     {'--collector=0', '--collector=1'})

  def test_the_learners_exit_code_is_the_jobs(self):
    job = self.start(70)
    output, _ = job.communicate(timeout=60)
    self.assertEqual(job.returncode, 70, output)
    self.assertEqual(self.commands()[1], 5)

  def test_a_job_that_is_asked_to_end_ends_all(self):
    job = self.start('waits')
    end = time.monotonic() + 60
    while len(os.listdir(self.records)) < 6 and time.monotonic() < end:
      time.sleep(.05)
    job.terminate()
    output, _ = job.communicate(timeout=60)
    self.assertEqual(job.returncode, 0, output)
    self.assertEqual(self.commands()[1], 6)


if __name__ == '__main__':
  unittest.main()
