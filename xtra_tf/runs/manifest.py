"""Manifests: what a save consists of, written last.

TF-Agents saves `ckpt-<step>.index` and `ckpt-<step>.data-*`. A save counts only
once `<step>.json` is beside it in the folder of manifests: it names every file
with size and SHA-256, and what else must agree with the weights. A save without
a manifest was interrupted and is removed at the next start.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import os
import re
import shutil
from typing import Any, Dict, List, Mapping, Optional, Sequence

from xtra_tf.errors import CheckpointError, DataFileError
from xtra_tf.runs import atomic
from xtra_tf.runs.incidents import record_incident

_FORMAT = 1
# Ours is beside TensorFlow's: `ckpt-7.arrays.npz`.
_SAVE_FILE = re.compile(
    r'ckpt-(\d+)\.(index|data-\d{5}-of-\d{5}|arrays\.npz)')
ARRAYS = '.arrays.npz'
# What TF leaves behind when it is killed: `ckpt-7_temp`, `checkpoint.tmp12ab`.
_LEFTOVER = re.compile(r'ckpt-\d+_temp|.*\.tempstate.*|checkpoint\.tmp.*')
_MANIFEST = re.compile(r'(\d+)\.json')


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What belongs to a save.

  Attributes:
    step: gradient steps made.
    env_steps: environment steps taken.
    files: {file name: {'sha256': hex digits, 'size': bytes}}.
    state: JSON-able facts that are restored with the weights.
    settings_hash: of the run's settings.
    time: when it was written, UTC.
  """
  step: int
  env_steps: int
  files: Mapping[str, Mapping[str, Any]]
  state: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  settings_hash: str = ''
  time: str = ''


def save_files(checkpoints_dir: str) -> Dict[int, List[str]]:
  """The files of saves, {step: sorted names}; TF-Agents' and ours."""
  found: Dict[int, List[str]] = {}
  for name in sorted(_names(checkpoints_dir)):
    match = _SAVE_FILE.fullmatch(name)
    if match:
      found.setdefault(int(match.group(1)), []).append(name)
  return found


def tensorflow_saves(checkpoints_dir: str) -> Dict[int, List[str]]:
  """The same without ours, which TF-Agents does not remove with its own."""
  found = {step: [name for name in names if not name.endswith(ARRAYS)]
           for step, names in save_files(checkpoints_dir).items()}
  return {step: names for step, names in found.items() if names}


def describe_files(folder: str, names: Sequence[str]
                   ) -> Dict[str, Dict[str, Any]]:
  """Size and SHA-256 of files, after they have reached the disk."""
  described = {}
  for name in names:
    path = os.path.join(folder, name)
    atomic.sync_file(path)
    described[name] = {'sha256': _sha256(path), 'size': os.path.getsize(path)}
  return described


def write_manifest(manifests_dir: str, manifest: Manifest) -> str:
  """Writes a manifest in one piece; returns its path.

  Raises:
    StorageError: no space, no permission.
  """
  now = datetime.datetime.now(datetime.timezone.utc)
  content = dataclasses.asdict(manifest)
  content['time'] = manifest.time or now.isoformat(timespec='seconds')
  atomic.make_folder(manifests_dir)
  path = manifest_path(manifests_dir, manifest.step)
  atomic.write_json(path, {'format': _FORMAT, **content})
  return path


def manifest_path(manifests_dir: str, step: int) -> str:
  """Where the manifest of a save is."""
  return os.path.join(manifests_dir, f'{step}.json')


def manifest_steps(manifests_dir: str) -> List[int]:
  """Steps of all manifests, ascending, whether or not they verify."""
  matches = map(_MANIFEST.fullmatch, _names(manifests_dir))
  return sorted(int(match.group(1)) for match in matches if match)


def read_manifest(path: str) -> Manifest:
  """Reads a manifest.

  Raises:
    DataFileError: it is missing, damaged or of another format.
  """
  content = atomic.read_json(path)
  fields = {field.name for field in dataclasses.fields(Manifest)}
  if not isinstance(content, dict) or not fields <= set(content):
    raise DataFileError(path, 'is not a manifest.')
  files = content['files']
  if not (all(type(content[name]) is int for name in ('step', 'env_steps'))
          and all(isinstance(content[name], str)
                  for name in ('settings_hash', 'time'))
          and isinstance(content['state'], dict) and isinstance(files, dict)
          and all(_describes_a_file(name, entry)
                  for name, entry in files.items())):
    raise DataFileError(path, 'has a value that a manifest cannot have.',
                        hint='Restore the file from a copy.')
  if content.get('format') != _FORMAT:
    raise DataFileError(path, f'has format {content.get("format")}, expected '
                        f'{_FORMAT}.')
  return Manifest(**{name: content[name] for name in fields})


