"""Whether a server of shared tables serves what a run would sample."""

import dataclasses
from typing import Dict, List, Mapping, Sequence

from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import (
  configuration,
  data_columns,
  roles,
  teacher_targets,
)
from xtra_tf.experiments.remote_hosts import is_this_host
from xtra_tf.experiments.roles import RunParts
from xtra_tf.replay import SharedServer
from xtra_tf.runs import differences
from xtra_tf.tasks import TaskSpec

# The stages that take offline rows, and those that make what they take.
READERS = ('student', 'finetune')
MAKERS = ('data', 'teacher')
_FACT = 'offline:'


def chosen_stages(only: Sequence[str]) -> Sequence[str]:
  """The stages that a run with shared tables has.

  Args:
    only: those that were asked for; none: all that are needed.

  Raises:
    UsageError: a stage was asked for whose result the server has, or that
      cannot use its tables.
  """
  if 'cloning' in only:
    raise UsageError(
        '--stages asks for cloning, which cannot learn from the tables of '
        '--offline_address. Expected the data themselves: --task_data=TASK=DIR '
        'or --from_run=data=DIR.')
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
    UsageError: the run cannot use shared tables, or is on another host than
      the server allows.
    IncompatibleDataError: a task, setting or column differs; each is named
      with what was expected and found.
  """
  if not server.record.remote and not is_this_host(server.address):
    raise UsageError(
        f'The replay server {server.address} is on another host and was '
        'started without --allow_remote, for its own host alone. Expected '
        'launchers.replay_server --allow_remote there, or an SSH tunnel to it '
        'and --offline_address=localhost:PORT here.')
  record, found = server.record, differences(
      {'discount': configuration.discount_of(parts.planner)},
      {'discount': server.record.discount})
  for name in READERS:
    replay = parts.stages[name].replay
    if not replay.with_replacement:
      raise UsageError(
          f'ReplaySettings.with_replacement is False in the stage {name}: '
          'windows are then drawn by an index in this process. Expected True '
          'with --offline_address.')
    window = roles.window_spec(parts.target, replay, parts.planner)
    found += differences(
        {name: {**dataclasses.asdict(window),
                'block_length': replay.block_length}},
        {name: {**dataclasses.asdict(record.window),
                'block_length': record.block_length}}, either=True)
  for task in parts.sources:
    found += _task_differences(parts, server, task)
  if found:
    raise IncompatibleDataError(
        f'The offline tables of {server.address} do not fit this run. '
        + '; '.join(dict.fromkeys(found)) + '. Start the server with '
        "this run's gin files, or the run with the server's.")


def _task_differences(parts: RunParts, server: SharedServer,
                      task: TaskSpec) -> List[str]:
  """What is wrong with one task's table."""
  table = server.record.tables.get(task.name)
  if table is None:
    served = ', '.join(server.record.tables)
    return [f'{task.name}: expected a table, found those of {served}']
  expected_task, found_task = (
      {task.name: {field: value for field, value in fields.items()
                   if field not in parts.allowed_differences}}
      for fields in (task.fingerprint(), table.task))
  found = differences(expected_task, found_task, either=True)
  if table.targets:
    expected = {'data': table.data, **teacher_targets.conditions_of(parts)}
    found += [f'{task.name}, its targets: {phrase}' for phrase in
              teacher_targets.stale_fields(
                  f'{server.address}, {task.name}', expected, table.teacher)]
  for name in READERS:
    needed = data_columns.stored(parts.stages[name].targets)
    if not set(needed) <= set(table.columns):
      found.append(
          f'{task.name}: expected the columns {" and ".join(needed)}, found '
          f'{", ".join(table.columns) or "neither"} (--task_targets of '
          "launchers.replay_server lays a teacher's over the data)")
  return found


def facts(parts: RunParts, server: SharedServer) -> Dict[str, str]:
  """Settings of a run that say which data a server has, wherever it is.

  A run that is gone on with is refused if they have changed, like all settings.
  """
  named = {}
  for task in parts.sources:
    table = server.record.tables[task.name]
    named[f'{_FACT}{task.name}:data'] = table.data
    if table.targets:
      named[f'{_FACT}{task.name}:targets'] = table.targets
      named[f'{_FACT}{task.name}:teacher'] = str(
          table.teacher.get('teacher_weights', 'not named'))
  return named


def facts_in(settings: Mapping[str, str]) -> Dict[str, str]:
  """Those of a run's settings that `facts` gave."""
  return {name: value for name, value in settings.items()
          if name.startswith(_FACT)}
