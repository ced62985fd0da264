"""Weights of world models on disk: finding, restoring, writing.

A stage's folder and an exported checkpoint have the same form: model.json,
train/checkpoints/ckpt-<step>.*, train/manifests/<step>.json.
"""

import os
import re
from typing import Any, Dict, Mapping, NamedTuple, Optional

from absl import logging
import numpy as np
import tensorflow as tf

from xtra_tf.errors import CheckpointError
from xtra_tf.models.world_model import WorldModel
from xtra_tf.runs import (
  Manifest,
  StageDirectory,
  as_storage_error,
  make_folder,
  newest_manifest,
  write_manifest,
)
from xtra_tf.runs.manifest import (
  describe_files,
  manifest_steps,
  save_files,
  verified_manifest,
)
from xtra_tf.variables.checkpoint_graph import (
  check_fits,
  named_variables,
  tensors_below,
)
from xtra_tf.variables.model_description import (
  load_model_description,
  save_model_description,
)

# Where TF-Agents' Learner keeps the model of a WorldModelAgent.
_MODEL_PATH = 'agent/world_model'
# Where tensors travel that belong to the model's origin and not to the model.
_UNPLACED_PATH = 'unplaced'
_PREFIX = re.compile(r'ckpt-(\d+)(\.index)?')


class CheckpointInfo(NamedTuple):
  """A verified checkpoint."""
  path: str  # the stage's folder
  prefix: str  # as TensorFlow's restore takes it
  description: Dict[str, Any]  # of the model, as in model.json
  manifest: Manifest

  @property
  def step(self) -> int:
    """Gradient steps made."""
    return self.manifest.step

  @property
  def env_steps(self) -> int:
    """Environment steps taken."""
    return self.manifest.env_steps


def resolve_checkpoint(path: str) -> CheckpointInfo:
  """Finds a checkpoint and verifies its files.

  Args:
    path: a stage's folder or an exported checkpoint (its newest whole save), or
      one save in it, `.../train/checkpoints/ckpt-<step>`.

  Raises:
    CheckpointError: there is none, or it is damaged; names what is missing.
    DataFileError: its manifest or description is damaged.
  """
  path = os.path.abspath(path)
  folder, name = os.path.split(path)
  one_save = _PREFIX.fullmatch(name)
  if one_save:
    path = folder
  if path.endswith(os.path.join('train', 'checkpoints')):
    path = os.path.dirname(os.path.dirname(path))
  stage = StageDirectory(path)
  if not manifest_steps(stage.manifests):
    raise CheckpointError(f'{_what_is_there(path)} Expected the folder of a '
                          'stage or an exported checkpoint, with at least one '
                          'manifest in train/manifests.')
  if one_save:
    manifest = verified_manifest(stage.manifests, stage.checkpoints,
                                 int(one_save.group(1)))
  else:
    newest = newest_manifest(stage.manifests, stage.checkpoints, stage.logs)
    assert newest is not None
    manifest = newest
  return CheckpointInfo(
      path, os.path.join(stage.checkpoints, f'ckpt-{manifest.step}'),
      load_model_description(path), manifest)


def restore_world_model(model: WorldModel, path: str) -> CheckpointInfo:
  """Restores a model's weights, all of them, and nothing else.

  Args:
    model: its variables must exist.
    path: as of `resolve_checkpoint`.

  Returns:
    What was restored.

  Raises:
    CheckpointError: there is no such checkpoint, it is damaged, or it does not
      fit the model; names variables with both shapes.
    ValueError: the model has no variables yet.
  """
  if not named_variables(model):
    raise ValueError('The model has no variables yet; build it first.')
  info = resolve_checkpoint(path)
  check_fits(info.prefix, {_MODEL_PATH: model})
  try:
    status = _as_saved(model).read(info.prefix)
    status.assert_existing_objects_matched().expect_partial()
  except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
    raise CheckpointError(
        f'{info.prefix} cannot be restored: {error}') from error
  logging.info('Restored %s of step %d.', info.prefix, info.step)
  return info


def read_unplaced(info: CheckpointInfo) -> Dict[str, np.ndarray]:
  """The tensors that `save_world_model` was given beside the model.

  Args:
    info: of `resolve_checkpoint`.

  Returns:
    {name: array}; empty if there were none.

  Raises:
    CheckpointError: the checkpoint cannot be read.
  """
  return tensors_below(info.prefix, _UNPLACED_PATH)


def save_world_model(model: WorldModel, directory: str,
                     description: Mapping[str, Any], step: int = 0,
                     unplaced: Optional[Mapping[str, np.ndarray]] = None
                     ) -> str:
  """Writes a model as a checkpoint of its own, of the form of a stage.

  Args:
    model: its variables must exist.
    directory: where to; made if need be, and free of other checkpoints.
    description: of the model, as in model.json.
    step: gradient steps that it has been trained for.
    unplaced: {name: array} that shall travel with the model untouched, for
      `read_unplaced`.

  Returns:
    The directory.

  Raises:
    CheckpointError: the directory holds a checkpoint already.
    StorageError: no space, no permission.
    ValueError: the model has no variables yet.
  """
  if not named_variables(model):
    raise ValueError('The model has no variables yet; build it first.')
  stage = StageDirectory(directory)
  steps = manifest_steps(stage.manifests)
  if steps:
    raise CheckpointError(f'{directory} holds a checkpoint of step {steps[-1]} '
                          'already. Expected a folder without one.')
  make_folder(stage.checkpoints)
  save_model_description(directory, description)
  needed = sum(v.dtype.size * v.shape.num_elements() for v in model.variables)
  with as_storage_error(stage.checkpoints, needed):
    checkpoint = _as_saved(model)
    if unplaced:
      setattr(checkpoint, _UNPLACED_PATH, tf.train.Checkpoint(
          **{name: tf.Variable(array) for name, array in unplaced.items()}))
    checkpoint.write(os.path.join(stage.checkpoints, f'ckpt-{step}'))
  files = describe_files(stage.checkpoints, save_files(stage.checkpoints)[step])
  write_manifest(stage.manifests, Manifest(step=step, env_steps=0, files=files))
  return directory


def _as_saved(model: WorldModel) -> tf.train.Checkpoint:
  """The model at its place in the Learner's checkpoint."""
  return tf.train.Checkpoint(agent=tf.train.Checkpoint(world_model=model))


def _what_is_there(path: str) -> str:
  if not os.path.exists(path):
    return f'{path} does not exist.'
  if not os.path.isdir(path):
    return f'{path} is a file.'
  names = sorted(os.listdir(path))
  shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
  return f'{path} holds no checkpoint, only: {shown or "nothing"}.'
