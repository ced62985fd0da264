"""Where a run came from: code, versions, machine.

No host names, no user names, no environment variables.
"""

import importlib.metadata
import os
import platform
import subprocess
from typing import Any, Dict, List, Optional

import psutil

from xtra_tf.version import __version__

_DISTRIBUTIONS = (
    'tensorflow', 'tf-agents', 'dm-reverb', 'gymnasium', 'ale-py',
    'numpy', 'tensorflow-probability', 'gin-config')
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _git(*arguments: str) -> Optional[str]:
  command: List[str] = ['git', '--no-optional-locks', '-C', _PACKAGE,
                        *arguments]
  try:
    result = subprocess.run(command, capture_output=True, text=True, timeout=10,
                            check=False)
  except (OSError, subprocess.TimeoutExpired):
    return None  # no git here; a run does not need it
  return result.stdout.strip() if result.returncode == 0 else None


def code_version() -> Dict[str, Any]:
  """Commit of the checkout that runs, and whether it has been changed.

  Returns:
    {'commit': str or None, 'dirty': bool or None}; None where the package is
    installed, in whatever repository its environment may lie.
  """
  top = _git('rev-parse', '--show-toplevel')
  if top is None or os.path.realpath(
      os.path.join(top, 'xtra_tf')) != os.path.realpath(_PACKAGE):
    return {'commit': None, 'dirty': None}
  status = _git('status', '--porcelain')
  return {'commit': _git('rev-parse', 'HEAD'),
          'dirty': None if status is None else bool(status)}


def versions() -> Dict[str, Optional[str]]:
  """Versions of Python and of the packages that a result depends on."""
  # Not by its distribution: from a checkout there is none.
  found: Dict[str, Optional[str]] = {'python': platform.python_version(),
                                     'xtra-tf': __version__}
  for name in _DISTRIBUTIONS:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      found[name] = None
  return found


def machine() -> Dict[str, Any]:
  """What the machine is like: system, processors, memory in bytes."""
  return {'system': f'{platform.system()} {platform.machine()}',
          'processor_model': _processor_model(),
          'processors': len(os.sched_getaffinity(0)),
          'memory_bytes': psutil.virtual_memory().total}


def _processor_model() -> Optional[str]:
  """E.g. `AMD EPYC 7763 64-Core Processor`; None where nothing says."""
  try:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
      for line in file:
        name, _, value = line.partition(':')
        if name.strip() == 'model name':
          return value.strip()
  except OSError:
    pass  # not Linux; a run does not need it
  return platform.processor() or None
