"""Stages that a run takes over from other runs instead of making them anew."""

import os
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import IncompatibleDataError, UsageError, near_names
from xtra_tf.experiments import data_provenance, stage_settings
from xtra_tf.experiments.roles import RunParts
from xtra_tf.runs import RunDirectory, StageDirectory, compare_settings
from xtra_tf.runs.run_directory import WITHOUT_TASK
from xtra_tf.variables import resolve_checkpoint

_SHOWN_DIFFERENCES = 8


class Parent(NamedTuple):
  """A run whose stages are taken over."""
  directory: RunDirectory
  stages: Optional[Sequence[str]]  # kinds; None: all that are done there


def parse(texts: Sequence[str]) -> List[Parent]:
  """The parents that flags name, `DIR` or `STAGE[,STAGE]=DIR`.

  Raises:
    UsageError: no run, or a stage that cannot be taken over.
  """
  parents = []
  for text in texts:
    names, separator, folder = text.rpartition('=')
    kinds = names.split(',') if separator else None
    for kind in kinds or ():
      if kind not in stage_settings.SHAREABLE:
        raise UsageError(
            f'--from_run is {text!r}: the stage {kind!r} cannot be taken from '
            f'another run. {near_names(kind, stage_settings.SHAREABLE)}')
    directory = RunDirectory(folder)
    if not os.path.isfile(directory.run_json):
      raise UsageError(f'--from_run names {folder}, which is no run: it has no '
                       'run.json. Expected the --root_dir of another run.')
    parents.append(Parent(directory, kinds))
  return parents


def find(parts: RunParts, directory: RunDirectory, parents: Sequence[Parent],
         task_data: Mapping[str, str]) -> Dict[str, Dict[str, str]]:
  """What a run takes over: the first parent that has a stage gives it.

  Args:
    parts: of the run.
    directory: of the run.
    parents: where to look.
    task_data: {task: folder} of data that the user brought.

  Returns:
    {stage: {folder relative to the run's, digest, run}}, as of
    `RunDirectory.inherit`. The digest is of the data, or of the weights of a
    teacher or student.

  Raises:
    IncompatibleDataError: a stage was made with other settings; each is named.
    UsageError: a named stage is not done there, or the run has one of its own.
  """
  taken: Dict[str, Dict[str, str]] = {}
  for parent in parents:
    for name in _names(parts, task_data):
      kind, _, task = name.partition('/')
      if name in taken or (parent.stages is not None
                           and kind not in parent.stages):
        continue
      stage = parent.directory.stage(kind, task or None)
      if stage.read_done() is None:
        continue
      _check_own(directory, name)
      _check_settings(parts, stage, task_data)
      taken[name] = {
          'folder': os.path.relpath(stage.path, directory.path),
          'digest': digest(stage), 'run': parent.directory.run_id}
  _check_all_found(parts, parents, taken, task_data)
  return taken


def digest(stage: StageDirectory) -> str:
  """What a finished stage made, in 64 hex digits: data or weights."""
  if stage.name.startswith('data/'):
    return EpisodeLog(stage.episodes).digest()
  return data_provenance.weights_digest(resolve_checkpoint(stage.path))


def _names(parts: RunParts, task_data: Mapping[str, str]) -> List[str]:
  """All stages of a run that could be taken over."""
  sources = [task.name for task in parts.sources]
  return [*(f'data/{name}' for name in sources if name not in task_data),
          *(f'teacher/{name}' for name in sources), *WITHOUT_TASK]


def _check_own(directory: RunDirectory, name: str) -> None:
  kind, _, task = name.partition('/')
  own = RunDirectory(directory.path).stage(kind, task or None)
  inside = os.path.commonpath([own.path, directory.path]) == directory.path
  if inside and os.path.isdir(own.path):
    raise UsageError(
        f'{directory.path} has a stage {name} of its own, and --from_run would '
        'take its place. Expected another --root_dir, or --from_run without '
        'this stage, e.g. --from_run=data=DIR.')


def _check_settings(parts: RunParts, stage: StageDirectory,
                    task_data: Mapping[str, str]) -> None:
  changes = compare_settings(
      stage_settings.read(stage),
      stage_settings.of_stage(parts, stage.name, task_data))
  if changes:
    # The stage's own first: what it starts from often differs as a whole.
    changes.sort(
        key=lambda c: (not c.name.startswith(f'{stage.name}.'), c.name))
    shown = '\n'.join(f'  {change}' for change in changes[:_SHOWN_DIFFERENCES])
    more = len(changes) - _SHOWN_DIFFERENCES
    raise IncompatibleDataError(
        f'{stage.path} was made with other settings than this run has:\n'
        f'{shown}\n' + (f'  and {more} more\n' if more > 0 else '')
        + 'Expected the same, or --from_run without this stage, e.g. '
        '--from_run=data=DIR.')


def _check_all_found(parts: RunParts, parents: Sequence[Parent],
                     taken: Mapping[str, Dict[str, str]],
                     task_data: Mapping[str, str]) -> None:
  """A kind that was asked for by name must be there for some task at least."""
  kinds = {name.partition('/')[0] for name in taken}
  for parent in parents:
    for kind in parent.stages or ():
      if kind not in kinds and any(
          name.startswith(kind) for name in _names(parts, task_data)):
        raise UsageError(
            f'--from_run asks for the stage {kind} of {parent.directory.path}, '
            'which is not done there for any source task of this run '
            f'({", ".join(t.name for t in parts.sources) or "none"}).')
