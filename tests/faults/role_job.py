"""One stage of a run as four processes, any of which may be killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import Callable, Dict, List, Optional, Sequence

from tests.end_to_end import tiny_run
from xtra_tf.evaluation import results

_STAGE = 'scratch/xtra_tf.experiments.StageSettings'
UPDATES, ENV_STEPS, SAVES = 60, 320, 5
COLLECTORS = 2
BINDINGS = (
    'NUM_SIMULATIONS = 2', 'BATCH_SIZE = 8',
    f'{_STAGE}.env_steps = {ENV_STEPS}',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    f'{_STAGE}.updates = {UPDATES}', f'{_STAGE}.num_envs = 2',
    f'{_STAGE}.start_env_steps = 80', f'{_STAGE}.updates_per_env_step = 0.25',
    f'{_STAGE}.evaluation_interval = 0', f'{_STAGE}.acting_update_period = 2',
    f'{_STAGE}.save_interval = {SAVES}', f'{_STAGE}.log_interval = {SAVES}')


class RoleJob:
  """Server, learner and two collectors of one stage."""

  ROLES = ('server', 'learner', 'collector-0', 'collector-1')

  def __init__(self, folder: str, port: int, stage: str = 'scratch',
               bindings: Sequence[str] = BINDINGS):
    """Initializes; nothing is started yet.

    Args:
      folder: of the run, `run`, and of what the roles say.
      port: of the server.
      stage: `scratch` or `finetune`; the latter needs a student in the run.
      bindings: gin bindings of all roles.
    """
    self.root = os.path.join(folder, 'run')
    self.name = f'{stage}/tiny.catch'
    self.stage = os.path.join(self.root, stage, 'tiny.catch')
    self._folder, self._port = folder, port
    self._flags = [f'--stage={stage}',
                   *(f'--gin_bindings={binding}' for binding in bindings)]
    self._processes: Dict[str, 'subprocess.Popen[bytes]'] = {}

  @property
  def address(self) -> str:
    """Of the server."""
    return f'localhost:{self._port}'

  def start(self, role: str) -> None:
    """Starts a role, or starts it again; its output is added to a file."""
    with open(self.log_of(role), 'ab') as log:
      self._processes[role] = subprocess.Popen(
          self._command(role), cwd=tiny_run.ROOT, stdout=log,
          stderr=subprocess.STDOUT, start_new_session=True)

  def kill(self, role: str, number: int = signal.SIGKILL) -> int:
    """Ends a role; its exit code."""
    process = self._processes[role]
    if process.poll() is None:
      os.killpg(process.pid, number)
    return process.wait(120)

  def exit_code(self, role: str) -> Optional[int]:
    """None while it runs."""
    return self._processes[role].poll()

  def wait(self, roles: List[str], seconds: float) -> None:
    """Waits until all of these have ended."""
    end = time.monotonic() + seconds
    for role in roles:
      self._processes[role].wait(max(0.1, end - time.monotonic()))

  def wait_for_updates(self, updates: int, seconds: float) -> None:
    """Waits until a save has so many updates.

    Raises:
      AssertionError: it does not come, or a role has ended.
    """
    self._wait_for(lambda: self.saved() >= updates, seconds,
                   f'{updates} updates')

  def wait_for_word(self, role: str, since: int, seconds: float) -> None:
    """Waits until a role says that it waits.

    Args:
      role: that has lost another one.
      since: length of its output before.
      seconds: at most.

    Raises:
      AssertionError: it says nothing.
    """
    end = time.monotonic() + seconds
    while not re.search('Waiting for|did not answer',
                        self.output(role)[since:]):
      if time.monotonic() > end:
        raise AssertionError(f'{role} says nothing: {self.output(role)}')
      time.sleep(.05)

  def wait_for_results(self, count: int, seconds: float) -> None:
    """Waits until an evaluator has added so many lines to the results.

    Raises:
      AssertionError: they do not come, or a role has ended.
    """
    path = os.path.join(self.root, 'eval', 'results.jsonl')
    self._wait_for(lambda: len(results.read(path)) >= count, seconds,
                   f'{count} evaluations')

  def _wait_for(self, has_come: Callable[[], bool], seconds: float,
                what: str) -> None:
    end = time.monotonic() + seconds
    while not has_come():
      ended = [role for role in self._processes
               if self.exit_code(role) is not None]
      if ended or time.monotonic() > end:
        raise AssertionError(
            f'Expected {what}; {self.saved()} updates are saved, {ended} '
            'ended:\n'
            + '\n'.join(f'== {role}\n{self.output(role)[-1500:]}'
                        for role in self._processes))
      time.sleep(.05)

  def saved(self) -> int:
    """Updates of the newest save; 0 for none."""
    folder = os.path.join(self.stage, 'train', 'manifests')
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return max([int(name[:-5]) for name in names if name[:-5].isdigit()],
               default=0)

  def output(self, role: str) -> str:
    """All that a role has said, in all its sessions."""
    with open(self.log_of(role), encoding='utf-8', errors='replace') as file:
      return file.read()

  def log_of(self, role: str) -> str:
    """Path of a role's output."""
    return os.path.join(self._folder, f'{role}.log')

  def stop(self) -> None:
    """Ends whatever is left."""
    for role in self._processes:
      self.kill(role)

  def metrics(self) -> List[Dict[str, float]]:
    """Rows of the learner's metrics."""
    path = os.path.join(self.stage, 'metrics', 'learner.jsonl')
    with open(path, encoding='utf-8') as file:
      return [json.loads(line) for line in file]

  def _command(self, role: str) -> List[str]:
    name, _, number = role.partition('-')
    launcher = {'server': 'replay_server', 'learner': 'train',
                'collector': 'collect', 'reanalyzer': 'reanalyze',
                'evaluator': 'evaluate'}[name]
    command = [sys.executable, '-m', f'launchers.{launcher}',
               f'--root_dir={self.root}',
               f'--gin_file={tiny_run.GIN_FILE}', *self._flags]
    if name == 'server':
      return [*command, f'--port={self._port}']
    if name == 'evaluator':
      return [*command, '--follow', '--episodes=2']
    command.append(f'--replay_address={self.address}')
    if name == 'collector':
      command += [f'--collector={number}', f'--collectors={COLLECTORS}']
    if name == 'reanalyzer':
      command.append(f'--reanalyzer={number}')
    return command
