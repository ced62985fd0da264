"""Runs the benchmarks and keeps what they say in docs/.

Results go to docs/benchmarks/results.json, the tables to docs/performance.md
and the chart of the search's cost to docs/images/search_cost.png. A benchmark
that is left out keeps its last results.

Examples:
  python -m benchmarks
  python -m benchmarks --only=search,replay
  python -m benchmarks --only=acting --pairs=31 --threads=1
"""

import datetime
import subprocess
import sys
from typing import Any, Dict, List

from absl import flags

from benchmarks import command, machine, page
from benchmarks.records import Record, row_text
from launchers import program
from xtra_tf.errors import UnreachableError, UsageError, near_names

FLAGS = flags.FLAGS

# {name: arguments after `python -m`}
BENCHMARKS: Dict[str, List[str]] = {
    'search': ['benchmarks.search', '--parts=linear'],
    'network': ['benchmarks.search', '--parts=network'],
    'cost': ['benchmarks.search', '--parts=cost'],
    'acting': ['benchmarks.acting'],
    'replay': ['benchmarks.replay'],
    'learner': ['benchmarks.learner'],
    'load': ['benchmarks.load'],
}

flags.DEFINE_list('only', [], f'Which of {", ".join(BENCHMARKS)}; empty: all.')
flags.adopt_module_key_flags(command)


def main() -> int:
  """Runs what was asked for, one after the other."""
  chosen = FLAGS.only or list(BENCHMARKS)
  for name in chosen:
    if name not in BENCHMARKS:
      raise UsageError(f'There is no benchmark {name!r}. '
                       f'{near_names(name, tuple(BENCHMARKS))}')
  for name in chosen:
    results = page.read_results()
    results[name] = _run(name)
    page.write(results)
  return 0


def _run(name: str) -> Dict[str, Any]:
  """One benchmark in a process of its own; its records as they come."""
  arguments = [*BENCHMARKS[name], f'--pairs={FLAGS.pairs}',
               f'--threads={FLAGS.threads}']
  if FLAGS.batches:
    arguments.append(f'--batches={",".join(FLAGS.batches)}')
  found = machine.describe()
  sys.stdout.write(f'{name}: python -m {" ".join(arguments)}\n')
  sys.stdout.flush()
  records: List[Dict[str, Any]] = []
  with subprocess.Popen([sys.executable, '-m', *arguments, '--json'],
                        stdout=subprocess.PIPE, encoding='utf-8') as process:
    assert process.stdout is not None
    for line in process.stdout:
      fields = page.records_of(line)
      records += fields
      for record in fields:
        sys.stdout.write(f'  {row_text(Record.from_fields(record))}\n')
        sys.stdout.flush()
  if process.returncode:
    raise UnreachableError(f'The benchmark {name} ended with exit code '
                           f'{process.returncode}; see its output above. '
                           'Earlier results of it were kept.')
  return {'command': f'python -m {" ".join(arguments)}', 'machine': found,
          'date': datetime.date.today().isoformat(), 'threads': FLAGS.threads,
          'records': records}


if __name__ == '__main__':
  program.run(main)