def _describes_a_file(name: str, entry: Any) -> bool:
  """Whether an entry is one of `describe_files`, beside the manifest."""
  return (bool(name) and name == os.path.basename(name)
          and name not in ('.', '..') and '\0' not in name
          and isinstance(entry, dict)
          and type(entry.get('size')) is int
          and isinstance(entry.get('sha256'), str))


def damage(manifest: Manifest, checkpoints_dir: str) -> Optional[str]:
  """What is wrong with the files of a save; None if they are as described."""
  for name, expected in manifest.files.items():
    path = os.path.join(checkpoints_dir, name)
    if not os.path.isfile(path):
      return f'{path} is missing'
    size = os.path.getsize(path)
    if size != expected['size']:
      return f'{path} has {size} bytes, expected {expected["size"]}'
    if _sha256(path) != expected['sha256']:
      return f'{path} has another content than the one that was saved'
  return None


def verified_manifest(manifests_dir: str, checkpoints_dir: str,
                      step: int) -> Manifest:
  """The manifest of one save, whose files are as described.

  Raises:
    DataFileError: the manifest is missing or damaged.
    CheckpointError: a file of the save is missing or damaged.
  """
  path = manifest_path(manifests_dir, step)
  manifest = read_manifest(path)
  problem = damage(manifest, checkpoints_dir)
  if problem:
    raise CheckpointError(f'The save of step {step} is damaged: {problem}. '
                          f'Expected the files that {path} names.')
  return manifest


def newest_manifest(manifests_dir: str, checkpoints_dir: str,
                    logs_dir: Optional[str] = None) -> Optional[Manifest]:
  """The newest save that is whole.

  Args:
    manifests_dir: folder of manifests.
    checkpoints_dir: folder of saves.
    logs_dir: where an incident is recorded for each damaged save that was
      passed over; None records none.

  Returns:
    Its manifest; None if there are no manifests at all.

  Raises:
    CheckpointError: there are manifests, but no save is whole. Starting from
      nothing would throw the run's work away, so that is left to the user.
  """
  problems = []
  for step in reversed(manifest_steps(manifests_dir)):
    try:
      manifest = verified_manifest(manifests_dir, checkpoints_dir, step)
    except (DataFileError, CheckpointError) as error:
      problems.append((step, str(error)))
      continue
    for skipped, problem in problems:
      if logs_dir is not None:
        record_incident(logs_dir, 'older-checkpoint', skipped_step=skipped,
                        used_step=step, problem=problem)
    return manifest
  if problems:
    shown = '\n'.join(f'  {problem}' for _, problem in problems)
    raise CheckpointError(
        f'No save in {checkpoints_dir} is whole:\n{shown}\nExpected at least '
        'one that is as its manifest says. Restore the files from a copy, or '
        f'remove {os.path.dirname(manifests_dir)} to train this stage anew.')
  return None


def sweep_orphans(checkpoints_dir: str, manifests_dir: str) -> List[str]:
  """Removes what interrupted saves have left: files that no manifest names.

  Args:
    checkpoints_dir: folder of saves.
    manifests_dir: folder of manifests.

  Returns:
    The removed paths.

  Raises:
    CheckpointError: there are several whole saves and not one manifest. No
      interruption leaves that, so the manifests have been lost.
  """
  known = set(manifest_steps(manifests_dir))
  saves = save_files(checkpoints_dir)
  whole = [step for step, names in tensorflow_saves(checkpoints_dir).items()
           if len(names) > 1]
  if not known and len(whole) > 1:
    raise CheckpointError(
        f'{checkpoints_dir} holds the saves of steps '
        f'{", ".join(map(str, sorted(whole)))}, but {manifests_dir} has no '
        'manifest. Expected one for each. Restore the manifests from a copy, '
        'or remove both folders to train this stage anew.')
  names = [name for step, files in saves.items() if step not in known
           for name in files]
  names += [name for name in _names(checkpoints_dir)
            if _LEFTOVER.fullmatch(name)]
  removed = [os.path.join(checkpoints_dir, name) for name in sorted(names)]
  for path in removed:
    if os.path.isdir(path):
      shutil.rmtree(path)
    else:
      os.unlink(path)
  return removed


def prune_manifests(manifests_dir: str, checkpoints_dir: str) -> None:
  """Removes manifests and arrays whose saves TF-Agents has rotated out.

  A manifest newer than all saves stays: its save did not leave by rotation.
  """
  saves = tensorflow_saves(checkpoints_dir)
  for step in manifest_steps(manifests_dir):
    if step not in saves and any(step < saved for saved in saves):
      for path in (manifest_path(manifests_dir, step),
                   os.path.join(checkpoints_dir, f'ckpt-{step}{ARRAYS}')):
        with contextlib.suppress(FileNotFoundError):
          os.unlink(path)


def _names(folder: str) -> List[str]:
  return os.listdir(folder) if os.path.isdir(folder) else []


def _sha256(path: str) -> str:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
