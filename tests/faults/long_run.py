r"""Runs a stage in four processes for an hour, and looks at what they take.

  python -m tests.faults.long_run --output=docs/reliability/long_run

A tiny finetuning with offline tasks, by launchers.local --processes=4. Memory,
open files and threads of every process are added to <output>.jsonl every ten
seconds, and judged at the end (see footprints.py): the last line is the
verdict, <output>.png shows it. What was sampled is judged too if the run is
interrupted.
The exit code is 1 if something grows or a process has died.
"""

import argparse
import contextlib
from importlib import metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import psutil

from tests.end_to_end import tiny_run
from tests.faults import footprints

_SCOPE = 'finetune/xtra_tf.experiments.StageSettings'
_BINDINGS = (
    f'{_SCOPE}.updates = 10_000_000', f'{_SCOPE}.env_steps = 40_000_000',
    f'{_SCOPE}.updates_per_env_step = 0.25', f'{_SCOPE}.save_interval = 200',
    f'{_SCOPE}.log_interval = 20', f'{_SCOPE}.evaluation_interval = 1000',
    f'{_SCOPE}.acting_update_period = 4',
    # Full within minutes, so that what grows behind it is a leak.
    'xtra_tf.experiments.ReplaySettings.max_size = 2000')
_START_SECONDS, _GRACE_SECONDS = 600., 150.


class LongRun:
  """A finetuning that has no end."""

  def __init__(self, folder: str):
    self.root = os.path.join(folder, 'run')
    self._log = os.path.join(folder, 'output.log')
    self._process: Any = None
    self._begun = 0.

  def start(self) -> None:
    """Makes data, teachers and student; starts the roles."""
    made = tiny_run.launch(self.root, _BINDINGS,
                           ['--stages=data,teacher,student', '--noevaluate'])
    if made.returncode:
      raise RuntimeError(made.stderr[-3000:])
    with open(self._log, 'wb') as log:
      self._process = subprocess.Popen(
          tiny_run.command(self.root, _BINDINGS,
                           ['--stage=finetune', '--processes=4'], 'local'),
          cwd=tiny_run.ROOT, stdout=log, stderr=subprocess.STDOUT,
          start_new_session=True)
    end = time.monotonic() + _START_SECONDS
    while not self.progress()[0]:
      if not self.is_running or time.monotonic() > end:
        raise RuntimeError(f'It does not start:\n{self.output()[-3000:]}')
      time.sleep(.5)
    self._begun = time.monotonic()

  @property
  def is_running(self) -> bool:
    """Whether nobody has given up."""
    return self._process is not None and self._process.poll() is None

  def progress(self) -> Tuple[int, int]:
    """Updates and environment steps of the newest row."""
    path = os.path.join(self.root, 'finetune', 'tiny.catch', 'metrics',
                        'learner.jsonl')
    if not os.path.exists(path):
      return 0, 0
    with open(path, 'rb') as file:
      file.seek(max(0, os.path.getsize(path) - 8192))
      lines = file.read().split(b'\n')[1:-1]
    row = json.loads(lines[-1]) if lines else {'step': 0, 'env_steps': 0}
    return row['step'], row['env_steps']

  def sample(self) -> Dict[str, Any]:
    """What all processes take now."""
    updates, env_steps = self.progress()
    roles = {}
    for role, pid in footprints.roles_below(self._process.pid).items():
      try:
        roles[role] = footprints.look(pid)
      except (OSError, psutil.Error):
        continue  # it has just ended; another one will be found
    return {'seconds': round(time.monotonic() - self._begun, 1),
            'updates': updates, 'env_steps': env_steps, 'roles': roles}

  def stop(self) -> Dict[str, Any]:
    """Asks all to end; how they did."""
    begun = time.monotonic()
    if self._process is None:
      return {}
    if self.is_running:
      self._process.send_signal(signal.SIGTERM)
    try:
      code = self._process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
      os.killpg(self._process.pid, signal.SIGKILL)
      code = self._process.wait()
    return {'exit_code': code,
            'ending_seconds': round(time.monotonic() - begun, 1)}

  def output(self) -> str:
    """What the launcher has said."""
    with open(self._log, encoding='utf-8', errors='replace') as file:
      return file.read()


def _figure(lines: Sequence[Mapping[str, Any]], path: str) -> None:
  """Change of memory, and numbers of files and threads, over time."""
  import matplotlib
  matplotlib.use('Agg')
  from matplotlib import pyplot
  figure, axes = pyplot.subplots(1, 3, figsize=(10, 3), dpi=80)
  judged = footprints.behind_warm_up(lines)
  for role in judged[-1]['roles']:
    rows = [line for line in lines if role in line['roles']]
    minutes = [line['seconds'] / 60 for line in rows]
    base = next(line for line in judged if role in line['roles'])
    for axis, name in zip(axes, ('anonymous', 'files', 'threads')):
      values = [line['roles'][role][name] for line in rows]
      if name == 'anonymous':
        values = [value - base['roles'][role][name] for value in values]
      axis.plot(minutes, values, label=role, linewidth=1)
  for axis, title in zip(axes, ('memory, MiB beyond that after the warm-up',
                                'open files', 'threads')):
    axis.axvline(judged[0]['seconds'] / 60, color='gray', linestyle=':')
    axis.set_title(title, fontsize=9)
    axis.set_xlabel('minutes')
  axes[0].set_ylim(-30, 60)
  axes[-1].legend(fontsize=7)
  figure.tight_layout()
  figure.savefig(path)


def judge(lines: List[Dict[str, Any]], facts: Mapping[str, Any],
          output: str) -> bool:
  """Adds the verdict to the file and draws the figure; whether all is flat."""
  found = {**footprints.verdict(lines), **facts,
           'python': platform.python_version(),
           'tensorflow': metadata.version('tensorflow')}
  with open(f'{output}.jsonl', 'a', encoding='utf-8') as file:
    file.write(json.dumps({'verdict': found}) + '\n')
  _figure(lines, f'{output}.png')
  sys.stdout.write(json.dumps(found, indent=1) + '\n')
  return bool(found['flat'])


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--seconds', type=float, default=3600.)
  parser.add_argument('--every', type=float, default=10.)
  parser.add_argument('--output', default='docs/reliability/long_run',
                      help='path of the results without their suffixes')
  parser.add_argument('--folder', default='',
                      help='where the run is kept; else it is thrown away')
  options = parser.parse_args()
  os.makedirs(os.path.dirname(options.output) or '.', exist_ok=True)
  lines: List[Dict[str, Any]] = []
  with contextlib.ExitStack() as stack:
    run = LongRun(options.folder or stack.enter_context(
        tempfile.TemporaryDirectory()))
    try:
      run.start()
      with open(f'{options.output}.jsonl', 'w', encoding='utf-8') as file:
        while run.is_running and (
            not lines or lines[-1]['seconds'] < options.seconds):
          lines.append(run.sample())
          file.write(json.dumps(lines[-1]) + '\n')
          file.flush()
          time.sleep(options.every)
    except KeyboardInterrupt:
      sys.stdout.write('Interrupted; what was sampled is judged.\n')
    finally:
      facts = {'had_ended': not run.is_running, **run.stop()}
    if not lines:
      return 1
    flat = judge(lines, facts, options.output)
  return 0 if flat and facts['exit_code'] == 0 else 1


if __name__ == '__main__':
  # Who asks it to end wants to know what was found so far.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  sys.exit(main())
