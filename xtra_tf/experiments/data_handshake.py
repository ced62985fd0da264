"""Whether data fit a run, before anything is read or learned from them.

What a column or an action means stands in the header's task; which ROM was
played, and by which discount a search's values were made, in its provenance.
What data do not say of themselves cannot be compared, and is not refused.
"""

from typing import Any, Dict, Mapping, Optional, Sequence

from xtra_tf.environments.atari import rom_md5
from xtra_tf.episodes import EpisodeLog
from xtra_tf.episodes.schema import task_differences
from xtra_tf.errors import IncompatibleDataError, UsageError
from xtra_tf.experiments import data_provenance
from xtra_tf.tasks import TaskSpec

# Columns that are sums of discounted rewards.
_DISCOUNTED = ('root_value', 'bootstrap_value')


def open_log(directory: str, task: TaskSpec, allowed: Sequence[str] = ()
             ) -> EpisodeLog:
  """A task's data, if they fit it.

  Args:
    directory: of the log.
    task: as the run plays it.
    allowed: as of `TaskSettings.allowed_differences`.

  Raises:
    DataFileError: the log is missing or damaged, as far as header and index
      tell.
    IncompatibleDataError: they differ from the task in what is not allowed;
      each field is named with what was expected and found.
  """
  log = EpisodeLog(directory, task, allowed)
  if 'rom_md5' not in allowed:
    differing = _rom_differences(log, task)
    if differing:
      raise IncompatibleDataError(
          f'The episode log {directory} was played with another ROM of '
          f'{task.name}. {differing["rom_md5"]}. {_advice("rom_md5", allowed)}')
  return log


def check_discount(log: EpisodeLog, columns: Sequence[str], discount: float,
                   allowed: Sequence[str] = ()) -> None:
  """Refuses stored values that were made with another discount.

  Args:
    log: with its overlay, if it has one.
    columns: those that will be read.
    discount: of the run, per agent step.
    allowed: as of `TaskSettings.allowed_differences`.

  Raises:
    IncompatibleDataError: naming column and both discounts.
  """
  if 'discount' in allowed:
    return
  for column in columns:
    found = _discount_of(log, column)
    if column in _DISCOUNTED and found is not None and found != discount:
      raise IncompatibleDataError(
          f'The column {column} of the episode log {log.directory} was made '
          f'with another discount. discount: expected {discount!r}, found '
          f'{found!r}. {_advice("discount", allowed)}')


def allowed_ones(log: EpisodeLog, task: TaskSpec) -> Sequence[str]:
  """What is different though the log was opened, for the user to see.

  Args:
    log: opened with `open_log`.
    task: as the run plays it.

  Returns:
    A text for each field, with both values.
  """
  differing = {**task_differences(task, log.task),
               **_rom_differences(log, task)}
  return tuple(differing.values())


def _rom_differences(log: EpisodeLog, task: TaskSpec) -> Dict[str, str]:
  found = data_provenance.value_at(
      log.header.provenance, 'environment', 'rom_md5')
  ours = _rom_of(task) if found is not None else None
  if ours is None or found == ours:
    return {}
  return {'rom_md5': f'rom_md5: expected {ours!r}, found {found!r}'}


def _rom_of(task: TaskSpec) -> Optional[str]:
  """MD5 of the ROM that would be played; None where there is none."""
  if task.family != 'atari':
    return None
  try:
    return rom_md5(task.name)
  except UsageError:  # Offline data can be learned from without an emulator.
    return None


def _discount_of(log: EpisodeLog, column: str) -> Optional[Any]:
  provenance: Mapping[str, Any] = log.provenance_of(column)
  for path in (('search', 'discount'), ('acting', 'search', 'discount')):
    found = data_provenance.value_at(provenance, *path)
    if found is not None:
      return found
  return None


def _advice(field: str, allowed: Sequence[str]) -> str:
  names = ''.join(f'{name!r}, ' for name in (*allowed, field)).strip()
  return ('Choose data that fit, or change the settings to those of the data; '
          'or, if you mean it, allow the difference: '
          f'TaskSettings.allowed_differences = ({names}).')
