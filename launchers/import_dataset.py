r"""Writes an episode log with the data of another project.

Examples:
  python -m launchers.import_dataset --format=dqn_replay --task=Pong \
      --source=dqn/Pong/1 --output=data/pong
  python -m launchers.import_dataset --format=dqn_replay --task=Pong \
      --source=dqn/Pong/1 --output=data/pong_rgb --resolution=96 --nograyscale
  python -m launchers.import_dataset --format=efficientzero --task=Alien \
      --source=AlienNoFrameskip-v4/seed_0 --output=data/alien
  python -m launchers.import_dataset --format=rlds --task=Pong --resolution=96 \
      --source=rlu_atari_checkpoints_ordered/Pong_run_1/1.1.0 --output=data/pong
  python -m launchers.import_dataset --format=minari --task=Breakout \
      --resolution=96 --source=atari/breakout/expert-v0 --output=data/breakout

Data are read a little at a time, whatever their size, and nothing in them is
run. The output appears when all of it is there. Frames keep their resolution
and colour unless you ask for another one. The last line that it prints is the
path of the data.
"""

import sys

from absl import flags

from launchers import fact_table, program

FLAGS = flags.FLAGS
flags.declare_key_flag('debug')

_FORMAT = flags.DEFINE_string(
    'format', None, 'What the data are: dqn_replay (DQN replay logs of '
    'Dopamine), efficientzero (replay of the official code), minari (a Minari '
    'data set) or rlds (an RLDS data set of tensorflow-datasets, such as RL '
    'Unplugged).')
_SOURCE = flags.DEFINE_string('source', None, 'Folder of the data.')
_TASK = flags.DEFINE_string('task', None, 'What was played, e.g. Pong.')
_OUTPUT = flags.DEFINE_string(
    'output', None, 'Folder to be made, for --task_data of the other programs.')
_RESOLUTION = flags.DEFINE_integer(
    'resolution', None, 'Pixels a side that frames are converted to; as they '
    'are if not given.')
_GRAYSCALE = flags.DEFINE_bool(
    'grayscale', None, 'Convert frames to grey, or to RGB; as they are if not '
    'given.')


def main() -> int:
  """Imports, and says what was found."""
  name = program.require('format', _FORMAT.value, 'dqn_replay')
  path = program.require('source', _SOURCE.value, 'dqn/Pong/1')
  task = program.require('task', _TASK.value, 'Pong')
  output = program.require('output', _OUTPUT.value, 'data/pong')
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.offline_data import importing
  from xtra_tf.offline_data.formats import open_source
  from xtra_tf.runs import StageProgress
  source = open_source(name, path, task)
  with StageProgress(f'Import: {task}', source.num_records, unit=source.unit
                     ) as progress:
    summary = importing.import_dataset(
        source, output, _RESOLUTION.value, _GRAYSCALE.value, progress.update)
  fact_table.show(
      f'{summary.task.name}: imported', importing.summary_rows(summary),
      [f'Note: {note}' for note in summary.notes])
  sys.stdout.write(f'{summary.directory}\n')
  return 0


if __name__ == '__main__':
  program.run(main)
