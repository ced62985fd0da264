"""Checkpoints of the official code, into ours and out of ours.

PyTorch is not needed on either way, and no code of a file is run.
"""

import dataclasses
import hashlib
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from xtra_tf.errors import (
  CheckpointError,
  IncompatibleDataError,
  UsageError,
  near_names,
)
from xtra_tf.experiments.roles import stacked_shape
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.models.official_names import (
  FAMILIES,
  official_tensors,
  why_not_official,
)
from xtra_tf.models.official_sizes import (
  TensorKind,
  check_tensors,
  official_config,
  official_family,
  policy_tensor,
)
from xtra_tf.models.official_weights import (
  assign_weights,
  exported_weights,
  unplaced_tensors,
)
from xtra_tf.models.registry import build_world_model
from xtra_tf.runs import make_folder
from xtra_tf.tasks import TaskSpec, get_task
from xtra_tf.variables import (
  StateDict,
  module_versions,
  read_state_dict,
  read_unplaced,
  resolve_checkpoint,
  restore_world_model,
  save_world_model,
  write_state_dict,
)

# Whose behaviour a network was trained with, see docs/fidelity.md.
_PROFILES = {'efficientzero': 'efficientzero_head', 'xtra': 'xtra_official'}
# The official environments give frames that have been through a JPEG file.
_CODEC = 'jpeg'
# XTRA's code builds this one representation and this one head.
_XTRA_BLOCKS, _XTRA_ACTIONS = 4, 18


class ImportedModel(NamedTuple):
  """An official state dict as a model of ours."""
  model: EfficientZero
  names: str  # whose: `efficientzero` or `xtra`
  unplaced: Dict[str, np.ndarray]  # tensors without a place in the model


class ImportSummary(NamedTuple):
  """What an import has found."""
  directory: str
  config: EfficientZeroConfig
  names: str
  placed: int  # tensors of the file that are the model's now
  unplaced: int  # tensors that travel beside it


class ExportSummary(NamedTuple):
  """What an export has written."""
  path: str
  names: str
  tensors: int
  left_out: Tuple[str, ...]  # travelling tensors without a name in the family


def load_official_model(source: str, task: Optional[str] = None
                        ) -> ImportedModel:
  """Reads a `.p` file into a model of the sizes that its tensors show.

  Args:
    source: the file.
    task: the game that its action head is of, if it is of one game's.

  Raises:
    DataFileError: the file is damaged, or is no state dict.
    CheckpointError: it is of another family, or its tensors are not exactly
      those of one network; lists which, with both shapes.
    IncompatibleDataError: the network does not fit the task.
    UsageError: no such task.
  """
  tensors = read_state_dict(source).tensors
  found = {name: TensorKind(array.dtype.name, array.shape)
           for name, array in tensors.items()}
  family = official_family(source, list(found))
  config = official_config(source, family, found)
  expected = official_tensors(config, family)
  check_tensors(source, expected, found)
  for row in expected:
    array = tensors[row.name]
    if row.alias_of is not None and (
        array.tobytes() != tensors[row.alias_of].tobytes()):
      raise CheckpointError(
          f'{source}: the tensors {row.alias_of} and {row.name} differ, but '
          'the official network has one and the same tensor under both names.')
    if row.variable is not None and not np.isfinite(array).all():
      raise CheckpointError(
          f'{source}: the tensor {row.name} of shape {list(row.shape)} has '
          'values that are not finite.')
  if task is not None:
    config = config_for_task(config, _task_of(config, task), source)
  model = EfficientZero(config, seed=0)
  assign_weights(model, expected, tensors)
  return ImportedModel(model, family, unplaced_tensors(expected, tensors))


def config_for_task(config: EfficientZeroConfig, task: TaskSpec, source: str
                    ) -> EfficientZeroConfig:
  """The network's configuration with which it plays a task.

  The head of an EfficientZero network has a place for each action of one game,
  and does not say which: with the task they are known.

  Args:
    config: sizes of the network.
    task: what it shall play.
    source: the checkpoint, for messages.

  Returns:
    The configuration, with `action_ids` where the head is the game's own.

  Raises:
    IncompatibleDataError: the head or the frames do not fit the task; names
      the tensor and both shapes.
  """
  legal = task.legal_actions
  fits = (config.num_actions == task.num_actions
          if config.action_ids is None else
          set(legal) <= set(config.action_ids))
  own = config.action_ids is None and config.num_actions == len(legal)
  if not fits and not own:
    inputs = _flat_inputs(config)
    expected = f'{[task.num_actions, inputs]} (all actions of its family)'
    if len(legal) < task.num_actions:
      expected = (f'{[len(legal), inputs]} (the actions of the task) or '
                  f'{expected}')
    raise IncompatibleDataError(
        f'{source}: the action head does not fit {task.name}. The tensor '
        f'{policy_tensor(config.head_hidden)} has the shape '
        f'{[config.network_actions, inputs]}, expected {expected}.')
  shape = stacked_shape(task)
  if shape != config.observation_shape:
    raise IncompatibleDataError(
        f'{source}: the network sees observations of shape '
        f'{list(config.observation_shape)}, {task.name} has {list(shape)}.')
  if fits:
    return config
  return dataclasses.replace(config, num_actions=task.num_actions,
                             action_ids=legal)


