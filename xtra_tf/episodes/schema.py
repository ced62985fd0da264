"""What an episode log holds: rows, episodes, columns and the header.

Axes: T actions of an episode, so T + 1 rows; A actions of the task family.
"""

import contextlib
import dataclasses
import errno
import itertools
import os
import re
import shutil
import threading
from typing import (
  Any,
  Dict,
  Iterable,
  Iterator,
  List,
  Mapping,
  NamedTuple,
  Optional,
  Sequence,
  Tuple,
)

import numpy as np

from xtra_tf.episodes import checked_json
from xtra_tf.errors import (
  DataFileError,
  IncompatibleDataError,
  StorageError,
  UsageError,
)
from xtra_tf.tasks import TaskSpec

FORMAT = 'xtra_tf episode log'
VERSION = 1
HEADER_NAME = 'dataset.json'
_HEADER_FIELDS = {'format', 'version', 'task', 'columns', 'overlay',
                  'provenance'}

# How an episode can end. `cut`: the data break off there, the game did not.
ENDS = ('terminal', 'truncated', 'cut')

_WRITER = re.compile('0|[1-9][0-9]{0,9}')

# Episode number = writer * EPISODES_PER_WRITER + count.
EPISODES_PER_WRITER = 2**32

# Fields of a task in which data may differ from a run that allows it. All
# others decide what a column or an action means at all.
NEGOTIABLE = ('action_names', 'clip_reward', 'codec', 'frame_skip', 'stack',
              'sticky_actions')

# Columns that a source may lack. A log declares which of them it has.
OPTIONAL_COLUMNS = ('search', 'root_value', 'bootstrap_value')


class StepRow(NamedTuple):
  """Row j of an episode: what was seen, what was done and what came of it.

  The step after a life loss, a no-op that nobody chose, is a row with
  real = 0. The last row is the final observation: real = 0, action 0.
  """
  observation: Any  # <task dtype>[*frame] o_j; None in an overlay
  action: int  # a_j, id of the task family
  search: Optional[Any]  # <float32>[A] visit counts of the search at o_j
  reward: float  # that followed a_j, as learned (sign of the raw one)
  raw_reward: float  # that followed a_j, as scored; of no-ops too
  terminal: bool  # a_j ended the game
  truncated: bool  # the game was broken off after a_j, by a time limit
  life_loss: bool  # a_j cost a life and the game goes on
  real: bool  # a_j was chosen and played
  root_value: Optional[float]  # of the search at o_j
  bootstrap_value: Optional[float]  # a value head's, of o_j
  has_search: bool  # `search` is a search's result
  env_step: int  # environment steps of the task before a_j


class Episode(NamedTuple):
  """One game, or what is known of it; R = T + 1 rows, columns as in StepRow."""
  number: int  # writer * 2^32 + count
  writer: int
  end: str  # one of ENDS
  observation: Optional[np.ndarray]  # <task dtype>[R, *frame]
  action: np.ndarray  # <int32>[R]
  search: Optional[np.ndarray]  # <float32>[R, A]; None: the log has none
  reward: np.ndarray  # <float32>[R]
  raw_reward: np.ndarray  # <float32>[R]
  terminal: np.ndarray  # <bool>[R]
  truncated: np.ndarray  # <bool>[R]
  life_loss: np.ndarray  # <bool>[R]
  real: np.ndarray  # <bool>[R]; the last is False
  root_value: Optional[np.ndarray]  # <float32>[R]
  bootstrap_value: Optional[np.ndarray]  # <float32>[R]
  has_search: np.ndarray  # <bool>[R]
  env_step: np.ndarray  # <int64>[R]

  def row(self, index: int) -> StepRow:
    """Row `index`, with None for the columns that the log lacks."""
    values: Dict[str, Any] = {}
    for name in StepRow._fields:
      column = getattr(self, name)
      values[name] = None if column is None else column[index]
    return StepRow(**values)

  def rows(self) -> Iterator[StepRow]:
    """All rows in order, numbers and flags as Python's own."""
    columns: List[Iterable[Any]] = []
    for name in StepRow._fields:
      column = getattr(self, name)
      if column is None:
        columns.append(itertools.repeat(None))
      else:
        columns.append(column.tolist() if column.ndim == 1 else column)
    return map(StepRow._make, zip(*columns))


