r"""Makes the report of an experiment from its raw results.

Examples:
  python -m launchers.report --results_dir=results/mini --output=reports/mini
  python -m launchers.report --results_dir=results/mini \
      --results_dir=results/mini_more_seeds --output=reports/mini

Several folders count as one experiment: more seeds, targets or methods of the
same protocol. Folders of different settings are refused. The report can be made
at any time: what was not run, and what failed, is listed in it. The last line
that is printed is the path of the page; figures (PNG and SVG) and tables (csv)
lie beside it.
"""

import shlex
import sys

from absl import flags

from launchers import program

FLAGS = flags.FLAGS
flags.declare_key_flag('debug')

_RESULTS = flags.DEFINE_multi_string(
    'results_dir', [], 'Folder of the results of an experiment, the one with '
    'an experiment.json. May be given more than once.')
_OUTPUT = flags.DEFINE_string(
    'output', None, 'Folder for the report, index.html; made if need be.')
_RESAMPLES = flags.DEFINE_integer(
    'resamples', 2000, 'Resamples of each bootstrap interval; 50000 for print.',
    lower_bound=100)


def main() -> int:
  """Makes the report, and says where it is."""
  program.require('results_dir', ''.join(_RESULTS.value), 'results/mini')
  output = program.require('output', _OUTPUT.value, 'reports/mini')
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.evaluation import report
  command = shlex.join(['python', '-m', 'launchers.report', *sys.argv[1:]])
  path = report.write_experiment_report(
      _RESULTS.value, output, command, _RESAMPLES.value)
  sys.stdout.write(f'{path}\n')
  return 0


if __name__ == '__main__':
  program.run(main)
