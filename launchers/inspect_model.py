r"""Says how well a checkpoint predicts what happened in recorded games.

Examples:
  python -m launchers.inspect_model --checkpoint=runs/demo/teacher/Phoenix \
      --task=Phoenix --source=runs/demo/data/Phoenix/replay/episodes
  python -m launchers.inspect_model --checkpoint=runs/demo/student \
      --task=Phoenix --source=data/phoenix --states=2048 --output=student.json

States are drawn from the log. Values are held to the discounted rewards until
the life ended, which are those of the player of the log; value prefixes to the
sums of the rewards that followed its actions. Columns with a star are measured
with batch norm as in training: where they differ much from the others, the
running statistics do not fit. The last line that is printed is the path of the
--output, if there is one.
"""

import math
import os
import sys
from typing import Any, Iterator, Tuple

from absl import flags

from launchers import program

FLAGS = flags.FLAGS
flags.declare_key_flag('debug')

_CHECKPOINT = flags.DEFINE_string(
    'checkpoint', None, 'Folder of a checkpoint or of a stage (its newest '
    'save), or one save, .../train/checkpoints/ckpt-<step>.')
_TASK = flags.DEFINE_string('task', None, 'What was played, e.g. Alien.')
_SOURCE = flags.DEFINE_string(
    'source', None, 'Folder of the episodes: the one with a dataset.json.')
_STATES = flags.DEFINE_integer('states', 512, 'States.', lower_bound=2)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the draw of states.')
_OUTPUT = flags.DEFINE_string('output', None, 'File for the numbers, as JSON.')


def main() -> int:
  """Inspects, and says what was found."""
  checkpoint = program.require('checkpoint', _CHECKPOINT.value,
                               'runs/demo/student')
  task = program.require('task', _TASK.value, 'Alien')
  source = program.require('source', _SOURCE.value, 'data/alien')
  _check_output()
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.experiments import model_inspection
  from xtra_tf.runs import write_json
  inspection = model_inspection.prepare(
      checkpoint, task, source, count=_STATES.value, seed=_SEED.value)
  running = inspection.measure()
  batch = inspection.measure(batch_statistics=True)
  _show(inspection, running, batch)
  if _OUTPUT.value:
    write_json(_OUTPUT.value, _record(inspection, source, running, batch))
    sys.stdout.write(f'{_OUTPUT.value}\n')
  return 0


def _check_output() -> None:
  """Refuses to replace a file."""
  if _OUTPUT.value and os.path.exists(_OUTPUT.value):
    from xtra_tf.errors import UsageError
    raise UsageError(f'--output is {_OUTPUT.value}, which exists and would be '
                     'replaced. Expected the name of a new file.')


def _show(inspection: Any, running: Any, batch: Any) -> None:
  """Prints what was predicted beside what came."""
  from rich.console import Console
  from rich.table import Table
  player = inspection.player
  table = Table(
      title=f'{player.task.name}: {player.stage}, gradient step '
      f'{player.checkpoint.step:,}, {len(inspection.states.outcome):,} states')
  table.add_column('')
  for column in ('found', 'predicted', 'R²', 'corr.', 'predicted*', 'R²*'):
    table.add_column(column, justify='right')
  for (name, fit), (_, starred) in zip(_fits(running), _fits(batch)):
    table.add_row(name, *map(_number, (
        fit.found_mean, fit.predicted_mean, fit.r2, fit.correlation,
        starred.predicted_mean, starred.r2)))
  console = Console()
  console.print(table)
  for note in (
      'found, predicted: means. *: batch norm as in training.',
      f'Entropy of the policy: {running.prior_entropy:.3f} nats '
      f'(uniform: {math.log(len(player.task.legal_actions)):.3f}).',
      'Standard deviation of q: '
      f'{running.action_spread:.3f} over the actions of a state, '
      f'{running.state_spread:.3f} over states.'):
    console.print(note, highlight=False)


def _fits(quality: Any) -> Iterator[Tuple[str, Any]]:
  """Names and fits, in the order in which they are shown."""
  yield 'value', quality.value
  for k, fit in enumerate(quality.prefix, start=1):
    yield ('1 reward' if k == 1 else f'{k} rewards'), fit


def _number(value: float) -> str:
  return '-' if math.isnan(value) else f'{value:.3f}'


def _record(inspection: Any, source: str, running: Any, batch: Any) -> Any:
  """What is written; a number that does not exist is null."""
  player = inspection.player
  return {
      'checkpoint': player.checkpoint.path, 'step': player.checkpoint.step,
      'task': player.task.name, 'source': source,
      'states': len(inspection.states.outcome),
      'discount': inspection.discount,
      'running_statistics': _plain(running), 'batch_statistics': _plain(batch)}


def _plain(value: Any) -> Any:
  if hasattr(value, '_asdict'):
    return {name: _plain(x) for name, x in value._asdict().items()}
  if isinstance(value, tuple):
    return [_plain(x) for x in value]
  return None if math.isnan(value) else value


if __name__ == '__main__':
  program.run(main)