class Column(NamedTuple):
  """How one column is stored."""
  dtype: np.dtype  # little-endian
  shape: Tuple[int, ...]  # of one row


@dataclasses.dataclass(frozen=True)
class Header:
  """What `dataset.json` says of all episodes of a log.

  Attributes:
    task: the task that was played.
    columns: which of OPTIONAL_COLUMNS the log has.
    overlay: the log holds columns for the rows of another log, and no
      observations of its own.
    provenance: how the data came about; any JSON.
  """
  task: TaskSpec
  columns: Tuple[str, ...]
  overlay: bool = False
  provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self) -> None:
    unknown = [c for c in self.columns if c not in OPTIONAL_COLUMNS]
    if unknown:
      raise UsageError(
          f'Unknown columns {unknown} of an episode log. Expected some of '
          f'{", ".join(OPTIONAL_COLUMNS)}; all others are always there.')

  def layout(self) -> Dict[str, Column]:
    """The stored columns, in the order of StepRow."""
    task = self.task
    frame = np.dtype(task.observation_dtype).newbyteorder('<')
    flag, number = np.dtype('?'), np.dtype('<f4')
    columns = {
        'observation': Column(frame, task.observation_shape),
        'action': Column(np.dtype('<i4'), ()),
        'search': Column(number, (task.num_actions,)),
        'reward': Column(number, ()), 'raw_reward': Column(number, ()),
        'terminal': Column(flag, ()), 'truncated': Column(flag, ()),
        'life_loss': Column(flag, ()), 'real': Column(flag, ()),
        'root_value': Column(number, ()),
        'bootstrap_value': Column(number, ()),
        'has_search': Column(flag, ()), 'env_step': Column(np.dtype('<i8'), ()),
    }
    left_out = set(OPTIONAL_COLUMNS) - set(self.columns)
    if self.overlay:
      left_out.add('observation')
    return {k: v for k, v in columns.items() if k not in left_out}


def header_path(directory: str) -> str:
  """Path of a log's header."""
  return os.path.join(directory, HEADER_NAME)


def write_header(directory: str, header: Header) -> None:
  """Writes the header so that a reader sees all of it or nothing.

  Raises:
    StorageError: the disk is full or the folder cannot be written.
  """
  content = {
      'format': FORMAT, 'version': VERSION, 'task': header.task.to_json(),
      'columns': list(header.columns), 'overlay': header.overlay,
      'provenance': dict(header.provenance)}
  write_whole(header_path(directory), checked_json.encode(content))


