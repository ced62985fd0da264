r"""launchers.xtra in a network of its own: nothing of the run is reachable.

Examples:
  python -m launchers.local --root_dir=runs/demo
  python -m launchers.local --root_dir=runs/krull \
      --gin_file=protocols/demo.gin --gin_bindings='TARGET_TASK = "Krull"'

The flags are those of launchers.xtra. Its replay server listens on every
network interface and asks nobody who they are; here it has an interface that
only the run itself sees. Where the system does not allow that (Linux with user
namespaces does), one line says what is open and how to close it.
"""

import os
import signal
import subprocess
import sys

from absl import flags

from launchers import program, xtra

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(xtra)

_GRACE_SECONDS = 120.  # a search that is being compiled is waited for


def main() -> int:
  """Runs launchers.xtra as a child, in a network of its own if it may be."""
  program.require_root_dir()
  from xtra_tf.runs import private_network
  obstacle = private_network.obstacle()
  if FLAGS.offline_address:
    obstacle = f'--offline_address={FLAGS.offline_address} is outside of it'
  if obstacle:
    sys.stderr.write(
        'warning: the run has no network of its own: '
        f'{obstacle}. While it is trained, anybody who reaches this machine '
        'can read and change its replay tables, at the port that '
        'logs/native.log names. A firewall that drops incoming connections '
        'keeps them out.\n')
    sys.stderr.flush()

  def prepare() -> None:
    if not obstacle:
      private_network.enter()
    private_network.end_with_parent()

  # A session of its own: what a terminal sends comes to this process alone.
  child = subprocess.Popen(
      [sys.executable, '-m', 'launchers.xtra', *sys.argv[1:]],
      preexec_fn=prepare, start_new_session=True)
  try:
    return _exit_code(child.wait())
  except KeyboardInterrupt as stopped:
    child.send_signal(getattr(stopped, 'signal', signal.SIGINT))
    return _exit_code(child.wait(_GRACE_SECONDS))


def _exit_code(code: int) -> int:
  """As a shell gives it: a signal's number and 128."""
  return code if code >= 0 else 128 - code


if __name__ == '__main__':
  os.environ.setdefault('PYTHONUNBUFFERED', '1')
  program.run(main)
