r"""All of XTRA in one process: data, teachers, student, finetuning, report.

Examples:
  python -m launchers.xtra --root_dir=runs/demo
  python -m launchers.xtra --root_dir=runs/krull \
      --gin_file=protocols/demo.gin --gin_bindings='TARGET_TASK = "Krull"'
  python -m launchers.xtra --root_dir=runs/paper --gin_file=protocols/paper.gin

The same command goes on where it stopped. The last line that it prints is the
path of the report, or of the scores if --stages is given.
"""

import os
import sys

from absl import flags

from launchers import (
  gin_flags,
  program,
  settings_flags,
  strategy_flags,
  task_folders,
)

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(settings_flags)
flags.adopt_module_key_flags(strategy_flags)

_TASK_DATA = flags.DEFINE_multi_string(
    'task_data', [], 'TASK=DIR: use the episodes in DIR as the data of a '
    'source task instead of playing it.')
_ACCEPT = flags.DEFINE_bool(
    'accept_config_change', False,
    'Go on with other settings than the run in --root_dir began with.')

_STAGES = flags.DEFINE_list(
    'stages', [], 'Run these stages alone, of data, teacher, student, cloning, '
    'finetune and scratch, e.g. --stages=scratch. Without it, all that are not '
    'done but cloning.')

_OFFLINE_ADDRESS = flags.DEFINE_string(
    'offline_address', None, 'HOST:PORT of a launchers.replay_server that has '
    "the source tasks' data and targets; none are made or loaded here.")
_OFFLINE_TIMEOUT = flags.DEFINE_float(
    'offline_timeout', 60., 'Seconds that this server may be gone before the '
    'program ends with 69.', lower_bound=0.)

_FROM_RUN = flags.DEFINE_multi_string(
    'from_run', [], 'DIR, or STAGE[,STAGE]=DIR: take finished source data, '
    'teachers and student from the run in DIR instead of making them. They '
    'must have been made with the same settings. Repeatable.')

_EVALUATE = flags.DEFINE_bool(
    'evaluate', True, 'Play the evaluation games on the target of the models '
    'that were trained. Those on source tasks are up to the setting '
    'SourceEvaluationSettings.episodes.')


def main() -> int:
  """Runs what is left of the main job."""
  root_dir = program.require_root_dir()
  task_data = task_folders.parse('task_data', _TASK_DATA.value)
  if not FLAGS.debug:
    program.native_output_to(os.path.join(root_dir, 'logs', 'native.log'))
  gin_flags.apply_trust()
  from xtra_tf.experiments import local_run, strategies
  report = local_run.run_xtra(
      root_dir, gin_files=gin_flags.files(),
      gin_bindings=FLAGS.gin_bindings, seed=FLAGS.seed, task_data=task_data,
      accept_config_change=_ACCEPT.value,
      only=_STAGES.value, offline_address=_OFFLINE_ADDRESS.value,
      offline_timeout=_OFFLINE_TIMEOUT.value, from_runs=_FROM_RUN.value,
      evaluate=_EVALUATE.value,
      devices=strategies.Devices(FLAGS.strategy, FLAGS.tpu_name))
  sys.stdout.write(f'{report}\n')
  return 0


if __name__ == '__main__':
  program.run(main, at_once=True)
