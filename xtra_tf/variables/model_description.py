"""model.json: what a checkpoint's model is like, beside its weights."""

import json
import os
from typing import Any, Dict, List, Mapping

from xtra_tf.errors import CheckpointError
from xtra_tf.runs import make_folder, read_json, write_json

_NAME = 'model.json'


def description_path(stage_dir: str) -> str:
  """Where the description of a stage's model is."""
  return os.path.join(stage_dir, _NAME)


def save_model_description(stage_dir: str,
                           description: Mapping[str, Any]) -> str:
  """Writes model.json; where there is one already, it must say the same.

  The fidelity profile says how a model is trained, not what it is: a run that
  goes on with another one has the newer name.

  Args:
    stage_dir: the stage's folder, made if need be.
    description: JSON-able; as `world_model.description()`, and more.

  Returns:
    The file's path.

  Raises:
    CheckpointError: the folder belongs to another model; shows what differs.
    StorageError: no space, no permission.
  """
  path = description_path(stage_dir)
  if os.path.exists(path):
    # Tuples come back from JSON as lists.
    new = json.loads(json.dumps(description))
    old = load_model_description(stage_dir)
    changes = _changes('', {**old, 'profile': new.get('profile')}, new)
    if changes:
      lines = '\n'.join(f'  {change}' for change in changes)
      raise CheckpointError(
          f'{path} describes another model:\n{lines}\nExpected the same model '
          'as before. Take the settings back, or choose another folder.')
    if old != new:
      write_json(path, new)
    return path
  make_folder(stage_dir)
  write_json(path, dict(description))
  return path


def load_model_description(stage_dir: str) -> Dict[str, Any]:
  """Reads model.json.

  Raises:
    CheckpointError: there is none, or it describes nothing.
    DataFileError: it is damaged.
  """
  path = description_path(stage_dir)
  if not os.path.exists(path):
    raise CheckpointError(
        f'{stage_dir} has no {_NAME}. Expected the folder of a stage or an '
        'exported checkpoint, with the description of its model.')
  description = read_json(path)
  if not isinstance(description, dict) or 'family' not in description:
    raise CheckpointError(
        f'{path} does not describe a model. Expected an object with `family`.')
  return description


def _changes(name: str, old: Any, new: Any) -> List[str]:
  if isinstance(old, dict) and isinstance(new, dict):
    return [change for key in sorted({*old, *new})
            for change in _changes(f'{name}.{key}' if name else key,
                                   old.get(key), new.get(key))]
  return [] if old == new else [f'{name}: {old} -> {new}']
