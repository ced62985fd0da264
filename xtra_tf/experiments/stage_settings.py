"""All that a stage's outcome depends on, so that runs can share stages.

Source data depend on their game and the settings of the stage `data`, a teacher
on its data too, the student on all teachers, behaviour cloning on all data.
None depends on the target.
"""

import dataclasses
import os
from typing import Any, Dict, Mapping

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import DataFileError
from xtra_tf.experiments import data_provenance
from xtra_tf.experiments.roles import RunParts
from xtra_tf.runs import StageDirectory, make_folder, read_json, write_json
from xtra_tf.runs.run_directory import WITHOUT_TASK

# Stages that runs with other targets or other finetuning can share.
SHAREABLE = ('data', 'teacher', 'student', 'cloning')
# How often something is written, not what.
_NO_MATTER = ('log_interval',)


def of_stage(parts: RunParts, name: str,
             task_data: Mapping[str, str]) -> Dict[str, str]:
  """The settings of a stage and of those that it starts from.

  Args:
    parts: of the run.
    name: e.g. `teacher/Alien`, `student`.
    task_data: {task: folder} of data that the user brought; their content
      stands for how they were made.

  Returns:
    {setting: value as text}; the same for two runs whose stages are the same.
  """
  kind, _, task = name.partition('/')
  if kind not in SHAREABLE:
    # A target's stage is nobody else's: its own settings suffice.
    return _flat(kind, _own(parts, kind))
  if kind in WITHOUT_TASK:
    found = {f'{kind}.sources': repr([t.name for t in parts.sources]),
             **_flat(kind, _own(parts, kind))}
    before = 'teacher'
    if kind == 'cloning':
      before = 'data'
      found[f'{kind}.data_share'] = repr(parts.data_share)
    for source in parts.sources:
      found.update(of_stage(parts, f'{before}/{source.name}', task_data))
    return found
  if kind == 'teacher':
    own = {**_own(parts, 'teacher'), 'data_share': parts.data_share,
           'pass': dataclasses.asdict(parts.teacher_pass)}
    return {**_flat(name, own),
            **of_stage(parts, f'data/{task}', task_data)}
  if task in task_data:
    return {f'{name}.digest': EpisodeLog(task_data[task]).digest()}
  spec = {t.name: t for t in parts.sources}[task]
  return _flat(name, {**_own(parts, 'data'), 'task': spec.fingerprint()})


def write(parts: RunParts, directory: StageDirectory,
          task_data: Mapping[str, str]) -> None:
  """Keeps a stage's settings beside it."""
  make_folder(os.path.dirname(directory.settings))
  write_json(directory.settings, of_stage(parts, directory.name, task_data))


def read(directory: StageDirectory) -> Dict[str, str]:
  """A stage's settings as they were written.

  Raises:
    DataFileError: they are missing or damaged.
  """
  settings = read_json(directory.settings)
  if not isinstance(settings, dict):
    raise DataFileError(directory.settings, 'holds no settings of a stage.')
  return settings


def _own(parts: RunParts, kind: str) -> Dict[str, Any]:
  """What a stage reads itself, but for its task."""
  settings = dataclasses.asdict(parts.stages[kind])
  for name in _NO_MATTER:
    settings['stage'].pop(name)
  return {'seed': parts.seed_of(kind), 'codec': parts.description['codec'],
          'network': parts.description['config'],
          'search': data_provenance.of_planner(parts.planner), **settings}


def _flat(prefix: str, nested: Mapping[str, Any]) -> Dict[str, str]:
  flat: Dict[str, str] = {}
  for name, value in nested.items():
    if isinstance(value, Mapping):
      flat.update(_flat(f'{prefix}.{name}', value))
    else:
      flat[f'{prefix}.{name}'] = repr(
          list(value) if isinstance(value, (tuple, list)) else value)
  return flat
