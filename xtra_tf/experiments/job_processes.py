"""Processes of jobs: started, watched, ended cleanly."""

import os
import signal
import subprocess
import time
from typing import Dict, List, Mapping, NamedTuple, Sequence

from xtra_tf.runs import make_folder, storage_error

# A run that is asked to stop finishes the step that it is at.
_GRACE_SECONDS = 30.
_TAIL_BYTES = 4096
_ERROR = 'error: '


class Ended(NamedTuple):
  """A process that has ended."""
  name: str
  exit_code: int  # negative: the signal that ended it
  message: str  # the last that it said
  seconds: float


class _Running(NamedTuple):
  process: 'subprocess.Popen[bytes]'
  log: str
  begun: float


class JobProcesses:
  """Processes by name, at most so many at a time."""

  def __init__(self, at_once: int):
    """Initializes; nothing is started yet.

    Args:
      at_once: processes at a time.
    """
    self._at_once = at_once
    self._running: Dict[str, _Running] = {}

  @property
  def names(self) -> List[str]:
    """Of the processes at work."""
    return list(self._running)

  @property
  def has_room(self) -> bool:
    """Whether another may be started."""
    return len(self._running) < self._at_once

  def seconds(self, name: str) -> float:
    """Since a process was started."""
    return time.monotonic() - self._running[name].begun

  def start(self, name: str, command: Sequence[str], log: str) -> None:
    """Starts a process; its output goes to the end of a file.

    Args:
      name: of the process.
      command: with its arguments.
      log: the file; its folder is made.

    Raises:
      StorageError: the file cannot be written.
    """
    make_folder(os.path.dirname(log))
    try:
      with open(log, 'ab') as file:
        # A session of its own: what the terminal sends comes to us alone, and
        # we pass it on.
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True,
            env=self._environment())
    except OSError as error:
      raise storage_error(log, error) from error
    self._running[name] = _Running(process, log, time.monotonic())

  def ended(self) -> List[Ended]:
    """The processes that have ended since the last call."""
    found = []
    for name, running in list(self._running.items()):
      code = running.process.poll()
      if code is not None:
        del self._running[name]
        found.append(Ended(name, code, last_message(running.log),
                           time.monotonic() - running.begun))
    return found

  def stop(self) -> None:
    """Asks all processes to stop and waits; ends those that do not."""
    for running in self._running.values():
      _send(running.process, signal.SIGINT)
    deadline = time.monotonic() + _GRACE_SECONDS
    for running in self._running.values():
      try:
        running.process.wait(max(0.1, deadline - time.monotonic()))
      except subprocess.TimeoutExpired:
        _send(running.process, signal.SIGKILL)
        running.process.wait()
    self._running.clear()

  def _environment(self) -> Mapping[str, str]:
    """With several at once, each gets its share of the processors."""
    if self._at_once == 1:
      return os.environ
    share = str(max(1, len(os.sched_getaffinity(0)) // self._at_once))
    shared = {'TF_NUM_INTRAOP_THREADS': share, 'TF_NUM_INTEROP_THREADS': share,
              'TF_FORCE_GPU_ALLOW_GROWTH': 'true'}
    return {**shared, **os.environ}


def _send(process: 'subprocess.Popen[bytes]', number: int) -> None:
  if process.poll() is None:
    try:
      os.killpg(process.pid, number)
    except ProcessLookupError:
      pass  # ended just now


def last_message(log: str) -> str:
  """The error that a program ended with, or its last line."""
  try:
    with open(log, 'rb') as file:
      file.seek(0, os.SEEK_END)
      file.seek(max(0, file.tell() - _TAIL_BYTES))
      text = file.read().decode('utf-8', 'replace')
  except OSError:
    return ''
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  errors = [i for i, line in enumerate(lines) if line.startswith(_ERROR)]
  if errors:
    return ' '.join(lines[errors[-1]:])[len(_ERROR):]
  return lines[-1] if lines else ''
