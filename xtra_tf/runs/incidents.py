"""What went wrong and was dealt with without asking: one file each."""

import datetime
import os
import re
from typing import Any, Dict, List, Optional

from absl import logging

from xtra_tf.errors import StorageError
from xtra_tf.runs import atomic


def record_incident(logs_dir: str, kind: str, **fields: Any) -> Optional[str]:
  """Writes an incident and warns in the log.

  An incident that cannot be written (a full disk may be the incident) is
  logged only: it must not stop what is being rescued.

  Args:
    logs_dir: the stage's logs folder; incidents go to `incidents/` in it.
    kind: one word with hyphens, e.g. `older-checkpoint`.
    **fields: JSON-able facts.

  Returns:
    Path of the incident file, or None if it could not be written.

  Raises:
    ValueError: `kind` is not fit for a file name.
  """
  if not re.fullmatch(r'[a-z0-9-]+', kind):
    raise ValueError('`kind` must be lower-case words joined by hyphens, got '
                     f'{kind!r}.')
  logging.warning('Incident %s: %s', kind, fields)
  now = datetime.datetime.now(datetime.timezone.utc)
  folder = os.path.join(logs_dir, 'incidents')
  path = os.path.join(folder, f'{now:%Y%m%dT%H%M%S.%f}-{kind}.json')
  try:
    atomic.make_folder(folder)
    atomic.write_json(path, {
        'kind': kind, 'time': now.isoformat(timespec='seconds'), **fields})
  except StorageError as error:
    logging.error('The incident could not be written: %s', error)
    return None
  return path


def read_incidents(logs_dir: str) -> List[Dict[str, Any]]:
  """All incidents of a stage, oldest first.

  Raises:
    DataFileError: an incident file is damaged.
  """
  folder = os.path.join(logs_dir, 'incidents')
  if not os.path.isdir(folder):
    return []
  return [atomic.read_json(os.path.join(folder, name))
          for name in sorted(os.listdir(folder))
          if name.endswith('.json') and not name.startswith('.')]
