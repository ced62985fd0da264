r"""launchers.xtra in a network of its own: nothing of the run is reachable.

Examples:
  python -m launchers.local --root_dir=runs/demo
  python -m launchers.local --root_dir=runs/krull \
      --gin_file=protocols/demo.gin --gin_bindings='TARGET_TASK = "Krull"'
  python -m launchers.local --root_dir=runs/krull --stage=scratch --processes=4

The flags are those of launchers.xtra. Its replay server listens on every
network interface and asks nobody who they are; here it has an interface that
only the run itself sees. Where the system does not allow that (Linux with user
namespaces does), one line says what is open and how to close it.

With --processes one stage is trained by a replay server, a learner and
collectors in processes of their own, which are started again if they die; what
they say is in logs/*.console.log. --reanalyzers=1 and --evaluator start these
roles, too.
"""

import os
import signal
import subprocess
import sys
from typing import List

from absl import flags

from launchers import program, role_flags, xtra

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(xtra)
flags.adopt_module_key_flags(role_flags)

_PROCESSES = flags.DEFINE_integer(
    'processes', 0, 'Train the stage of --stage in so many processes: a replay '
    'server, a learner and collectors. 0: all in one.', lower_bound=0)
_REANALYZERS = flags.DEFINE_integer(
    'reanalyzers', 0, 'With --processes: so many more that make the targets of '
    'the played task, off the learner.', lower_bound=0)
_EVALUATOR = flags.DEFINE_bool(
    'evaluator', False, 'With --processes: one more that evaluates every save.')
_INSIDE = flags.DEFINE_bool(
    'inside', False, 'Not to be given: says that the network is there.')

_GRACE_SECONDS = 150.  # a search that is being compiled is waited for


def main() -> int:
  """Runs the run as a child, in a network of its own if it may be."""
  root_dir = program.require_root_dir()
  if _INSIDE.value:
    return _run_roles(root_dir)
  if _PROCESSES.value:
    program.require('stage', FLAGS.stage, 'scratch')
    if _PROCESSES.value < 3:
      program.fail(f'--processes is {_PROCESSES.value}. Expected 3 or more: a '
                   'replay server, a learner and collectors.')
  elif _REANALYZERS.value or _EVALUATOR.value:
    program.fail('--reanalyzers and --evaluator are processes beside others. '
                 'Expected --processes=3 or more with them.')
  from xtra_tf.runs import private_network
  obstacle = private_network.obstacle()
  if FLAGS.offline_address:
    obstacle = f'--offline_address={FLAGS.offline_address} is outside of it'
  if obstacle:
    sys.stderr.write(
        'warning: the run has no network of its own: '
        f'{obstacle}. While it is trained, anybody who reaches this machine '
        'can read and change its replay tables. A firewall that drops incoming '
        'connections keeps them out.\n')
    sys.stderr.flush()

  def prepare() -> None:
    if not obstacle:
      private_network.enter()
    private_network.end_with_parent()

  module = ['launchers.local', '--inside'] if _PROCESSES.value else [
      'launchers.xtra']
  # A session of its own: what a terminal sends comes to this process alone.
  child = subprocess.Popen(
      [sys.executable, '-m', *module, *sys.argv[1:]], preexec_fn=prepare,
      start_new_session=True)
  try:
    return _exit_code(child.wait())
  except KeyboardInterrupt as stopped:
    child.send_signal(getattr(stopped, 'signal', signal.SIGINT))
    return _exit_code(child.wait(_GRACE_SECONDS))


def _run_roles(root_dir: str) -> int:
  """Starts the roles of a stage, here in the network that they share."""
  from xtra_tf.experiments import role_processes
  own = {'processes', 'inside', 'stages', 'lock_step', 'reanalyzers',
         'evaluator'}
  shared = [text for text in sys.argv[1:]
            if text.lstrip('-').removeprefix('no').partition('=')[0] not in own]
  roles = role_processes.RoleProcesses(
      role_processes.commands_of(
          lambda name: [sys.executable, '-m', f'launchers.{name}', *shared],
          _PROCESSES.value - 2, FLAGS.lock_step, _REANALYZERS.value,
          _evaluator(root_dir) if _EVALUATOR.value else ()),
      os.path.join(root_dir, 'logs'), _say)
  return roles.run()


def _evaluator(root_dir: str) -> List[str]:
  """Its command; it takes fewer flags than the other roles."""
  lists = {'gin_file': FLAGS.gin_file, 'gin_bindings': FLAGS.gin_bindings}
  return [sys.executable, '-m', 'launchers.evaluate', '--follow',
          f'--root_dir={root_dir}', f'--stage={FLAGS.stage}',
          *(f'--{name}={value}' for name, values in lists.items()
            for value in values),
          *(['--trust_gin'] if FLAGS.trust_gin else [])]


def _say(line: str) -> None:
  sys.stdout.write(f'{line}\n')
  sys.stdout.flush()


def _exit_code(code: int) -> int:
  """As a shell gives it: a signal's number and 128."""
  return code if code >= 0 else 128 - code


if __name__ == '__main__':
  os.environ.setdefault('PYTHONUNBUFFERED', '1')
  program.run(main)
