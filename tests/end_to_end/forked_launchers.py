"""Runs launchers in forks of one process that has imported everything.

  python -m tests.end_to_end.forked_launchers

Reads a JSON line for each program, and answers with one: {"code", "output",
"errors"}. A program is run as `python -m launchers.NAME` would run it, but for
the seconds that its imports take. `before` is Python that is run first, in the
fork: what is wrong with the machine.
"""

import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from typing import Any, Dict, NamedTuple, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
_SECONDS = 120


class Ended(NamedTuple):
  """How a program ended."""
  code: int
  output: str
  errors: str


class ForkedLaunchers:
  """The process, seen from a test."""

  def __init__(self) -> None:
    self._process = subprocess.Popen(
        [sys.executable, '-m', 'tests.end_to_end.forked_launchers'], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'})

  def run(self, name: str, *arguments: str, before: str = '') -> Ended:
    """Runs a launcher to its end.

    Args:
      name: of the launcher.
      *arguments: its flags.
      before: Python that is run before it.
    """
    assert self._process.stdin and self._process.stdout
    self._process.stdin.write(json.dumps(
        {'name': name, 'arguments': arguments, 'before': before}) + '\n')
    self._process.stdin.flush()
    return Ended(**json.loads(self._process.stdout.readline()))

  def close(self) -> None:
    """Ends the process."""
    self._process.communicate(timeout=60)


def _main() -> None:
  import reverb  # noqa: F401
  import tensorflow  # noqa: F401

  from xtra_tf.evaluation import report  # noqa: F401
  from xtra_tf.experiments import (  # noqa: F401
    checkpoint_evaluation,
    local_run,
    stage_roles,
  )
  from xtra_tf.offline_data import exporting, importing  # noqa: F401
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  for line in sys.stdin:
    answers.write(json.dumps(_answer(json.loads(line))._asdict()) + '\n')
    answers.flush()


def _answer(asked: Dict[str, Any]) -> Ended:
  with contextlib.ExitStack() as stack:
    files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
    child = os.fork()
    if not child:
      for number, file in enumerate(files, start=1):
        os.dup2(file.fileno(), number)
      os._exit(_run(asked['name'], asked['arguments'], asked['before']))
    _, status = os.waitpid(child, 0)
    texts = []
    for file in files:
      file.seek(0)
      texts.append(file.read().decode('utf-8', 'replace'))
  return Ended(os.waitstatus_to_exitcode(status), *texts)


def _run(name: str, arguments: Sequence[str], before: str) -> int:
  """In the fork; its exit code."""
  import signal
  signal.alarm(_SECONDS)
  sys.argv = [name, *arguments]
  code = 1
  try:
    exec(before, {})  # pylint: disable=exec-used
    runpy.run_module(f'launchers.{name}', run_name='__main__', alter_sys=True)
  except SystemExit as ended:
    code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
  except BaseException:
    traceback.print_exc()
  sys.stdout.flush()
  sys.stderr.flush()
  return code


if __name__ == '__main__':
  _main()
