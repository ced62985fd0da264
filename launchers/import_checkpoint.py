r"""Reads a .p file of the official EfficientZero or XTRA code.

Examples:
  python -m launchers.import_checkpoint --source=model.p --output=runs/alien
  python -m launchers.import_checkpoint --source=model.p --output=runs/pong \
      --task=Pong

Every size is read off the file's tensors. A network whose action head has one
place for each action of a game needs to be told the game before it can play;
one with all 18 actions does not. PyTorch is not needed, and no code in the file
is run. The last line that it prints is the path of the checkpoint.
"""

import sys

from absl import flags

from launchers import program

FLAGS = flags.FLAGS
flags.declare_key_flag('debug')

_SOURCE = flags.DEFINE_string(
    'source', None, 'The .p file: a state dict that torch.save has written.')
_OUTPUT = flags.DEFINE_string(
    'output', None, 'Folder of the checkpoint; made if need be.')
_TASK = flags.DEFINE_string(
    'task', None, 'The game that the action head is of, e.g. Pong.')


def main() -> int:
  """Imports, and says what was found."""
  source = program.require('source', _SOURCE.value, 'model.p')
  output = program.require('output', _OUTPUT.value, 'runs/imported')
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.experiments import official_checkpoints
  summary = official_checkpoints.import_checkpoint(source, output, _TASK.value)
  config = summary.config
  size = 'x'.join(map(str, config.observation_shape))
  sys.stdout.write(
      f'{summary.names} network: observations {size}, {config.channels} '
      f'channels, {config.representation_blocks} blocks per stage, '
      f'{config.network_actions} actions, {config.bins} bins.\n'
      f'{summary.placed} weights and statistics read; {summary.unplaced} '
      'tensors that the network never uses are kept for an export.\n')
  if config.network_actions != 18 and config.action_ids is None:
    sys.stdout.write('Which actions these are the file does not say: with '
                     '--task they are those of a game.\n')
  sys.stdout.write(f'{summary.directory}\n')
  return 0


if __name__ == '__main__':
  program.run(main)
