"""The folder of one stage of a run."""

import os
import re
import shutil
from typing import Any, Dict, Optional
from urllib import parse

from xtra_tf.errors import DataFileError
from xtra_tf.runs import atomic

_SIMPLE_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*')


def folder_name(task: str) -> str:
  """A task's name as a folder's; two tasks never share one.

  `tiny:catch` becomes `tiny.catch`, `gym:ALE/Pong-v5` `gym.ALE+Pong-v5`;
  anything else but letters, digits, `_` and `-` becomes %XX.

  Raises:
    ValueError: the name cannot be a folder's.
  """
  quoted = parse.quote(task, safe=':/').replace('.', '%2E').replace('~', '%7E')
  name = quoted.replace(':', '.').replace('/', '+')
  if not name or name.startswith('.'):
    raise ValueError(f'A task cannot be named {task!r}.')
  return name


class StageDirectory:
  """Where a stage keeps its files. Folders are made by whoever fills them.

  Attributes:
    name: e.g. `student`, `finetune/Krull`, with the task's true name.
    path: the folder.
    settings_hash: of the run's settings; empty where they are not known.
    train: folder of checkpoints, manifests and TensorBoard's files.
    checkpoints: folder of TF-Agents' saves.
    manifests: folder of their manifests.
    policies: folder of saved policies.
    episodes: folder of the episode log.
    metrics: folder of the metrics files.
    logs: folder of logs and incidents.
    done: file whose presence says that the stage is complete.
    settings: file of all settings that the stage's outcome depends on.
    evaluations: file of the evaluations made while training.
  """

  def __init__(self, path: str, name: Optional[str] = None,
               settings_hash: str = ''):
    """Initializes the directory; nothing is made on the disk.

    Args:
      path: the stage's folder.
      name: of the stage; the folder's own if not given.
      settings_hash: of the run's settings.
    """
    self.path = os.path.abspath(path)
    self.name = name or os.path.basename(self.path)
    self.settings_hash = settings_hash
    self.train = os.path.join(self.path, 'train')
    self.checkpoints = os.path.join(self.train, 'checkpoints')
    self.manifests = os.path.join(self.train, 'manifests')
    self.policies = os.path.join(self.path, 'policies')
    self.episodes = os.path.join(self.path, 'replay', 'episodes')
    self.metrics = os.path.join(self.path, 'metrics')
    self.logs = os.path.join(self.path, 'logs')
    self.done = os.path.join(self.path, 'done.json')
    self.settings = os.path.join(self.path, 'settings.json')
    self.evaluations = os.path.join(self.path, 'evaluations.jsonl')

  def __fspath__(self) -> str:
    return self.path

  def metrics_file(self, role: str) -> str:
    """Path of a role's metrics file."""
    return os.path.join(self.metrics, f'{role}.jsonl')

  def folder(self, name: str) -> str:
    """Path of a folder of the stage's own.

    Raises:
      ValueError: `name` is not a plain folder name.
    """
    if not _SIMPLE_NAME.fullmatch(name):
      raise ValueError(f'`name` must be a plain folder name, got {name!r}.')
    return os.path.join(self.path, name)

  def fresh_folder(self, name: str) -> str:
    """Empties a folder of the stage's own, or makes it; returns its path.

    Raises:
      ValueError: `name` is not a plain folder name.
      StorageError: it cannot be emptied or made.
    """
    path = self.folder(name)
    try:
      if os.path.isdir(path):
        shutil.rmtree(path)
    except OSError as error:
      raise atomic.storage_error(path, error) from error
    return atomic.make_folder(path)

  def read_done(self) -> Optional[Dict[str, Any]]:
    """The result of a complete stage; None if it is not complete.

    Raises:
      DataFileError: the marker is damaged.
    """
    if not os.path.exists(self.done):
      return None
    result = atomic.read_json(self.done)
    if not isinstance(result, dict):
      raise DataFileError(self.done, 'is damaged: expected a JSON object, '
                          f'found {type(result).__name__}.')
    return result

  def write_done(self, result: Dict[str, Any]) -> None:
    """Marks the stage as complete.

    Args:
      result: JSON-able facts about it.
    """
    atomic.make_folder(self.path)
    atomic.write_json(self.done, result)
