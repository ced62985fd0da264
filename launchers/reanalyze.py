r"""Makes fresh targets for a learner, off its devices.

Examples:
  python -m launchers.train --root_dir=runs/krull --stage=scratch \
      --replay_address=localhost:8000 --reanalyze=remote
  python -m launchers.reanalyze --root_dir=runs/krull --stage=scratch \
      --replay_address=localhost:8000 --reanalyzer=0

A gradient step searches the states of its rows anew and takes the value head's
word for what comes behind them (EfficientZero, section 4.3). With --reanalyze=
remote the learner leaves that to any number of these: they draw rows by the
server's priorities, make the targets with the newest weights that the learner
has published, and put complete batches into a short queue on the server. Who
finds it full waits. How many updates the weights were behind is in the metrics,
targets/weights_behind_mean and _max. They may be started in any order, come and
go; each has another --reanalyzer.
"""

import sys

from absl import flags

from launchers import program, role_flags, role_start, settings_flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(settings_flags)
flags.adopt_module_key_flags(role_flags)

_REANALYZER = flags.DEFINE_integer(
    'reanalyzer', 0, 'Number of this one among the reanalyzers of a run.',
    lower_bound=0)


def main() -> int:
  """Reanalyzes until the learner has finished."""
  address = role_start.require_address()
  found = role_start.begin(f'reanalyzer-{_REANALYZER.value}.log')
  from xtra_tf.experiments import reanalyzer_role, stage_roles
  batches = stage_roles.reanalyze(found, reanalyzer_role.ReanalyzerPlace(
      address, _REANALYZER.value, found.digest, FLAGS.max_unreachable))
  sys.stdout.write(f'Reanalyzer {_REANALYZER.value}: {batches:,} batches.\n')
  return 0


if __name__ == '__main__':
  program.run(main, at_once=True)
