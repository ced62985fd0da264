"""Weights from one model of a process to another."""

from typing import Optional, Sequence

import tensorflow as tf

from xtra_tf.errors import CheckpointError
from xtra_tf.models.world_model import WorldModel
from xtra_tf.variables.checkpoint_graph import named_variables


def copy_variables(source: WorldModel, target: WorldModel,
                   parts: Optional[Sequence[str]] = None) -> None:
  """Gives one model the weights of another; normalization statistics too.

  Args:
    source: the model to copy from.
    target: the model to copy to, of the same structure.
    parts: names of sub-modules, e.g. ('representation', 'dynamics'); all if
      not given. Nothing else is touched.

  Raises:
    CheckpointError: the models differ in a part; names the first variable that
      does, with both shapes. Nothing has been copied then.
    ValueError: a model has no such part, or no variables in it yet.
  """
  pairs = []
  for part in ('',) if parts is None else parts:
    for name, model in (('source', source), ('target', target)):
      if part and not hasattr(model, part):
        raise ValueError(f'The {name} has no part {part!r}.')
    old = named_variables(getattr(target, part) if part else target, part)
    new = named_variables(getattr(source, part) if part else source, part)
    if not old and not new:
      raise ValueError('There is nothing to copy'
                       + (f' in {part!r}' if part else '')
                       + ': the models have no variables yet.')
    for name in (*old, *(name for name in new if name not in old)):
      here, there = new.get(name), old.get(name)
      if here is None or there is None or (
          here.shape != there.shape or here.dtype != there.dtype):
        raise CheckpointError(
            f'The models differ in {name}: the source has {_shown(here)}, the '
            f'target {_shown(there)}. Expected models of the same structure.')
      pairs.append((here, there))
  for here, there in pairs:
    there.assign(here)


def _shown(variable: Optional[tf.Variable]) -> str:
  if variable is None:
    return 'no such variable'
  return f'{variable.dtype.name}{list(variable.shape)}'
