"""Which stored columns a stage's targets need, and whether a log has them.

A replay table holds zeros for a column that its log lacks. As a value or a
search a zero is a lie, so a log without what its targets read is refused.
"""

from typing import Tuple

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.experiments.settings import StageSettings
from xtra_tf.targets import TargetSettings


def stored(settings: TargetSettings) -> Tuple[str, ...]:
  """Columns that stored targets read, see `targets.StoredTargets`."""
  literal = settings.stored_value == 'root_value'
  return ('search', 'root_value' if literal else 'bootstrap_value')


def reanalyzed(settings: StageSettings) -> Tuple[str, ...]:
  """Columns that reanalyzed targets read: of the rows that are left as stored.

  Args:
    settings: of the stage.

  Returns:
    Names of optional columns; none if all rows are reanalyzed.
  """
  if settings.value_reanalyze_ratio < 1.:
    return ('search', 'root_value')
  return ('search',) if settings.policy_reanalyze_ratio < 1. else ()


def check(log: EpisodeLog, needed: Tuple[str, ...], reader: str) -> None:
  """Refuses a log that lacks a column.

  Args:
    log: with its overlay, if it has one.
    needed: names of optional columns.
    reader: who needs them, for the message, e.g. `Stored targets`.

  Raises:
    IncompatibleDataError: naming the log and what it lacks.
  """
  missing = [column for column in needed if column not in log.columns]
  if missing:
    raise IncompatibleDataError(
        f'The episode log {log.directory} of {log.task.name} has no '
        f'{" and no ".join(missing)}. {reader} read {" and ".join(needed)}; '
        f'found {", ".join(log.columns) or "neither"}. Expected a log with '
        "these columns, or a teacher's targets laid over it.")
