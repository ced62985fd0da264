r"""All of XTRA in one process: data, teachers, student, finetuning, report.

Examples:
  python -m launchers.xtra --root_dir=runs/demo
  python -m launchers.xtra --root_dir=runs/krull \
      --gin_file=protocols/demo.gin --gin_bindings='TARGET_TASK = "Krull"'
  python -m launchers.xtra --root_dir=runs/paper --gin_file=protocols/paper.gin

The same command goes on where it stopped. The last line that it prints is the
path of the report.
"""

import os
import sys
from typing import Dict

from absl import flags

from launchers import program, settings_flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(settings_flags)

_TASK_DATA = flags.DEFINE_multi_string(
    'task_data', [], 'TASK=DIR: use the episodes in DIR as the data of a '
    'source task instead of playing it.')
_ACCEPT = flags.DEFINE_bool(
    'accept_config_change', False,
    'Go on with other settings than the run in --root_dir began with.')

_DEFAULT_GIN_FILE = 'protocols/demo.gin'


def _task_data() -> Dict[str, str]:
  pairs = {}
  for text in _TASK_DATA.value:
    task, separator, folder = text.partition('=')
    if not separator or not task or not folder:
      from xtra_tf.errors import UsageError
      raise UsageError(f'--task_data is {text!r}. Expected TASK=DIR, e.g. '
                       '--task_data=Alien=data/alien.')
    pairs[task] = folder
  return pairs


def main() -> int:
  """Runs what is left of the main job."""
  root_dir = program.require_root_dir()
  task_data = _task_data()
  if not FLAGS.debug:
    program.native_output_to(os.path.join(root_dir, 'logs', 'native.log'))
  from xtra_tf.experiments import local_run
  report = local_run.run_xtra(
      root_dir, gin_files=FLAGS.gin_file or [_DEFAULT_GIN_FILE],
      gin_bindings=FLAGS.gin_bindings, seed=FLAGS.seed, task_data=task_data,
      accept_config_change=_ACCEPT.value)
  sys.stdout.write(f'{report}\n')
  return 0


if __name__ == '__main__':
  program.run(main)
