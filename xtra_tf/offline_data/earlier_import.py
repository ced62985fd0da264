"""What an import that was killed has left; whether it is of the same data."""

import json
import os
import shutil
from typing import Any, Mapping, Optional

import numpy as np

from xtra_tf.episodes import Episode, EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.episodes.schema import header_path, read_header
from xtra_tf.errors import DataFileError, UsageError
from xtra_tf.tasks import TaskSpec

# Compared between what was written and what the source says now. Frames cost
# the most and are left out.
_COMPARED = ('action', 'reward', 'raw_reward', 'terminal', 'truncated',
             'life_loss', 'env_step')
_OURS = ('data', 'run.lock', 'run.pid')


def check_is_ours(folder: str) -> None:
  """Refuses to work in a folder that no import has made.

  Raises:
    UsageError: it is a link, a file, or holds other things.
  """
  if not os.path.lexists(folder):
    return
  if os.path.islink(folder) or not os.path.isdir(folder):
    found = ['it is no folder']
  else:
    found = sorted(n for n in os.listdir(folder)
                   if n not in _OURS and not n.endswith('.tmp'))
    data = os.path.join(folder, 'data')
    if os.path.islink(data) or (os.path.isdir(data) and os.listdir(data)
                                and not _made_by_an_import(data)):
      found.append('data')
  if found:
    raise UsageError(
        f'{folder} is where this import would write until it is whole, but '
        f'no import has made it: {", ".join(found[:5])}. Expected that name to '
        'be free: move it away, or choose another --output.')


def _made_by_an_import(directory: str) -> bool:
  """Whether a folder is an import's, or what one leaves that had just begun."""
  if not os.path.exists(header_path(directory)):
    return all(name.startswith('dataset.json.')
               for name in os.listdir(directory))
  try:
    return 'imported_by' in read_header(directory).provenance
  except DataFileError:
    return False


class EarlierImport:
  """The whole episodes of an import that was killed."""

  def __init__(self, directory: str, source: Any, task: TaskSpec,
               provenance: Mapping[str, Any]):
    """Finds them; data of another source or version are deleted.

    Args:
      directory: where the import writes.
      source: an ImportSource.
      task: as its frames shall be stored.
      provenance: that the header is to have.
    """
    self._path = source.path
    self._directory = directory
    self._left = 0  # episodes that the source has not come to yet
    self._row = 0
    self._episode: Optional[Episode] = None
    if not os.path.exists(header_path(directory)):
      shutil.rmtree(directory, ignore_errors=True)
      return
    if not self._is_of(source, task, provenance):
      shutil.rmtree(directory)
      return
    try:
      # Drops what a kill has left half written.
      EpisodeLogWriter(directory, task, source.columns, drop_open=True).close()
      log = EpisodeLog(directory)
    except DataFileError:  # Made again it is as good as before.
      shutil.rmtree(directory)
      return
    self._left = log.num_episodes
    self._episodes = log.episodes()

  def _is_of(self, source: Any, task: TaskSpec,
             provenance: Mapping[str, Any]) -> bool:
    header = read_header(self._directory)
    # As JSON gives it back: tuples as lists.
    expected = json.loads(json.dumps(dict(provenance)))
    return (header.task == task and header.provenance == expected
            and set(header.columns) == set(source.columns))

  def has(self, row: StepRow, end: Optional[str]) -> bool:
    """Whether a row was written already; to be asked row by row, in order.

    Args:
      row: of the source.
      end: how the episode ends with it, if it does.

    Raises:
      DataFileError: what was written is not what the source says now.
    """
    if not self._left:
      return False
    if self._episode is None:
      self._row = 0
      try:
        self._episode = next(self._episodes)
      except DataFileError as error:
        raise self._differs() from error
    episode, index = self._episode, self._row
    last = index == len(episode.real) - 1
    same = index < len(episode.real) and (end == episode.end if last
                                          else end is None)
    # Of a cut episode's last row only the observation is kept.
    for name in ('env_step',) if last else _COMPARED:
      if same:
        kept = getattr(episode, name)[index]
        same = bool(kept == np.asarray(getattr(row, name)).astype(kept.dtype))
    if not same:
      raise self._differs()
    self._row += 1
    if last:
      self._episode = None
      self._left -= 1
    return True

  def check_all_met(self) -> None:
    """Refuses a source that ended before what was written of it.

    Raises:
      DataFileError: it did.
    """
    if self._left or self._episode is not None:
      raise self._differs()

  def _differs(self) -> DataFileError:
    return DataFileError(
        self._path, 'the data are not those that an interrupted import has '
        f'begun with (episode {self._episode.number if self._episode else 0}, '
        f'row {self._row}). What it had written was removed.',
        hint='The same command now begins anew.')
