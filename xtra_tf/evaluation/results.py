"""eval/results.jsonl: one line of JSON per evaluation, only ever appended to.

An evaluation is known by (run, stage, task, step, profile, codec, seeds). An
identical repeat is kept once; one with other scores is refused, for a
checkpoint has one evaluation. Beside the file, `recordings/` holds one episode
of each evaluation as actions and raw rewards, from which it can be replayed.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import math
import os
from typing import Any, Iterator, List, Mapping, Optional, Tuple

from xtra_tf.errors import DataFileError
from xtra_tf.runs import (
  make_folder,
  read_json,
  storage_error,
  write_bytes,
  write_json,
)
from xtra_tf.runs.stage_directory import folder_name

RECORDINGS = 'recordings'  # folder beside the results file


@dataclasses.dataclass(frozen=True)
class Recording:
  """One evaluated game: all that is needed to play it again.

  Attributes:
    seed_index: i of the evaluation seed that the game started from.
    actions: ids of the task family, one per agent step.
    raw_rewards: as many.
    truncated: whether the step limit ended it.
  """
  seed_index: int
  actions: Tuple[int, ...]
  raw_rewards: Tuple[float, ...]
  truncated: bool = False

  def __post_init__(self) -> None:
    for field in ('actions', 'raw_rewards'):
      object.__setattr__(self, field, tuple(getattr(self, field)))
    if len(self.actions) != len(self.raw_rewards):
      raise ValueError('A recording has as many rewards as actions, got '
                       f'{len(self.raw_rewards)} and {len(self.actions)}.')

  @property
  def raw_return(self) -> float:
    """Undiscounted sum of the raw rewards."""
    return float(sum(self.raw_rewards))


@dataclasses.dataclass(frozen=True)
class ResultRecord:
  """One evaluation of one checkpoint.

  Attributes:
    run: id of the run.
    stage: `student`, `finetune`, `scratch`, ...
    task: the task that was played.
    step: gradient steps of the checkpoint.
    env_steps: environment steps behind the checkpoint.
    profile: fidelity profile.
    codec: of observations.
    seeds: environment seed of each episode.
    returns: raw return of each episode.
    lengths: agent steps of each episode.
    truncated: whether the step limit ended the episode.
    statistics: means over all searches, e.g. `visit_entropy`; None where a
      mean is not finite, which JSON cannot say.
    seconds: wall clock of the evaluation.
    recording: path of the recorded episode relative to the results file's
      folder, or ''.
    step_limit: agent steps after which an episode was truncated; 0: not known.
  """
  run: str
  stage: str
  task: str
  step: int
  env_steps: int
  profile: str
  codec: str
  seeds: Tuple[int, ...]
  returns: Tuple[float, ...]
  lengths: Tuple[int, ...]
  truncated: Tuple[bool, ...]
  statistics: Mapping[str, Optional[float]] = dataclasses.field(
      default_factory=dict)
  seconds: float = 0.
  recording: str = ''
  step_limit: int = 0

  def __post_init__(self) -> None:
    kinds = {'seeds': int, 'returns': float, 'lengths': int, 'truncated': bool}
    counts = {}
    for name, kind in kinds.items():
      values = tuple(kind(x) for x in getattr(self, name))
      object.__setattr__(self, name, values)
      counts[name] = len(values)
    if len(set(counts.values())) != 1 or not self.seeds:
      raise ValueError('A result has one entry per episode in each of its '
                       f'columns, got {counts}.')
    for name in ('run', 'stage', 'task', 'profile', 'codec', 'recording'):
      if not isinstance(getattr(self, name), str):
        raise ValueError(f'{name} is {getattr(self, name)!r:.80}, expected '
                         'text')
    for name in ('step', 'env_steps', 'step_limit'):
      object.__setattr__(self, name, int(getattr(self, name)))
    object.__setattr__(self, 'statistics', {
        name: float(value) if value is not None and math.isfinite(value)
        else None for name, value in self.statistics.items()})

  @property
  def key(self) -> Tuple[Any, ...]:
    """What an evaluation is known by."""
    return (self.run, self.stage, self.task, self.step, self.profile,
            self.codec, self.seeds)


def _scores(record: ResultRecord) -> Tuple[Any, ...]:
  return record.returns, record.lengths, record.truncated


def read(path: str) -> List[ResultRecord]:
  """All evaluations of a results file, oldest first; none without a file.

  A last line that was torn by a crash (no line end) is left out: its evaluation
  is made again.

  Raises:
    DataFileError: a line that is no result; names the line.
  """
  if not os.path.exists(path):
    return []
  with open(path, 'rb') as file:
    lines = file.read().split(b'\n')[:-1]
  known = {field.name for field in dataclasses.fields(ResultRecord)}
  records = []
  for number, line in enumerate(lines):
    try:
      fields = json.loads(line)
      records.append(ResultRecord(
          **{k: v for k, v in fields.items() if k in known}))
    except (AttributeError, OverflowError, RecursionError, TypeError,
            ValueError) as error:
      raise DataFileError(path, f'not an evaluation result: {error}.',
                          record=number) from error
  return records


def append(path: str, record: ResultRecord,
           recording: Optional[Recording] = None) -> bool:
  """Adds an evaluation; on disk when this returns.

  Args:
    path: the results file, made with its folder where it is missing.
    record: the evaluation.
    recording: one of its episodes, stored beside the file.

  Returns:
    Whether a line was added: False for an identical repeat.

  Raises:
    DataFileError: the file holds the same evaluation with other scores.
    StorageError: the file cannot be written.
  """
  folder = make_folder(os.path.dirname(os.path.abspath(path)))
  with _locked(path) as file:
    if _is_there(path, record):
      return False
    if recording is not None:
      record = dataclasses.replace(
          record, recording=_write_recording(folder, record, recording))
    line = json.dumps(dataclasses.asdict(record), allow_nan=False).encode()
    try:
      _drop_torn_tail(file)
      file.write(line + b'\n')
      file.flush()
      os.fsync(file.fileno())
    except OSError as error:
      raise storage_error(path, error, len(line)) from error
  return True


@contextlib.contextmanager
def _locked(path: str) -> Iterator[Any]:
  """The file, open to be added to; nobody else adds to it meanwhile.

  Who follows a run adds to its results beside the run itself, and would take
  its half-written line for a torn one.
  """
  with contextlib.ExitStack() as stack:
    try:
      file = stack.enter_context(open(path, 'ab+'))
      fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
    except OSError as error:
      raise storage_error(path, error) from error
    yield file


def _is_there(path: str, record: ResultRecord) -> bool:
  """Whether a file has the very same evaluation.

  Raises:
    DataFileError: it has the same evaluation with other scores.
  """
  for number, other in enumerate(read(path)):
    if other.key != record.key:
      continue
    if _scores(other) != _scores(record):
      raise DataFileError(
          path, f'an evaluation of {record.stage} on {record.task} at step '
          f'{record.step} is there already, with other scores: found returns '
          f'{list(other.returns)}, got {list(record.returns)}.', record=number,
          hint='A checkpoint is evaluated once per seed list; expected equal '
          'scores. Those of other settings belong into another file.')
    return True
  return False


def truncate_after(path: str, step: int) -> None:
  """Forgets evaluations of gradient steps that a resumed run makes again.

  Args:
    path: a results file without recordings; it need not exist.
    step: of the save that the run goes on from; its own results are kept.

  Raises:
    DataFileError: the file is damaged.
    StorageError: it cannot be written.
  """
  records = read(path)
  kept = [record for record in records if record.step <= step]
  if len(kept) < len(records):
    write_bytes(path, b''.join(
        json.dumps(dataclasses.asdict(record), allow_nan=False).encode()
        + b'\n' for record in kept))


def _drop_torn_tail(file: Any) -> None:
  """Cuts off what a crash left behind the last line end."""
  file.seek(0)
  content = file.read()
  file.truncate(content.rfind(b'\n') + 1)


def _write_recording(folder: str, record: ResultRecord,
                     recording: Recording) -> str:
  """Writes a recording under a name of its own; returns the relative path."""
  # Evaluations of one step may differ in their seeds or profile only.
  digest = hashlib.sha256(repr(record.key).encode()).hexdigest()[:8]
  name = '-'.join([record.stage.split('/')[0], folder_name(record.task),
                   str(record.step), digest])
  make_folder(os.path.join(folder, RECORDINGS))
  write_json(os.path.join(folder, RECORDINGS, f'{name}.json'),
             dataclasses.asdict(recording))
  return f'{RECORDINGS}/{name}.json'


def read_recording(results_path: str,
                   record: ResultRecord) -> Optional[Recording]:
  """The recorded episode of an evaluation, None where there is none.

  Raises:
    DataFileError: the file is missing or no recording.
  """
  if not record.recording:
    return None
  path = os.path.join(os.path.dirname(os.path.abspath(results_path)),
                      RECORDINGS, os.path.basename(record.recording))
  fields = read_json(path)
  try:
    return Recording(**fields)
  except (ValueError, TypeError) as error:
    raise DataFileError(path, f'is no recorded game: {error}.') from error
