"""The command line that all benchmarks share.

A benchmark's own module calls `flags.adopt_module_key_flags` with this one, so
that its --help shows these flags.
"""

import os
import sys
from typing import Callable, Iterator, NamedTuple, Tuple

from absl import flags

from benchmarks.party import processors
from benchmarks.records import Record, row_text
from launchers import program
from xtra_tf.errors import UsageError

FLAGS = flags.FLAGS

flags.DEFINE_bool('json', False, 'Print one JSON object a line.')
flags.DEFINE_integer('pairs', 15, 'Samples of each party.')
flags.DEFINE_integer('threads', min(2, len(os.sched_getaffinity(0))),
                     'Processors that each party may use.')
flags.DEFINE_list('batches', [], 'Batch sizes; empty: those of the goals.')


class Effort(NamedTuple):
  """How much is measured, and with what."""
  pairs: int  # samples of each party
  threads: int  # processors that each party has
  batches: Tuple[int, ...]  # empty: those of the benchmark


def run(measure: Callable[[Effort], Iterator[Record]]) -> None:
  """Measures, and prints every record as it comes."""
  def main() -> int:
    for record in measure(_effort()):
      sys.stdout.write((record.to_line() if FLAGS.json else row_text(record))
                       + '\n')
      sys.stdout.flush()
    return 0

  program.run(main)


def _effort() -> Effort:
  if FLAGS.pairs < 1:
    raise UsageError(f'--pairs must be at least 1, got {FLAGS.pairs}.')
  if len(processors(FLAGS.threads)) != FLAGS.threads:
    raise UsageError(f'--threads={FLAGS.threads}, but there are '
                     f'{len(os.sched_getaffinity(0))} processors.')
  if not all(batch.isdigit() and int(batch) for batch in FLAGS.batches):
    raise UsageError('--batches must be whole numbers above 0, got '
                     f'{",".join(FLAGS.batches)}.')
  return Effort(FLAGS.pairs, FLAGS.threads, tuple(map(int, FLAGS.batches)))
