r"""Says what a set of episodes holds, as a table and as a page.

Examples:
  python -m launchers.inspect_dataset --source=data/alien
  python -m launchers.inspect_dataset --source=data/alien --output=pages/alien

Every record is read and every checksum verified: a byte that changed after the
set was written is found, and the file and record named (exit code 65). With
--output there is a page too, with a histogram of the returns, the actions and
some frames; its path is the last line that is printed.
"""

import sys

from absl import flags

from launchers import fact_table, program

FLAGS = flags.FLAGS
flags.declare_key_flag('debug')

_SOURCE = flags.DEFINE_string(
    'source', None, 'Folder of the episodes: the one with a dataset.json.')
_TARGETS = flags.DEFINE_string(
    'targets', None, "Folder of a teacher's targets for these episodes; they "
    'are verified with them.')
_OUTPUT = flags.DEFINE_string(
    'output', None, 'Folder for the page, index.html; made if need be.')


def main() -> int:
  """Inspects, and says what was found."""
  source = program.require('source', _SOURCE.value, 'data/alien')
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.evaluation import data_page
  from xtra_tf.offline_data import inspection
  from xtra_tf.runs import StageProgress
  total = inspection.stored_rows(source)
  with StageProgress('Inspecting', total=total, unit='rows') as progress:
    found = inspection.inspect(source, progress.update, _TARGETS.value)
  fact_table.show(f'{found.task.name}: {source}', data_page.facts(found),
                  [f'Note: {fault}' for fault in found.faults])
  if _OUTPUT.value:
    sys.stdout.write(f'{data_page.write(found, _OUTPUT.value)}\n')
  return 0


if __name__ == '__main__':
  program.run(main)
