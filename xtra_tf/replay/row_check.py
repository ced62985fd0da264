"""Whether a row is one that a table can take; a table itself says it too late.

A value of another type would be converted in silence, one that is not finite
would be learned from, and what a table refuses by itself is told to whoever
samples, or to nobody.
"""

import math
from typing import Any, Optional, Tuple

import numpy as np

from xtra_tf.episodes import Episode, StepRow
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.replay.window import WindowSpec

_FLAGS = ('terminal', 'truncated', 'life_loss', 'real', 'has_search')
_WHOLE = {'action': 2**31, 'env_step': 2**63}  # 0 to less than this
_VALUES = ('root_value', 'bootstrap_value')  # None: the source has none


def check_row(table: str, window: WindowSpec, row: StepRow) -> None:
  """Refuses a row that does not fit.

  Args:
    table: its name, for the message.
    window: the table's items.
    row: what is to be written.

  Raises:
    IncompatibleDataError: a field is missing or too many, of another type or
      shape, or not finite; names it, what was expected and what was found.
  """
  _check_fields(table, row)
  _check_array(table, 'an observation', row.observation,
               window.observation_shape, window.observation_dtype)
  if row.search is not None:
    _check_array(table, 'a search target', row.search, window.target_shape)
  for name in _FLAGS:
    if not isinstance(getattr(row, name), (bool, np.bool_)):
      raise _misfit(table, f'{name} {getattr(row, name)!r}', 'True or False')
  for name, limit in _WHOLE.items():
    value = getattr(row, name)
    if (not isinstance(value, (int, np.integer)) or isinstance(value, bool)
        or not 0 <= value < limit):
      raise _misfit(table, f'{name} {value!r}',
                    f'a whole number from 0 to {limit - 1}')
  _check_number(table, 'reward', row.reward)
  for name in _VALUES:
    if getattr(row, name) is not None:
      _check_number(table, name, getattr(row, name))


def episode_fits(window: WindowSpec, episode: Episode) -> bool:
  """Whether `check_row` would take every row, found column by column.

  Args:
    window: the table's items.
    episode: what is to be written.

  Returns:
    False also where only the rows themselves can tell.
  """
  rows = len(episode.real)
  frames = episode.observation
  numbers = [('reward', episode.reward)] + [
      (name, getattr(episode, name)) for name in _VALUES]
  return (
      _is_array(frames, (rows, *window.observation_shape), 'uif')
      and frames is not None and frames.dtype == window.observation_dtype
      and (episode.search is None
           or _is_array(episode.search, (rows, *window.target_shape), 'uif'))
      and all(_is_array(getattr(episode, name), (rows,), 'b')
              for name in _FLAGS)
      and all(_is_array(getattr(episode, name), (rows,), 'ui')
              and _is_within(getattr(episode, name), limit)
              for name, limit in _WHOLE.items())
      and all(_is_array(column, (rows,), 'uif') for name, column in numbers
              if column is not None or name == 'reward'))


def _is_array(value: Any, shape: Tuple[int, ...], kinds: str) -> bool:
  """Whether it is an array of a shape and of one of some kinds, and finite."""
  if (not isinstance(value, np.ndarray) or value.shape != shape
      or value.dtype.kind not in kinds):
    return False
  return value.dtype.kind != 'f' or bool(np.isfinite(value).all())


def _is_within(value: np.ndarray, limit: int) -> bool:
  return not value.size or (0 <= int(value.min()) and int(value.max()) < limit)


def check_priority(table: str, priority: Any) -> float:
  """A new item's priority; one that would spoil its table is refused.

  Reverb's table stops for good, without a word to whoever waits for it, if an
  item comes with a negative one; an infinite one draws unpredictably.

  Raises:
    IncompatibleDataError: it is negative, or not finite.
  """
  number = _number(priority)
  if number is None or not 0 <= number < math.inf:
    raise IncompatibleDataError(
        f'A new item of the table {table} has the priority {priority!r}. '
        'Expected a finite number of at least 0.')
  return number


def _check_fields(table: str, row: Any) -> None:
  found = getattr(type(row), '_fields', None)
  if found == StepRow._fields:
    return
  names = set(found or ())
  missing = sorted(set(StepRow._fields) - names)
  extra = sorted(names - set(StepRow._fields))
  raise _misfit(table, f'the fields {sorted(names)}: missing {missing}, too '
                f'many {extra}', f'those of a StepRow, {StepRow._fields}')


def _check_array(table: str, what: str, value: Any, shape: Any,
                 dtype: Optional[str] = None) -> None:
  """An array of a shape, and of a type if one is given; else of numbers."""
  array = np.asarray(value)
  if array.shape != tuple(shape) or (dtype is not None
                                     and array.dtype != dtype):
    kind = f'{dtype}{list(shape)}' if dtype else f'shape {list(shape)}'
    raise _misfit(table, f'{what} of '
                  + (f'{array.dtype}{list(array.shape)}' if dtype else
                     f'shape {list(array.shape)}'), kind)
  if array.dtype.kind not in 'uif':
    raise _misfit(table, f'{what} of {array.dtype}', 'numbers')
  if array.dtype.kind == 'f' and not np.isfinite(array).all():
    raise _misfit(table, f'{what} that holds '
                  f'{array[~np.isfinite(array)].flat[0]}', 'finite numbers')


def _check_number(table: str, name: str, value: Any) -> None:
  number = _number(value)
  if number is None or not math.isfinite(number):
    raise _misfit(table, f'{name} {value!r}', 'a finite number')


def _number(value: Any) -> Optional[float]:
  """A real scalar as a float; None for anything else."""
  if isinstance(value, (int, float, np.integer, np.floating)):
    return float(value)
  return None


def _misfit(table: str, found: str, expected: str) -> IncompatibleDataError:
  return IncompatibleDataError(
      f'A row for the table {table} has {found}, expected {expected}.')
