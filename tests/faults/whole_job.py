r"""Kills whole runs at random moments, and looks at what they leave.

  python -m tests.faults.whole_job --kills=20 --output=kills.jsonl

Each kill is a line of JSON: when, by which signal, in which stage, what was on
the disk, and which promises were broken. A run that completes is followed by
another. The same command goes on where its file stopped, in a new run. The exit
code is 1 if a promise was broken.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List

from tests.end_to_end import tiny_run
from tests.faults import invariants, kill_lines

_GRACE_SECONDS = 120.


class WholeJob:
  """One run that is killed again and again until it completes."""

  def __init__(self, folder: str, number: int):
    self.root = os.path.join(folder, f'run-{number}')
    self.snapshots: List[tiny_run.Snapshot] = []
    self._folder = folder

  def kill(self, after: float, number: int) -> Dict[str, Any]:
    """Starts or resumes the run and kills it after so many seconds.

    Returns:
      Facts about the kill, for a line of JSON.
    """
    output = os.path.join(self._folder, 'output.log')
    with open(output, 'wb') as file:
      process = subprocess.Popen(
          tiny_run.command(self.root), cwd=tiny_run.ROOT, stdout=file,
          stderr=subprocess.STDOUT, start_new_session=True)
    try:
      process.wait(after)
    except subprocess.TimeoutExpired:
      os.killpg(process.pid, number)
    begun = time.monotonic()
    process.wait(_GRACE_SECONDS)
    found = {'signal': signal.Signals(number).name, 'after_seconds': after,
             'exit_code': process.returncode,
             'ending_seconds': round(time.monotonic() - begun, 2),
             'load_average': round(os.getloadavg()[0], 1),
             'broken': []}
    if not os.path.exists(os.path.join(self.root, 'run.json')):
      return {**found, 'stage': 'before the run began'}
    moment = tiny_run.look(self.root, f'kill {len(self.snapshots)}')
    running = [name for name, stage in moment.record['stages'].items()
               if stage['state'] == 'running']
    found['broken'] = invariants.impossible(moment)
    for earlier in self.snapshots:
      found['broken'] += invariants.broken(earlier, moment)
    if process.returncode not in (0, -number):
      with open(output, encoding='utf-8', errors='replace') as file:
        found['broken'].append(f'it ended by itself: {file.read()[-500:]}')
    self.snapshots.append(moment)
    return {**found, 'stage': running[0] if running else 'between stages',
            'env_steps': sum(moment.log_steps.values()),
            'updates': sum(step for step, _ in moment.manifests.values())}

  @property
  def is_done(self) -> bool:
    """Whether the run has completed."""
    return bool(self.snapshots) and (
        self.snapshots[-1].record['state'] == 'done')


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--kills', type=int, default=20)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--longest', type=float, default=45.,
                      help='seconds after which a session is killed at most')
  parser.add_argument('--output', default='docs/reliability/kills.jsonl',
                      help='JSON lines are added here')
  options = parser.parse_args()
  before = [line for line in kill_lines.read(options.output)
            if line['seed'] == options.seed]
  runs = max([line['run'] for line in before], default=-1) + 1
  times, failures, job = random.Random(options.seed), 0, None
  with tempfile.TemporaryDirectory() as folder:
    for number in range(options.kills):
      after = round(times.uniform(1., options.longest), 1)
      if number < len(before):
        continue
      job = job or WholeJob(folder, runs)
      found = job.kill(
          after, signal.SIGTERM if number % 4 == 3 else signal.SIGKILL)
      kill_lines.add(options.output, {
          'victim': 'whole job', 'seed': options.seed, 'kill': number,
          'run': runs, **found})
      failures += bool(found['broken'])
      if job.is_done:
        runs, job = runs + 1, None
    while job and job.snapshots and not job.is_done:
      # It must be possible to let it complete.
      found = job.kill(900., signal.SIGKILL)
      failures += bool(found['broken']) or not job.is_done
      if not job.is_done:
        sys.stdout.write(f'The run does not complete: {found}\n')
        break
  sys.stdout.write(f'{len(before)} kills before, {failures} with a broken '
                   'promise\n')
  return 1 if failures else 0


if __name__ == '__main__':
  sys.exit(main())
