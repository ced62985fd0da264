r"""Writes episodes as a Minari or an RLDS data set.

Examples:
  python -m launchers.export_dataset --format=minari --source=data/pong \
      --output=minari/pong-v0
  python -m launchers.export_dataset --format=rlds --source=data/pong \
      --output=rlds/pong

Frames stay as they are, bit for bit. `launchers.import_dataset` gets back all
that the formats carry; what they do not is said below the table. The output
appears when all of it is there. Minari finds a data set of its own id by
MINARI_DATASETS_PATH (here: minari), tfds.builder_from_directory an RLDS one by
its folder. The last line that it prints is the path of the data.
"""

import sys

from absl import flags

from launchers import fact_table, program

FLAGS = flags.FLAGS
flags.declare_key_flag('debug')

_FORMAT = flags.DEFINE_string('format', None, 'minari or rlds.')
_SOURCE = flags.DEFINE_string(
    'source', None, 'Folder of the episodes: the one with a dataset.json.')
_OUTPUT = flags.DEFINE_string(
    'output', None, 'Folder to be made; its name becomes that of the data set, '
    'for Minari with a version at the end.')


def main() -> int:
  """Exports, and says what was written."""
  name = program.require('format', _FORMAT.value, 'minari')
  source = program.require('source', _SOURCE.value, 'data/pong')
  output = program.require('output', _OUTPUT.value, 'minari/pong-v0')
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.offline_data import exporting
  from xtra_tf.offline_data.formats import export_format
  from xtra_tf.runs import StageProgress
  make_target = export_format(name)
  log = exporting.open_log(source)
  with StageProgress(f'Export: {log.task.name}', log.num_rows, unit='rows'
                     ) as progress:
    summary = exporting.export_dataset(log, output, make_target,
                                       progress.update)
  fact_table.show(
      f'{summary.task.name}: exported', exporting.summary_rows(summary),
      [f'Not carried: {note}' for note in summary.not_carried])
  sys.stdout.write(f'{summary.directory}\n')
  return 0


if __name__ == '__main__':
  program.run(main)
