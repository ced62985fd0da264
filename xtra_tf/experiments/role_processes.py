"""The roles of one stage on one machine: started, watched, ended together."""

import collections
import os
import signal
import subprocess
import time
from typing import Callable, Deque, Dict, List, Mapping, Sequence

import portpicker

from xtra_tf.experiments.job_processes import last_message
from xtra_tf.runs import make_folder, private_network, record_incident

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 120.  # a search that is being compiled is waited for
_RESTARTS, _RESTART_SECONDS = 5, 600.
LEARNER, EVALUATOR = 'learner', 'evaluator'


class RoleProcesses:
  """Runs roles until the learner has finished.

  A role that dies is started again, at most five times in ten minutes; then all
  are ended. An evaluator is waited for, which has the last save to play. Each
  says what it says to `<logs>/<role>.console.log`.
  """

  def __init__(self, commands: Mapping[str, Sequence[str]], logs: str,
               say: Callable[[str], None]):
    """Initializes; nothing is started yet.

    Args:
      commands: {role: command}; one is the `learner`. They are started in this
        order and ended in the reverse one.
      logs: folder of the roles' output, and of incidents.
      say: told what happens.
    """
    self._commands = {role: list(c) for role, c in commands.items()}
    self._logs = logs
    self._say = say
    self._running: Dict[str, 'subprocess.Popen[bytes]'] = {}
    self._deaths: Dict[str, Deque[float]] = {
        role: collections.deque(maxlen=_RESTARTS) for role in commands}

  def run(self) -> int:
    """Runs the roles; the exit code of the learner, or of whoever failed."""
    try:
      for role in self._commands:
        self._start(role)
      while True:
        for role in list(self._running):
          code = self._running[role].poll()
          if code is not None and self._is_over(role, code):
            return code if code >= 0 else 128 - code
        time.sleep(_POLL_SECONDS)
    finally:
      self._stop()

  def log_of(self, role: str) -> str:
    """Path of a role's output."""
    return os.path.join(self._logs, f'{role}.console.log')

  def _start(self, role: str) -> None:
    make_folder(self._logs)
    with open(self.log_of(role), 'ab') as log:
      self._running[role] = subprocess.Popen(
          self._commands[role], stdin=subprocess.DEVNULL, stdout=log,
          stderr=subprocess.STDOUT, start_new_session=True,
          preexec_fn=private_network.end_with_parent)

  def _is_over(self, role: str, code: int) -> bool:
    """Deals with a role that has ended; whether all is over."""
    del self._running[role]
    if code == 0:
      if role == LEARNER:
        self._say('The learner has finished.')
        return EVALUATOR not in self._running
      # The evaluator ends by itself when the learner has.
      return role == EVALUATOR and LEARNER not in self._running
    deaths, now = self._deaths[role], time.monotonic()
    message = last_message(self.log_of(role))
    deaths.append(now)
    # A mistake of the user's does not go away by being made again.
    if code == 2 or (len(deaths) == _RESTARTS
                     and now - deaths[0] < _RESTART_SECONDS):
      self._say(f'{role} has ended with {code}: {message} '
                f'({os.path.relpath(self.log_of(role))})')
      return True
    record_incident(self._logs, 'role-restarted', role=role, exit_code=code,
                    message=message)
    self._say(f'{role} has ended with {code} and is started again: {message}')
    self._start(role)
    return False

  def _stop(self) -> None:
    """Asks all to end: who plays first, whom the others need last."""
    end = time.monotonic() + _GRACE_SECONDS
    for role in reversed(list(self._running)):
      process = self._running[role]
      for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
          os.killpg(process.pid, number)
          try:
            process.wait(max(1., end - time.monotonic()))
          except subprocess.TimeoutExpired:
            continue
    self._running.clear()


def commands_of(launch: Callable[[str], List[str]], collectors: int,
                lock_step: bool, reanalyzers: int = 0,
                evaluator: Sequence[str] = ()) -> Dict[str, List[str]]:
  """The command of each role of a stage.

  Args:
    launch: command of a launcher by its name, with the flags of all roles.
    collectors: how many.
    lock_step: see `launchers.role_flags`.
    reanalyzers: how many; 0: the learner makes its targets itself.
    evaluator: command of a role that evaluates the saves; none if empty.
  """
  port = portpicker.pick_unused_port()
  address = f'--replay_address=localhost:{port}'
  pace = f'--{"" if lock_step else "no"}lock_step'
  return {
      'server': [*launch('replay_server'), f'--port={port}'],
      LEARNER: [*launch('train'), address, pace,
                *(['--reanalyze=remote'] if reanalyzers else [])],
      **{f'collector-{number}': [
          *launch('collect'), address, pace, f'--collector={number}',
          f'--collectors={collectors}'] for number in range(collectors)},
      **{f'reanalyzer-{number}': [
          *launch('reanalyze'), address, f'--reanalyzer={number}']
         for number in range(reanalyzers)},
      **({EVALUATOR: list(evaluator)} if evaluator else {})}