def write_whole(path: str, data: bytes) -> None:
  """Writes a file so that a reader sees all of it or nothing.

  Raises:
    StorageError: the disk is full or the folder cannot be written.
  """
  folder, name = os.path.split(os.path.abspath(path))
  # Of a form that a run removes when it is gone on with; if it does so just
  # now, in another process, the file is written again.
  temporary = os.path.join(
      folder, f'.{name}.{os.getpid()}-{threading.get_ident()}.tmp')
  for is_last in (False, True):
    try:
      os.makedirs(folder, exist_ok=True)
      with open(temporary, 'wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
      os.replace(temporary, path)
      sync_directory(folder)
      return
    except OSError as error:
      if isinstance(error, FileNotFoundError) and not is_last:
        continue
      with contextlib.suppress(OSError):
        os.unlink(temporary)
      raise storage_error(path, error, len(data)) from error


def read_header(directory: str) -> Header:
  """Reads and checks `dataset.json`.

  Raises:
    DataFileError: it is missing, broken, or of another format or version.
  """
  path = header_path(directory)
  try:
    data = checked_json.read(path)
  except FileNotFoundError as error:
    raise DataFileError(
        path, 'the file is missing.',
        hint='Expected the folder of an episode log, which has a '
        f'{HEADER_NAME} and one folder per writer.') from error
  content = checked_json.decode(path, data)
  if content.get('format') != FORMAT:
    raise DataFileError(path, 'the file is not the header of an episode log.',
                        hint=f'Expected "format": "{FORMAT}".')
  if content.get('version') != VERSION:
    raise DataFileError(
        path, f'the format has version {content.get("version")!r}.',
        hint=f'Expected version {VERSION}.')
  unknown = sorted(set(content) - _HEADER_FIELDS - {checked_json.CHECK})
  if unknown:
    raise DataFileError(path, f'there are unknown fields: {unknown}.',
                        hint='Copy the data set anew.')
  try:
    header = Header(
        task=TaskSpec.from_json(content['task']),
        columns=tuple(content['columns']), overlay=bool(content['overlay']),
        provenance=dict(content['provenance']))
  except (AttributeError, KeyError, OverflowError, TypeError, ValueError,
          UsageError) as error:
    raise DataFileError(
        path, 'a field is missing or has an impossible value: '
        f'{repr(error)[:300]}.', hint='Copy the data set anew.') from error
  # Logs of the first release have no checksum of their header.
  if checked_json.CHECK in content:
    checked_json.verify(path, data, content)
  return header


def task_differences(expected: TaskSpec, found: TaskSpec) -> Dict[str, str]:
  """In what two descriptions of a task differ; scores do not matter.

  Args:
    expected: what the run, or the writer, is about.
    found: what the data say.

  Returns:
    {field: text with both values}.
  """
  # A fingerprint leaves out names, and a codec that does nothing.
  want, have = ({**spec.fingerprint(), 'codec': spec.codec,
                 'action_names': list(spec.action_names)}
                for spec in (expected, found))
  return {field: f'{field}: expected {want.get(field)!r}, found '
                 f'{have.get(field)!r}' for field in sorted({*want, *have})
          if want.get(field) != have.get(field)}


def check_same_task(directory: str, expected: TaskSpec, found: TaskSpec,
                    allowed: Sequence[str] = ()) -> None:
  """Refuses data of another task, frame or action set.

  Args:
    directory: of the log, for the message.
    expected: what the run, or the writer, is about.
    found: what the log's header says.
    allowed: fields of `NEGOTIABLE` that may differ.

  Raises:
    IncompatibleDataError: fields differ; each is named with both values.
  """
  fields = {name: text for name, text in
            task_differences(expected, found).items() if name not in allowed}
  if not fields:
    return
  advice = ''
  if set(fields) <= set(NEGOTIABLE):
    names = ''.join(f'{name!r}, ' for name in (*allowed, *fields)).strip()
    advice = (f' Or, if you mean it, allow the difference: '
              f'TaskSettings.allowed_differences = ({names}).')
  raise IncompatibleDataError(
      f'The episode log {directory} does not fit the task {expected.name}. '
      + '; '.join(fields.values()) + '. Choose data of the same task, '
      'resolution and action set, or change the settings to those of the data.'
      + advice)


def writer_folders(directory: str) -> List[Tuple[int, str]]:
  """(writer, folder) of each writer of a log, ascending."""
  # Names like `01` or of other digits would be second ones of a writer.
  return sorted((int(entry.name), entry.path)
                for entry in os.scandir(directory)
                if entry.is_dir() and _WRITER.fullmatch(entry.name))


def sync_directory(directory: str) -> None:
  """Makes new names in a folder survive a power cut."""
  descriptor = os.open(directory, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def storage_error(path: str, error: OSError, needed: int = 0) -> StorageError:
  """The user's form of a failed write.

  Args:
    path: that was to be written.
    error: what the system said.
    needed: bytes that were to be written; 0 if unknown.
  """
  if error.errno in (errno.ENOSPC, errno.EDQUOT):
    place = path
    while not os.path.exists(place):
      place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    wanted = f'needed {needed} bytes, ' if needed else ''
    return StorageError(
        f'No space left: {path}, {wanted}free {free} bytes. What was committed '
        'before is safe. Make room; the same command goes on from there.')
  return StorageError(
      f'{path} cannot be written: {error.strerror or error}. Expected a folder '
      'with write permission and room on the disk. What was committed before '
      'is safe; the same command goes on from there.')


def check_columns(path: str, expected: Sequence[str], found: Sequence[str]
                  ) -> None:
  """Refuses to go on with a log that has other columns.

  Raises:
    IncompatibleDataError: naming both.
  """
  if set(expected) != set(found):
    raise IncompatibleDataError(
        f'The episode log {path} has the columns {sorted(found)}, expected '
        f'{sorted(expected)}. Expected the columns that it was begun with, or '
        'a new folder.')
