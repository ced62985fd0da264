"""How a measured program answers: JSON lines on its standard streams.

A party module calls `serve(prepare, distributions)`. Requests and answers, one
line each:

  {"prepare": {...}}  ->  {"prepared": seconds, "calls": n}
  {"run": n}          ->  {"ms": mean of n calls, in milliseconds}
  {"versions": true}  ->  {"versions": {"jax": "..."}}
  {"measure": {...}}  ->  {"result": {...}}   (parties that count, not time)
"""

import importlib.metadata
import json
import os
import platform
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, TextIO

# A sample lasts about this long, so that clock and wake-up count little.
_LEAST_SECONDS = 0.05

Prepare = Callable[[Dict[str, Any]], Callable[[], Any]]
Measure = Callable[[Dict[str, Any]], Dict[str, Any]]


def serve(prepare: Prepare, distributions: Sequence[str],
          measure: Optional[Measure] = None) -> None:
  """Answers requests until the standard input ends.

  Args:
    prepare: makes the call that is timed, out of a case. The call returns when
      its result is there.
    distributions: whose versions are told.
    measure: for what is counted and not timed.
  """
  answers = _own_stdout()
  call: Optional[Callable[[], Any]] = None
  for line in sys.stdin:
    request = json.loads(line)
    if 'prepare' in request:
      begun = time.perf_counter()
      call = prepare(request['prepare'])
      call()
      prepared = time.perf_counter() - begun
      answer: Dict[str, Any] = {'prepared': prepared,
                                'calls': _calls_of_a_sample(call)}
    elif 'run' in request:
      if call is None:
        raise ValueError('`run` before `prepare`.')
      # The other party has emptied the caches; this call fills them.
      call()
      answer = {'ms': 1e3 * _seconds(call, request['run'])}
    elif 'measure' in request:
      if measure is None:
        raise ValueError('This party measures nothing but time.')
      answer = {'result': measure(request['measure'])}
    else:
      answer = {'versions': _versions(distributions)}
    answers.write(json.dumps(answer) + '\n')
    answers.flush()


def processors() -> List[int]:
  """The processors that this party was given."""
  return sorted(os.sched_getaffinity(0))


def _own_stdout() -> TextIO:
  """The answers' stream; whatever else is written to stdout goes to stderr."""
  answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
  os.dup2(2, 1)
  return answers


def _seconds(call: Callable[[], Any], times: int) -> float:
  """Mean seconds of a call."""
  begun = time.perf_counter()
  for _ in range(times):
    call()
  return (time.perf_counter() - begun) / times


def _calls_of_a_sample(call: Callable[[], Any]) -> int:
  """How many calls make up a sample that is long enough to be timed."""
  call()
  once = max(_seconds(call, 1), 1e-6)
  return max(1, round(_LEAST_SECONDS / once))


def _versions(distributions: Sequence[str]) -> Dict[str, str]:
  return {'python': platform.python_version(),
          **{name: importlib.metadata.version(name) for name in distributions}}
