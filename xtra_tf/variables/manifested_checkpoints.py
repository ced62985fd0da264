"""TF-Agents' saves and our manifests of them."""

import io
import os
from typing import Any, Dict, List, Mapping, Optional
import zipfile

from absl import logging
import numpy as np
import tensorflow as tf

from xtra_tf.errors import CheckpointError
from xtra_tf.runs import (
  Manifest,
  StageDirectory,
  make_folder,
  newest_manifest,
  record_incident,
  sweep_orphans,
  write_bytes,
  write_manifest,
)
from xtra_tf.runs.manifest import (
  ARRAYS,
  describe_files,
  manifest_path,
  manifest_steps,
  prune_manifests,
  save_files,
  tensorflow_saves,
)
from xtra_tf.variables.checkpoint_graph import check_fits

_STATE_FILE = 'checkpoint'


class ManifestedCheckpoints:
  """Makes TF-Agents' Learner restore exactly the newest save that is whole.

  The Learner restores, at its construction, the save that the file
  `checkpoints/checkpoint` names, and so:

    checkpoints = ManifestedCheckpoints(stage)
    manifest = checkpoints.prepare()          # before the Learner is built
    learner = Learner(stage.path, ...)
    ...
    learner.save()                            # its own save, ckpt-<step>
    checkpoints.commit(step, env_steps, {})   # from here on the save counts
  """

  def __init__(self, stage: StageDirectory):
    """Initializes; nothing is read or changed yet.

    Args:
      stage: the stage's folder, as given to the Learner.
    """
    self._stage = stage
    self._latest: Optional[Manifest] = None
    self._is_prepared = False

  @property
  def directory(self) -> str:
    """The folder of the saves."""
    return self._stage.checkpoints

  def prepare(self) -> Optional[Manifest]:
    """Leaves nothing for a Learner to restore but the newest whole save.

    Saves that no manifest names are removed, damaged ones are set aside in
    train/damaged (with an incident), and the Learner's state file is written
    anew, whatever a kill has made of it.

    Returns:
      The manifest of what the Learner will restore; None for a fresh start.

    Raises:
      CheckpointError: there are saves, but none is whole.
      StorageError: the folder cannot be written.
    """
    stage = self._stage
    make_folder(stage.checkpoints)
    removed = sweep_orphans(stage.checkpoints, stage.manifests)
    if removed:
      logging.info('Removed what an interrupted save had left: %s', removed)
    manifest = newest_manifest(stage.manifests, stage.checkpoints, stage.logs)
    for step in manifest_steps(stage.manifests):
      if manifest is not None and step > manifest.step:
        self._set_aside(step)
    prune_manifests(stage.manifests, stage.checkpoints)
    self._write_state_file(manifest)
    self._latest = manifest
    self._is_prepared = True
    return manifest

  def look(self) -> Optional[Manifest]:
    """What `prepare`, called elsewhere just before, has left for a Learner.

    Nothing is changed: for the learners of a group that do not write.

    Returns:
      The manifest of what the Learner will restore; None for a fresh start.

    Raises:
      CheckpointError: there are saves, but none is whole.
    """
    self._latest = newest_manifest(
        self._stage.manifests, self._stage.checkpoints)
    self._is_prepared = True
    return self._latest

  def check_fits(self, **objects: Any) -> None:
    """Refuses to restore into objects with other variables than were saved.

    TF-Agents restores what matches and says nothing of the rest.

    Args:
      **objects: as the Learner saves them: agent=..., train_step=...; all
        their variables must exist.

    Raises:
      CheckpointError: they differ; names variables with both shapes.
    """
    latest = self.latest()
    if latest is not None:
      check_fits(os.path.join(self.directory, f'ckpt-{latest.step}'), objects)

  def arrays(self) -> Dict[str, np.ndarray]:
    """What was saved beside the newest save; empty if nothing was.

    Raises:
      CheckpointError: it cannot be read.
    """
    latest = self.latest()
    name = f'ckpt-{latest.step}{ARRAYS}' if latest else ''
    if latest is None or name not in latest.files:
      return {}
    path = os.path.join(self.directory, name)
    try:
      with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
      raise CheckpointError(f'{path} cannot be read: {error}. Expected the '
                            'arrays of a save.') from error

  def commit(self, step: int, env_steps: int,
             state: Optional[Mapping[str, Any]] = None,
             arrays: Optional[Mapping[str, np.ndarray]] = None) -> Manifest:
    """Makes the save of `step` count, once it is on the disk.

    Args:
      step: gradient steps, the number in the save's name.
      env_steps: environment steps taken.
      state: JSON-able facts to be restored with the weights.
      arrays: numbers to be restored with them, by name.

    Returns:
      The manifest.

    Raises:
      CheckpointError: there is no such save.
      StorageError: no space.
    """
    stage = self._stage
    names = tensorflow_saves(stage.checkpoints).get(step, [])
    if f'ckpt-{step}.index' not in names or len(names) < 2:
      raise CheckpointError(
          f'{stage.checkpoints} holds no save of step {step}. Expected '
          f'ckpt-{step}.index and ckpt-{step}.data-*, found '
          f'{", ".join(names) or "neither"}.')
    if arrays is not None:
      names.append(f'ckpt-{step}{ARRAYS}')
      content = io.BytesIO()
      np.savez_compressed(content, **arrays)
      write_bytes(os.path.join(stage.checkpoints, names[-1]),
                  content.getvalue())
    manifest = Manifest(
        step=step, env_steps=env_steps, state=dict(state or {}),
        files=describe_files(stage.checkpoints, names),
        settings_hash=stage.settings_hash)
    write_manifest(stage.manifests, manifest)
    prune_manifests(stage.manifests, stage.checkpoints)
    self._latest = manifest
    self._is_prepared = True
    return manifest

  def latest(self) -> Optional[Manifest]:
    """The newest manifest as of `prepare` or `commit`; None if there is none.

    Raises:
      CheckpointError: neither was called, and no save is whole.
    """
    if not self._is_prepared:
      return newest_manifest(self._stage.manifests, self._stage.checkpoints)
    return self._latest

  def _set_aside(self, step: int) -> None:
    """Moves a damaged save away; it may still be of use to somebody."""
    aside = make_folder(os.path.join(self._stage.train, 'damaged'))
    paths = [os.path.join(self._stage.checkpoints, name)
             for name in save_files(self._stage.checkpoints).get(step, [])]
    # The manifest goes last: without it the files would count as orphans.
    for path in [*paths, manifest_path(self._stage.manifests, step)]:
      os.replace(path, os.path.join(aside, os.path.basename(path)))
    record_incident(self._stage.logs, 'damaged-checkpoint', step=step,
                    moved_to=aside)

  def _write_state_file(self, manifest: Optional[Manifest]) -> None:
    """Tells TF's CheckpointManager which saves there are, and the newest."""
    folder = self._stage.checkpoints
    path = os.path.join(folder, _STATE_FILE)
    if manifest is None:
      if os.path.exists(path):
        os.unlink(path)
      return
    saves = [step for step, names in sorted(tensorflow_saves(folder).items())
             if f'ckpt-{step}.index' in names]
    times: List[float] = [
        os.path.getmtime(os.path.join(folder, f'ckpt-{step}.index'))
        for step in saves]
    prefixes = [os.path.join(folder, f'ckpt-{step}') for step in saves]
    tf.__internal__.train.update_checkpoint_state(
        folder, prefixes[-1], all_model_checkpoint_paths=prefixes,
        all_model_checkpoint_timestamps=times,
        # The manager leaves older saves alone for ever; there are none.
        last_preserved_timestamp=0., save_relative_paths=True)
