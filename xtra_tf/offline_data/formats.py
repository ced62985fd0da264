"""The formats that can be imported and exported, by name."""

from typing import Callable, Dict

from xtra_tf.episodes.schema import Header
from xtra_tf.errors import UsageError, near_names
from xtra_tf.offline_data.dqn_replay import DqnReplay
from xtra_tf.offline_data.efficientzero_replay import EfficientZeroReplay
from xtra_tf.offline_data.exporting import ExportTarget
from xtra_tf.offline_data.importing import ImportSource
from xtra_tf.offline_data.minari_source import MinariSource
from xtra_tf.offline_data.minari_target import MinariTarget
from xtra_tf.offline_data.rlds_source import RldsSource
from xtra_tf.offline_data.rlds_target import RldsTarget

FORMATS: Dict[str, Callable[[str, str], ImportSource]] = {
    'dqn_replay': DqnReplay,
    'efficientzero': EfficientZeroReplay,
    'minari': MinariSource,
    'rlds': RldsSource,
}

EXPORT_FORMATS: Dict[str, Callable[[Header, str], ExportTarget]] = {
    'minari': MinariTarget,
    'rlds': RldsTarget,
}


def open_source(name: str, path: str, task: str) -> ImportSource:
  """Opens a data set in a foreign format and checks what can be checked soon.

  Args:
    name: one of FORMATS.
    path: of the data set.
    task: what was played, e.g. `Pong`.

  Raises:
    UsageError: no such format or task.
    DataFileError: files are missing or damaged.
    IncompatibleDataError: files do not fit each other or the task.
  """
  if name not in FORMATS:
    raise UsageError(f'Unknown format {name!r}. ' + near_names(name, FORMATS))
  return FORMATS[name](path, task)


def export_format(name: str) -> Callable[[Header, str], ExportTarget]:
  """What makes the target of an export; takes the log's header and a name.

  Args:
    name: one of EXPORT_FORMATS.

  Raises:
    UsageError: no such format.
  """
  if name not in EXPORT_FORMATS:
    raise UsageError(f'Unknown format {name!r}. '
                     + near_names(name, EXPORT_FORMATS))
  return EXPORT_FORMATS[name]