def import_checkpoint(source: str, output: str, task: Optional[str] = None
                      ) -> ImportSummary:
  """Writes a checkpoint of ours with the network of a `.p` file.

  Args:
    source: the file.
    output: folder of the checkpoint; made if need be, without one so far.
    task: as of `load_official_model`.

  Raises:
    UserError: as of `load_official_model`; or there is a checkpoint already,
      or no space.
  """
  if os.path.exists(os.path.join(output, 'model.json')):
    raise CheckpointError(f'{output} holds a checkpoint already. Expected a '
                          'folder without one.')
  imported = load_official_model(source, task)
  model = imported.model
  spec = None if task is None else _task_of(model.config, task)
  description: Dict[str, Any] = {
      **model.description(),
      'task': None if spec is None else spec.fingerprint(), 'codec': _CODEC,
      'profile': _PROFILES[imported.names],
      'origin': {'names': imported.names, 'file': os.path.basename(source),
                 'sha256': _sha256(source)}}
  save_world_model(model, output, description, unplaced=imported.unplaced)
  return ImportSummary(output, model.config, imported.names,
                       len(model.variables), len(imported.unplaced))


def export_checkpoint(checkpoint: str, output: str,
                      names: Optional[str] = None) -> ExportSummary:
  """Writes a checkpoint of ours as a `.p` file for the official code.

  Args:
    checkpoint: as of `resolve_checkpoint`.
    output: the file, which must not exist.
    names: whose names the tensors get, `efficientzero` or `xtra`; None: those
      that they came with, else XTRA's if the network is one of XTRA's.

  Raises:
    UsageError: the file exists, or there is no such family.
    CheckpointError: there is no such checkpoint, or the official code has no
      such network.
    StorageError: no space, no permission.
  """
  if os.path.lexists(output):
    raise UsageError(f'{output} exists already. Expected the path of a new '
                     'file.')
  if names is not None and names not in FAMILIES:
    raise UsageError(f'No official names are called {names!r}. '
                     f'{near_names(names, FAMILIES)}')
  info = resolve_checkpoint(checkpoint)
  model = build_world_model(info.description, seed=0)
  if not isinstance(model, EfficientZero):
    raise CheckpointError(
        f'{checkpoint} holds a model of the family '
        f'{info.description["family"]!r}, which the official code does not '
        'have. Expected efficientzero.')
  names = names or _names_of(info.description, model.config)
  problem = why_not_official(model.config, names)
  if problem:
    raise CheckpointError(f'{checkpoint} cannot be exported: {problem}')
  restore_world_model(model, checkpoint)
  unplaced = read_unplaced(info)
  tensors = exported_weights(model, official_tensors(model.config, names),
                             unplaced)
  make_folder(os.path.dirname(os.path.abspath(output)))
  write_state_dict(output, StateDict(tensors, module_versions(tensors)))
  return ExportSummary(output, names, len(tensors),
                       tuple(name for name in unplaced if name not in tensors))


def _names_of(description: Dict[str, Any], config: EfficientZeroConfig) -> str:
  origin = description.get('origin')
  if isinstance(origin, dict) and origin.get('names') in FAMILIES:
    return origin['names']
  is_xtra = (config.representation_blocks == _XTRA_BLOCKS
             and config.network_actions == _XTRA_ACTIONS)
  return 'xtra' if is_xtra else 'efficientzero'


def _task_of(config: EfficientZeroConfig, name: str) -> TaskSpec:
  """The task, with frames as the network sees them if it has such."""
  height, _, channels = config.observation_shape
  colours = 1 if channels % 3 else 3
  return get_task(name, resolution=height, grayscale=colours == 1,
                  stack=channels // colours)


def _flat_inputs(config: EfficientZeroConfig) -> int:
  """Numbers that the last layer of the policy head takes."""
  if config.head_hidden:
    return config.head_hidden[-1]
  height, width, _ = config.latent_shape
  return config.head_channels * height * width


def _sha256(path: str) -> str:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
