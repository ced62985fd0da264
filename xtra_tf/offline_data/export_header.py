"""What our own exports say of themselves, beyond the fields of the format.

It travels as plain JSON among the format's free metadata, so that an import
gets back the task, the columns and the provenance.
"""

from typing import Any, Dict, Optional

from xtra_tf.episodes.schema import OPTIONAL_COLUMNS, Header
from xtra_tf.errors import DataFileError, IncompatibleDataError, UsageError
from xtra_tf.tasks import TaskSpec, get_task

KEY = 'xtra_tf'  # of the metadata
_VERSION = 1
# Columns of a log that neither format has a field for, or none for the last
# row. `reward` is the learned one; the format's own reward is the raw one.
ROW_COLUMNS = ('reward', 'raw_reward', 'terminal', 'truncated', 'life_loss',
               'real', 'has_search', 'env_step')


def encode(header: Header) -> Dict[str, Any]:
  """The description of a log, for the format's metadata."""
  return {'version': _VERSION, 'task': header.task.to_json(),
          'columns': list(header.columns),
          'provenance': dict(header.provenance)}


def decode(path: str, metadata: Any, task: str) -> Optional[Header]:
  """What `encode` has written, or None for data of other origin.

  Args:
    path: of the metadata, for messages.
    metadata: of the format.
    task: what the user says was played.

  Raises:
    DataFileError: it is damaged, or of an unknown version.
    IncompatibleDataError: it is of another task, or has other actions.
    UsageError: no such task.
  """
  if not isinstance(metadata, dict) or KEY not in metadata:
    return None
  content = metadata[KEY]
  if not isinstance(content, dict) or content.get('version') != _VERSION:
    found = content.get('version') if isinstance(content, dict) else content
    raise DataFileError(path, f'the field {KEY!r} has version {found!r}.',
                        hint=f'Expected version {_VERSION}.')
  try:
    spec = TaskSpec.from_json(content['task'])
    header = Header(spec, tuple(content['columns']),
                    provenance=dict(content['provenance']))
  except (KeyError, TypeError, ValueError, UsageError) as error:
    raise DataFileError(
        path, f'the field {KEY!r} has an impossible value: {error!r}.',
        hint='Copy the data set anew.') from error
  if spec.name != task:
    raise IncompatibleDataError(f'{path}: these are data of {spec.name}. '
                                f'Expected data of {task}.')
  known = get_task(task)
  for field in ('num_actions', 'legal_actions', 'observation_dtype'):
    if getattr(spec, field) != getattr(known, field):
      raise IncompatibleDataError(
          f'{path}: {task} has {field} {getattr(spec, field)}, expected '
          f'{getattr(known, field)}.')
  return header


def row_columns(header: Header) -> Dict[str, str]:
  """{column of a log: NumPy type} that an export stores beside the format's."""
  numbers = {'reward': 'float32', 'raw_reward': 'float32',
             'env_step': 'int64'}
  columns = {name: numbers.get(name, 'bool') for name in ROW_COLUMNS}
  return {**columns, **{name: 'float32' for name in OPTIONAL_COLUMNS
                        if name in header.columns}}
