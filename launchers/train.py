r"""The learner of one stage whose other roles are processes of their own.

Examples:
  python -m launchers.replay_server --root_dir=runs/krull --stage=scratch \
      --port=8000
  python -m launchers.train --root_dir=runs/krull --stage=scratch \
      --replay_address=localhost:8000
  python -m launchers.collect --root_dir=runs/krull --stage=scratch \
      --replay_address=localhost:8000 --collector=0

All roles of a run have the same --root_dir, on a file system that they share,
and the same gin files and seed. They may be started in any order, and wait for
each other. The same command goes on where it stopped. The stages that do not
play, teachers and student, are trained by launchers.xtra.
"""

import sys

from absl import flags

from launchers import (
  program,
  role_flags,
  role_start,
  settings_flags,
  strategy_flags,
)

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(settings_flags)
flags.adopt_module_key_flags(role_flags)
flags.adopt_module_key_flags(strategy_flags)

_ACCEPT = flags.DEFINE_bool(
    'accept_config_change', False,
    'Go on with other settings than the run in --root_dir began with.')

_REANALYZE = flags.DEFINE_enum(
    'reanalyze', 'here', ['here', 'remote'], 'Who makes fresh targets: the '
    'gradient step itself, or launchers.reanalyze, without which it then '
    'waits. A run may change between them.')


def main() -> int:
  """Trains until the stage is done."""
  address = role_start.require_address()
  found = role_start.begin('learner.log', FLAGS.strategy, FLAGS.tpu_name)
  from xtra_tf.experiments import remote_run, stage_roles
  stage_roles.learn(
      found, remote_run.RemoteRun(
          address, FLAGS.max_unreachable, stage_roles.say, FLAGS.lock_step,
          _REANALYZE.value == 'remote'),
      FLAGS.seed, _ACCEPT.value)
  sys.stdout.write(f'{found.plan.directory.path}\n')
  return 0


if __name__ == '__main__':
  program.run(main, at_once=True)
