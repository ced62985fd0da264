r"""Many runs: methods x targets x seeds, one process each, and their results.

Examples:
  python -m launchers.experiment --gin_file=protocols/smoke.gin \
      --results_dir=results/smoke --root_dir=runs/smoke --jobs=2
  python -m launchers.experiment --gin_file=protocols/paper.gin --plan
  python -m launchers.experiment --gin_file=protocols/mini.gin \
      --results_dir=results/mini --root_dir=runs/mini \
      --only=method=xtra,seed=0 --only=method=zero_shot

The same command goes on where it stopped: finished runs are left, failed ones
are tried again. Each run is an ordinary --root_dir of launchers.xtra below
--root_dir; source data, teachers and students that several runs would make
alike are made once. --plan prints what it would take. The last line that it
prints is the folder of the results.
"""

import sys

from absl import flags

from launchers import gin_flags, program

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(gin_flags)

_RESULTS_DIR = flags.DEFINE_string(
    'results_dir', None, 'Folder of the results: small, fit to be kept and '
    'shared. One with results of other settings is refused.')
_JOBS = flags.DEFINE_integer(
    'jobs', 1, 'Processes at a time; the processors are shared among them.',
    lower_bound=1)
_ONLY = flags.DEFINE_multi_string(
    'only', [], 'Run these alone, with what they need: method=NAME, '
    'target=NAME, seed=N, separated by commas. Repeatable.')
_PLAN = flags.DEFINE_bool(
    'plan', False, 'Print an estimate of operations, memory and disk; run '
    'nothing.')


def main() -> int:
  """Runs what is left of the experiment, or prints its plan."""
  program.require(
      'gin_file', (FLAGS.gin_file or [''])[0], 'protocols/smoke.gin')
  if not _PLAN.value:
    root_dir = program.require_root_dir()
    results_dir = program.require(
        'results_dir', _RESULTS_DIR.value, 'results/smoke')
  if not FLAGS.debug:
    program.hide_native_output()
  gin_flags.apply_trust()
  from xtra_tf.experiments import experiment
  if _PLAN.value:
    experiment.show_plan(FLAGS.gin_file, FLAGS.gin_bindings, _ONLY.value,
                         _JOBS.value)
    return 0
  code = experiment.run_experiment(
      results_dir, root_dir, gin_files=FLAGS.gin_file,
      bindings=FLAGS.gin_bindings,
      program=[sys.executable, '-m', 'launchers.xtra'], at_once=_JOBS.value,
      only=_ONLY.value)
  sys.stdout.write(f'{results_dir}\n')
  return code


if __name__ == '__main__':
  program.run(main)
