"""Reads a data set and says what that did to the outside."""

import os
import subprocess
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# Notes every connection and every program that an import begins.
_WATCHED = """
import sys
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)) if (
    event in ('socket.connect', 'socket.getaddrinfo', 'subprocess.Popen',
              'os.system', 'os.exec')
    # Python's own, by `platform`; NumPy's, by its test tools.
    and arguments[0] not in ('uname', 'lscpu')) else None)
sys.path.insert(0, {root!r})
from xtra_tf.offline_data.formats import open_source
for _ in open_source({name!r}, {path!r}, 'Pong').rows():
  pass
print('watched', seen)
"""


def watched(name, path, cwd):
  """What a read does to the outside, as text."""
  script = _WATCHED.format(root=_ROOT, name=name, path=path)
  result = subprocess.run(
      [sys.executable, '-c', script], cwd=cwd, capture_output=True, text=True,
      timeout=120, check=False)
  return result.stdout + result.stderr
