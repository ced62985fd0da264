"""Launchers of the tiny tasks as processes; some learn together."""

import json
import os
import signal
import subprocess
import time
from typing import Callable, Dict, List, Sequence

import portpicker

from tests.end_to_end import tiny_run

_SECONDS = 900.


class LearnerProcesses:
  """Processes whose output goes to files; the learners know each other."""

  def __init__(self, folder: str, learners: int = 2):
    """Starts nothing.

    Args:
      folder: of the output.
      learners: in TF_CONFIG.
    """
    self._folder = folder
    self._addresses = [f'localhost:{portpicker.pick_unused_port()}'
                       for _ in range(learners)]
    self._processes: Dict[str, 'subprocess.Popen[bytes]'] = {}

  def start(self, name: str, command: Sequence[str]) -> None:
    """Starts a process; its output is added to what it has said before."""
    self._start(name, command, dict(os.environ))

  def start_learners(self, command: Sequence[str]) -> None:
    """Starts `learner-0`, the chief, `learner-1`, ..."""
    for index in range(len(self._addresses)):
      config = {'cluster': {'worker': self._addresses},
                'task': {'type': 'worker', 'index': index}}
      self._start(f'learner-{index}', command,
                  {**os.environ, 'TF_CONFIG': json.dumps(config)})

  def signal(self, name: str, number: int) -> None:
    """Sends a signal."""
    self._processes[name].send_signal(number)

  def wait(self, *names: str) -> List[int]:
    """Exit codes of processes, once they have ended."""
    end = time.monotonic() + _SECONDS
    try:
      return [self._processes[name].wait(max(.1, end - time.monotonic()))
              for name in names]
    except subprocess.TimeoutExpired as error:
      raise AssertionError(self.said()) from error

  def until(self, is_due: Callable[[], bool]) -> None:
    """Waits for something, while all processes are at work."""
    end = time.monotonic() + _SECONDS
    while not is_due():
      ended = [name for name, process in self._processes.items()
               if process.poll() is not None]
      if ended or time.monotonic() > end:
        raise AssertionError(f'{ended} ended.\n{self.said()}')
      time.sleep(.02)

  def output(self, name: str) -> str:
    """All that a process has said."""
    with open(self._log(name), encoding='utf-8', errors='replace') as file:
      return file.read()

  def said(self) -> str:
    """The ends of what all have said."""
    return '\n'.join(f'== {name}\n{self.output(name)[-2000:]}'
                     for name in self._processes)

  def stop(self) -> None:
    """Ends what is left."""
    for process in self._processes.values():
      if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

  def _start(self, name: str, command: Sequence[str],
             environment: Dict[str, str]) -> None:
    with open(self._log(name), 'ab') as log:
      self._processes[name] = subprocess.Popen(
          command, cwd=tiny_run.ROOT, stdout=log, stderr=subprocess.STDOUT,
          env=environment, start_new_session=True)

  def _log(self, name: str) -> str:
    return os.path.join(self._folder, f'{name}.log')
