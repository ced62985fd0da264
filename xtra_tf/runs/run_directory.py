"""The root_dir of a run and its record, run.json."""

import datetime
import os
import secrets
import time
from typing import Any, Dict, Mapping, Optional

from xtra_tf.errors import DataFileError
from xtra_tf.runs import atomic, provenance
from xtra_tf.runs import settings as settings_lib
from xtra_tf.runs.stage_directory import StageDirectory, folder_name

STAGES = ('data', 'teacher', 'student', 'cloning', 'finetune', 'scratch')
# Made of all source tasks at once, and of no target.
WITHOUT_TASK = ('student', 'cloning')
_FORMAT = 1
_KINDS = {'id': str, 'settings': dict, 'settings_hash': str,
          'settings_history': list, 'sessions': list, 'stages': dict}


def _now() -> str:
  now = datetime.datetime.now(datetime.timezone.utc)
  return now.isoformat(timespec='seconds')


class RunDirectory:
  """Where a run keeps its files, and what is known of it.

  run.json holds: format, id, state (running, stopped, done), exit_reason,
  started and updated (UTC), seed, settings, settings_hash, settings_history,
  sessions (one a start: time, command, code, versions, machine) and stages
  {name: state, seconds (of the sessions that ended in order), sessions}, and,
  where stages are taken over from other runs, inherited {name: folder (relative
  to the run's), digest of what it holds, run}.

  Attributes:
    path: the folder.
    run_json: the record's file.
    config: folder of the gin files as given and as used.
    eval: folder of the evaluations.
    results: file of the evaluations' results.
    report: folder of the report.
  """

  def __init__(self, root: str):
    """Initializes the directory; nothing is made on the disk.

    Args:
      root: the run's folder.
    """
    self.path = os.path.abspath(root)
    self.run_json = os.path.join(self.path, 'run.json')
    self.config = os.path.join(self.path, 'config')
    self.eval = os.path.join(self.path, 'eval')
    self.results = os.path.join(self.eval, 'results.jsonl')
    self.report = os.path.join(self.path, 'report')
    self._record: Optional[Dict[str, Any]] = None
    self._running_since: Dict[str, float] = {}
    self._inherited: Optional[Dict[str, Dict[str, str]]] = None

  def __fspath__(self) -> str:
    return self.path

  @property
  def record(self) -> Dict[str, Any]:
    """The content of run.json.

    Raises:
      DataFileError: there is none, or it is damaged.
    """
    if self._record is None:
      self._record = self._read()
    return self._record

  @property
  def run_id(self) -> str:
    """The run's name in results; given once, when the run first began."""
    return self.record['id']

  def stage(self, name: str, task: Optional[str] = None) -> StageDirectory:
    """The folder of a stage.

    Args:
      name: one of `STAGES`.
      task: of all stages but those of `WITHOUT_TASK`.

    Raises:
      ValueError: an unknown stage, a task missing or too many.
    """
    if name not in STAGES:
      raise ValueError(f'`name` must be one of {STAGES}, got {name!r}.')
    if (task is None) != (name in WITHOUT_TASK):
      raise ValueError(
          f'Stage {name} takes {"no" if name in WITHOUT_TASK else "a"} task, '
          f'got {task!r}.')
    known = self._record is not None or os.path.exists(self.run_json)
    digest = self.record['settings_hash'] if known else ''
    full_name = name if task is None else f'{name}/{task}'
    inherited = self._inherited
    if inherited is None:
      inherited = self.record.get('inherited', {}) if known else {}
    taken = inherited.get(full_name)
    if taken is not None:
      return StageDirectory(
          os.path.normpath(os.path.join(self.path, taken['folder'])), full_name,
          digest)
    parts = [name] if task is None else [name, folder_name(task)]
    return StageDirectory(os.path.join(self.path, *parts), full_name, digest)

  def inherit(self, stages: Mapping[str, Dict[str, str]]) -> None:
    """Takes stages over from other runs, instead of having its own.

    `begin` writes it down, and from then on it holds in every session that is
    not told otherwise.

    Args:
      stages: {name: {folder, digest, run}}, the folder relative to this one.
    """
    self._inherited = dict(stages)

  def stage_name(self, path: str) -> str:
    """The name of the stage in a folder, with the task's true name.

    Args:
      path: a folder two levels below the run's at most.

    Returns:
      E.g. `student`, `finetune/tiny:catch`; the relative path for a folder that
      the record does not know.
    """
    relative = os.path.relpath(os.path.realpath(path),
                               os.path.realpath(self.path))
    for name in self.record['stages']:
      kind, _, task = name.partition('/')
      if relative == os.path.join(kind, *([folder_name(task)] if task else [])):
        return name
    return relative

  def begin(self, settings: Mapping[str, str], *, seed: int, command: str,
            accept_changes: bool = False) -> None:
    """Begins a run, or goes on with it. The run's lock must be held.

    Args:
      settings: {name: value as text}, gin parameters and flags.
      seed: of the run.
      command: the command line as typed.
      accept_changes: go on although settings differ; the change is recorded.

    Raises:
      SettingsChangedError: settings differ and that was not accepted; shows
        each difference.
      DataFileError: run.json is damaged.
      StorageError: the folder cannot be written.
    """
    atomic.make_folder(self.path)
    settings = settings_lib.hide_private(settings)
    if os.path.exists(self.run_json):
      record = self._read()
      changes = settings_lib.compare_settings(record['settings'], settings)
      if changes and not accept_changes:
        raise settings_lib.settings_changed_error(self.path, changes)
      if changes:
        record['settings_history'].append({
            'time': _now(), 'changes': [change._asdict() for change in changes]
        })
    else:
      record = {'format': _FORMAT, 'id': _new_id(), 'state': 'running',
                'exit_reason': '', 'started': _now(), 'updated': _now(),
                'seed': seed, 'settings': {}, 'settings_hash': '',
                'settings_history': [], 'sessions': [], 'stages': {}}
    atomic.sweep_temporary(self.path)
    if self._inherited is not None:
      record['inherited'] = dict(self._inherited)
    record.update(
        state='running', exit_reason='', seed=seed, settings=settings,
        settings_hash=settings_lib.settings_hash(settings))
    record['sessions'].append({
        'started': _now(), 'command': settings_lib.hide_private_flags(command),
        'code': provenance.code_version(), 'versions': provenance.versions(),
        'machine': provenance.machine()})
    self._record = record
    self._write()

  def write_config(self, given: Optional[str] = None,
                   operative: Optional[str] = None) -> None:
    """Keeps the gin settings as files: as given, and as they were used.

    Args:
      given: text of config/given.gin; None leaves it as it is.
      operative: text of config/operative.gin; None leaves it as it is.
    """
    atomic.make_folder(self.config)
    for name, text in (('given', given), ('operative', operative)):
      if text is not None:
        atomic.write_bytes(os.path.join(self.config, f'{name}.gin'),
                           text.encode('utf-8'))

  def record_stage(self, name: str, state: str, seconds: float = 0.) -> None:
    """Notes that a stage has begun or ended.

    Args:
      name: as `StageDirectory.name`.
      state: `running`, `done` or `stopped`.
      seconds: that this session took; added to earlier sessions' time.
    """
    stage = self.record['stages'].setdefault(
        name, {'state': state, 'seconds': 0., 'sessions': 0})
    stage['state'] = state
    stage['seconds'] = round(stage['seconds'] + seconds, 3)
    if state == 'running':
      stage['sessions'] += 1
      self._running_since[name] = time.monotonic()
    else:
      self._running_since.pop(name, None)
    self._write()

  def finish(self, state: str, reason: str = '') -> None:
    """Notes how this session ended.

    Args:
      state: `done` or `stopped`.
      reason: why, where it was stopped.
    """
    for name, since in list(self._running_since.items()):
      self.record_stage(name, 'stopped', time.monotonic() - since)
    self.record.update(state=state, exit_reason=reason)
    self._write()

  def _write(self) -> None:
    self.record['updated'] = _now()
    atomic.write_json(self.run_json, self.record)

  def _read(self) -> Dict[str, Any]:
    record = atomic.read_json(self.run_json)
    if not isinstance(record, dict) or not {
        'format', 'id', 'settings', 'settings_hash', 'settings_history',
        'sessions', 'stages'} <= set(record):
      raise DataFileError(self.run_json, 'is not the record of a run.')
    if record['format'] != _FORMAT:
      raise DataFileError(
          self.run_json, f'has format {record["format"]}, expected {_FORMAT}.',
          hint='Use the version of xtra_tf that began the run.')
    wrong = [name for name, kind in _KINDS.items()
             if not isinstance(record[name], kind)]
    wrong += [name for name, inner in (
        ('sessions', record['sessions']),
        ('stages', getattr(record['stages'], 'values', list)()))
              if name not in wrong
              and not all(isinstance(entry, dict) for entry in inner)]
    if wrong:
      raise DataFileError(
          self.run_json, f'has impossible values of {", ".join(wrong)}.',
          hint='Restore the file from a copy.')
    return record


def run_of_stage(path: str) -> Optional[RunDirectory]:
  """The run that a stage's folder belongs to; None if there is no run.json.

  Args:
    path: `<root_dir>/<stage>` or `<root_dir>/<stage>/<task>`.
  """
  folder = os.path.realpath(path)
  for _ in range(2):
    folder = os.path.dirname(folder)
    directory = RunDirectory(folder)
    if os.path.isfile(directory.run_json):
      return directory
  return None


def _new_id() -> str:
  now = datetime.datetime.now(datetime.timezone.utc)
  return f'{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}'
