"""Weights of the official networks, into a model of ours and out of it.

Nothing is computed: arrays are transposed, so that what goes in comes out bit
for bit.
"""

import math
from typing import Any, Dict, Mapping, Sequence

import numpy as np
import tensorflow as tf

from xtra_tf.models.efficientzero import EfficientZero
from xtra_tf.models.official_names import OfficialTensor

# Axes of a kernel of ours in PyTorch's (outputs, inputs, height, width), and
# back; {rank: axes}. Heads flatten channels first on both sides, so that their
# rows need no new order.
_TO_OURS = {4: (2, 3, 1, 0), 2: (1, 0)}
_TO_OFFICIAL = {4: (3, 2, 0, 1), 2: (1, 0)}
_INITIAL_SEED = 0


def assign_weights(model: EfficientZero, expected: Sequence[OfficialTensor],
                   tensors: Mapping[str, np.ndarray]) -> None:
  """Gives a model the weights of a state dict.

  Args:
    model: of the sizes that `expected` is of.
    expected: as of `official_names.official_tensors`.
    tensors: {name: array}, exactly these.
  """
  for row in expected:
    if row.variable is not None and row.alias_of is None:
      array = tensors[row.name]
      _variable(model, row.variable).assign(
          np.transpose(array, _TO_OURS.get(array.ndim)))


def unplaced_tensors(expected: Sequence[OfficialTensor],
                     tensors: Mapping[str, np.ndarray]
                     ) -> Dict[str, np.ndarray]:
  """Those tensors of a state dict that have no place in our network."""
  return {row.name: tensors[row.name] for row in expected
          if row.variable is None}


def exported_weights(model: EfficientZero, expected: Sequence[OfficialTensor],
                     unplaced: Mapping[str, np.ndarray]
                     ) -> Dict[str, np.ndarray]:
  """The inverse of `assign_weights`.

  Args:
    model: of the sizes that `expected` is of.
    expected: as of `official_names.official_tensors`.
    unplaced: tensors without a place in our network, as they came in; those
      that are not given have their initial values.

  Returns:
    {name: array} in the official order. Two names of one tensor have one and
    the same array.
  """
  random = np.random.default_rng(_INITIAL_SEED)
  tensors: Dict[str, np.ndarray] = {}
  for row in expected:
    if row.alias_of is not None:
      tensors[row.name] = tensors[row.alias_of]
    elif row.variable is not None:
      array = _variable(model, row.variable).numpy()
      tensors[row.name] = np.ascontiguousarray(
          np.transpose(array, _TO_OFFICIAL.get(array.ndim)))
    elif row.name in unplaced:
      tensors[row.name] = unplaced[row.name]
    else:
      tensors[row.name] = _initial(row, random)
  return tensors


def _variable(model: EfficientZero, path: str) -> tf.Variable:
  """The variable at a path like `prediction.value.hidden.0.kernel`."""
  current: Any = model
  for part in path.split('.'):
    current = current[int(part)] if part.isdigit() else getattr(current, part)
  return current


def _initial(row: OfficialTensor, random: np.random.Generator) -> np.ndarray:
  """What PyTorch's constructors give a module that is never called."""
  if len(row.shape) > 1:
    bound = 1. / math.sqrt(math.prod(row.shape[1:]))
    return random.uniform(-bound, bound, row.shape).astype(row.dtype)
  ones = row.name.endswith(('.weight', '.running_var'))
  return np.full(row.shape, 1 if ones else 0, row.dtype)
