r"""Writes a checkpoint as a .p file for the official code.

Examples:
  python -m launchers.export_checkpoint --checkpoint=runs/alien \
      --output=alien.p
  python -m launchers.export_checkpoint --checkpoint=runs/demo/student \
      --output=student.p --names=efficientzero

The official code reads it by torch.load and load_state_dict. PyTorch is not
needed here. The last line that it prints is the path of the file.
"""

import sys

from absl import flags

from launchers import program

FLAGS = flags.FLAGS
flags.declare_key_flag('debug')

_CHECKPOINT = flags.DEFINE_string(
    'checkpoint', None, 'Folder of a checkpoint or of a stage (its newest '
    'save), or one save, .../train/checkpoints/ckpt-<step>.')
_OUTPUT = flags.DEFINE_string('output', None, 'The .p file, a new one.')
_NAMES = flags.DEFINE_enum(
    'names', None, ['efficientzero', 'xtra'], 'Whose names the tensors get; '
    'those that they were imported with if not given.')


def main() -> int:
  """Exports, and says what was written."""
  checkpoint = program.require('checkpoint', _CHECKPOINT.value, 'runs/imported')
  output = program.require('output', _OUTPUT.value, 'model.p')
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.experiments import official_checkpoints
  summary = official_checkpoints.export_checkpoint(checkpoint, output,
                                                   _NAMES.value)
  sys.stdout.write(f'{summary.tensors} tensors with the names of '
                   f'{summary.names}.\n')
  if summary.left_out:
    sys.stdout.write('Left out, as these names have no place for them: '
                     f'{", ".join(summary.left_out)}.\n')
  sys.stdout.write(f'{summary.path}\n')
  return 0


if __name__ == '__main__':
  program.run(main)
