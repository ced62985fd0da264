"""One measured program, seen from outside: a process that takes requests."""

import json
import os
import subprocess
import sys
from typing import Any, Dict, Optional, Sequence

from benchmarks import environments
from xtra_tf.errors import UnreachableError

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LAST_LINES = 15  # of a failed party's output that the error shows


class Party:
  """A module of `benchmarks.parties`, running in an environment of its own.

  All parties of a comparison get the same processors and as many threads.
  """

  def __init__(self, module: str, environment: Optional[str], threads: int):
    """Starts the process; it waits for requests.

    Args:
      module: name in `benchmarks.parties`.
      environment: of the peer, see `environments`; None: this process's own.
      threads: processors that it may use.
    """
    self.module = module
    self.calls = 1
    python = (environments.python_of(environment) if environment
              else sys.executable)
    self._log = environments.log_path(module)
    with open(self._log, 'wb') as log:
      self._process = subprocess.Popen(
          [python, '-m', f'benchmarks.parties.{module}'], cwd=_ROOT,
          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
          encoding='utf-8', env={**os.environ, **_thread_settings(threads)},
          preexec_fn=lambda: os.sched_setaffinity(0, processors(threads)))
    self.versions: Dict[str, str] = self._ask({'versions': True})['versions']

  def prepare(self, case: Dict[str, Any]) -> float:
    """Makes the call that `sample_ms` times; returns the seconds that took."""
    answer = self._ask({'prepare': case})
    self.calls = answer['calls']
    return answer['prepared']

  def sample_ms(self) -> float:
    """Milliseconds of one call, now."""
    return self._ask({'run': self.calls})['ms']

  def measure(self, case: Dict[str, Any]) -> Dict[str, Any]:
    """What a party that counts has counted."""
    return self._ask({'measure': case})['result']

  def close(self) -> None:
    """Ends the process."""
    if self._process.stdin is not None:
      self._process.stdin.close()
    try:
      self._process.wait(timeout=20)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()

  def __enter__(self) -> 'Party':
    return self

  def __exit__(self, *_: Any) -> None:
    self.close()

  def _ask(self, request: Dict[str, Any]) -> Dict[str, Any]:
    assert self._process.stdin and self._process.stdout
    try:
      self._process.stdin.write(json.dumps(request) + '\n')
      self._process.stdin.flush()
      line = self._process.stdout.readline()
    except BrokenPipeError:
      line = ''
    if not line:
      raise UnreachableError(
          f'The party {self.module} has ended without an answer to '
          f'{list(request)}. Its last lines, of {self._log}:\n'
          f'{_tail(self._log)}')
    return json.loads(line)


def processors(threads: int) -> Sequence[int]:
  """The processors that a party may use: the first ones that we may."""
  return sorted(os.sched_getaffinity(0))[:threads]


def _thread_settings(threads: int) -> Dict[str, str]:
  """What the libraries read; JAX has nothing but the processors' number."""
  number = str(threads)
  return {'OMP_NUM_THREADS': number, 'MKL_NUM_THREADS': number,
          'OPENBLAS_NUM_THREADS': number, 'TF_NUM_INTRAOP_THREADS': number,
          'TF_NUM_INTEROP_THREADS': number, 'TF_CPP_MIN_LOG_LEVEL': '2',
          'JAX_PLATFORMS': 'cpu', 'CUDA_VISIBLE_DEVICES': '-1'}


def _tail(path: str) -> str:
  with open(path, encoding='utf-8', errors='replace') as file:
    return ''.join(file.readlines()[-_LAST_LINES:])
