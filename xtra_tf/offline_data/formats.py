"""The formats that can be imported, by name."""

from typing import Callable, Dict

from xtra_tf.errors import UsageError, near_names
from xtra_tf.offline_data.dqn_replay import DqnReplay
from xtra_tf.offline_data.efficientzero_replay import EfficientZeroReplay
from xtra_tf.offline_data.importing import ImportSource

FORMATS: Dict[str, Callable[[str, str], ImportSource]] = {
    'dqn_replay': DqnReplay,
    'efficientzero': EfficientZeroReplay,
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
