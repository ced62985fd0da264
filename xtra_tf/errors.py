"""The errors that a user can cause, and the exit code of each.

Every message names what was wrong, what was expected, what was found and what
would be accepted. Launchers print it in one paragraph and end with the code.
"""

import difflib
import signal
from typing import Iterable, Optional

EXIT_USAGE = 2  # unknown flag, task, gin name; settings that clash
EXIT_BAD_DATA = 65
EXIT_UNREACHABLE = 69
EXIT_NON_FINITE = 70
EXIT_IO = 74
EXIT_INTERRUPTED = 130


class UserError(Exception):
  """Base class. Its text is written for the user, not for a programmer."""

  exit_code = EXIT_USAGE


class UsageError(UserError):
  """A setting, flag or name that cannot be meant."""


class SettingsChangedError(UserError):
  """A root_dir holds a run with other settings."""


class DataFileError(UserError):
  """A data file that is damaged, incomplete or of another kind.

  One type for all formats. The message names the file, the record or offset
  where there is one, what is wrong with it and what to do.
  """

  exit_code = EXIT_BAD_DATA

  def __init__(self, path: str, reason: str, *, record: Optional[int] = None,
               offset: Optional[int] = None, hint: str = ''):
    self.path = str(path)
    self.reason = reason
    self.record = record
    self.offset = offset
    place = self.path
    if record is not None:
      place += f', record {record}'
    if offset is not None:
      place += f', byte {offset}'
    super().__init__(f'{place}: {reason}' + (f' {hint}' if hint else ''))


class IncompatibleDataError(UserError):
  """Data, task and model do not fit each other."""

  exit_code = EXIT_BAD_DATA


class CheckpointError(UserError):
  """A checkpoint that cannot be restored as asked."""

  exit_code = EXIT_BAD_DATA


class UnreachableError(UserError):
  """A server that does not answer, or a port that is taken."""

  exit_code = EXIT_UNREACHABLE


class NonFiniteError(UserError):
  """A loss or gradient is NaN or infinite; the run has stopped."""

  exit_code = EXIT_NON_FINITE


class StorageError(UserError):
  """A write failed or would fail: no space, no permission."""

  exit_code = EXIT_IO


class Stopped(KeyboardInterrupt):
  """A signal has asked the program to end.

  SIGTERM is how a scheduler takes a machine back, and no failure: the exit code
  is 0. After Ctrl-C it is 130.
  """

  def __init__(self, number: int):
    self.signal = signal.Signals(number)
    self.exit_code = 0 if number == signal.SIGTERM else EXIT_INTERRUPTED
    super().__init__(f'Stopped by {self.signal.name}.')

  def saved(self, what: str) -> 'Stopped':
    """This, with a word on what was saved before it was raised again."""
    self.args = (f'{self} Saved: {what}.',)
    return self


def near_names(name: str, known: Iterable[str], count: int = 3) -> str:
  """Text that offers the nearest known names, or lists a few if none is near.

  Args:
    name: what the user wrote.
    known: the names that would be accepted.
    count: how many near names to offer at most.

  Returns:
    A sentence, e.g. `Did you mean Alien?`.
  """
  known = list(known)
  by_lower = {k.lower(): k for k in known}
  near = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)
  if near:
    return 'Did you mean ' + ' or '.join(by_lower[n] for n in near) + '?'
  shown = ', '.join(sorted(known)[:12])
  return f'Known are: {shown}' + (', ...' if len(known) > 12 else '.')
