"""Whether a server of shared tables serves what a run would sample."""

import dataclasses
from typing import Any, Dict, List, Sequence

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import data_columns, roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.replay import SharedServer
from xtra_tf.tasks import TaskSpec

# The stages that take offline rows, and those that make what they take.
READERS = ('student', 'finetune')
MAKERS = ('data', 'teacher')


def chosen_stages(only: Sequence[str]) -> Sequence[str]:
  """The stages that a run with shared tables has.

  Args:
    only: those that were asked for; none: all that are needed.

  Raises:
    UsageError: a stage was asked for whose result the server has.
  """
  made = [name for name in only if name in MAKERS]
  if made:
    raise UsageError(
        f'--stages asks for {", ".join(made)}, and --offline_address for a '
        'server that has what these make. Expected one of the two.')
  return only or (*READERS, 'scratch')


def check(parts: RunParts, server: SharedServer) -> None:
  """Refuses a server whose tables do not fit the run, before training.

  Args:
    parts: of the run.
    server: whose record fits its tables.

  Raises:
    UsageError: the run cannot use shared tables.
    IncompatibleDataError: a task, setting or column differs; each is named
      with what was expected and found.
  """
  differences: List[str] = []
  for name in READERS:
    replay = parts.stages[name].replay
    if not replay.with_replacement:
      raise UsageError(
          f'ReplaySettings.with_replacement is False in the stage {name}: '
          'windows are then drawn by an index in this process. Expected True '
          'with --offline_address.')
    window = roles.window_spec(parts.target, replay, parts.planner)
    differences += _differences(
        f'{name}: ', {**dataclasses.asdict(window),
                      'block_length': replay.block_length},
        {**dataclasses.asdict(server.record.window),
         'block_length': server.record.block_length})
  for task in parts.sources:
    differences += _task_differences(parts, server, task)
  if differences:
    raise IncompatibleDataError(
        f'The offline tables of {server.address} do not fit this run. '
        + '; '.join(dict.fromkeys(differences)) + '. Start the server with '
        "this run's gin files, or the run with the server's.")


def _task_differences(parts: RunParts, server: SharedServer,
                      task: TaskSpec) -> List[str]:
  """What is wrong with one task's table."""
  table = server.record.tables.get(task.name)
  if table is None:
    served = ', '.join(server.record.tables)
    return [f'{task.name}: expected a table, found those of {served}']
  found = _differences(f'{task.name}: ', task.fingerprint(), table.task)
  for name in READERS:
    needed = data_columns.stored(parts.stages[name].targets)
    if not set(needed) <= set(table.columns):
      found.append(
          f'{task.name}: expected the columns {" and ".join(needed)}, found '
          f'{", ".join(table.columns) or "neither"} (--task_targets of '
          "launchers.replay_server lays a teacher's over the data)")
  return found


def _differences(prefix: str, expected: Dict[str, Any], found: Dict[str, Any]
                 ) -> List[str]:
  """A text for each field in which two descriptions differ."""
  return [f'{prefix}{field}: expected {expected.get(field)!r}, found '
          f'{found.get(field)!r}' for field in sorted({*expected, *found})
          if expected.get(field) != found.get(field)]
