"""Which variable belongs to which tensor of a checkpoint.

TensorFlow restores what it can match and says nothing of the rest: a model with
one more layer keeps that layer's random weights. Here everything must match.
"""

import collections
from typing import Any, Deque, Dict, List, Mapping, Set, Tuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from xtra_tf.errors import CheckpointError

_GRAPH_KEY = '_CHECKPOINTABLE_OBJECT_GRAPH'
_VALUE = 'VARIABLE_VALUE'
_SHOWN = 8


class _Saved:
  """The object graph of a checkpoint. Node 0 is its root."""

  def __init__(self, prefix: str):
    self.prefix = prefix
    try:
      self._reader = reader = tf.train.load_checkpoint(prefix)
      text = reader.get_tensor(_GRAPH_KEY)
      self._shapes = reader.get_variable_to_shape_map()
      self._dtypes = reader.get_variable_to_dtype_map()
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
      raise CheckpointError(
          f'{prefix} is not a readable checkpoint: {_first_line(error)}. '
          'Expected one that TensorFlow 2 has saved.') from error
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(text)
    self._nodes = graph.nodes

  def children(self, node: int) -> Dict[str, int]:
    return {c.local_name: c.node_id for c in self._nodes[node].children}

  def find(self, path: str) -> int:
    """The node of a path like `agent/world_model`."""
    node = 0
    for name in path.split('/'):
      children = self.children(node)
      if name not in children:
        raise CheckpointError(
            f'{self.prefix} has no object {path}: expected {name}, found '
            f'{", ".join(sorted(children)) or "nothing"}.')
      node = children[name]
    return node

  def tensor(self, node: int) -> Tuple[str, str]:
    """Key and kind (`float32[2, 3]`) of a variable's node; empty if none."""
    for attribute in self._nodes[node].attributes:
      if attribute.name == _VALUE:
        key = attribute.checkpoint_key
        return key, _kind(self._dtypes[key], self._shapes[key])
    return '', ''

  def value(self, node: int) -> np.ndarray:
    """The content of a variable's node."""
    key, _ = self.tensor(node)
    try:
      return np.asarray(self._reader.get_tensor(key))
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
      raise CheckpointError(f'{self.prefix} cannot be read at {key}: '
                            f'{_first_line(error)}.') from error

  def tensors_below(self, node: int) -> Dict[int, str]:
    """All nodes with a tensor at or below a node, {node: key}."""
    seen, queue, found = {node}, [node], {}
    while queue:
      current = queue.pop()
      key, _ = self.tensor(current)
      if key:
        found[current] = key
      for child in self.children(current).values():
        if child not in seen:
          seen.add(child)
          queue.append(child)
    return found


def tensors_below(prefix: str, path: str) -> Dict[str, np.ndarray]:
  """The variables of one object of a checkpoint, read from the file.

  Args:
    prefix: of the checkpoint.
    path: of the object, e.g. `agent`; one that has variables as children.

  Returns:
    {name of the child: array}; empty if the checkpoint has no such object.

  Raises:
    CheckpointError: the checkpoint cannot be read.
  """
  saved = _Saved(prefix)
  if path.split('/')[0] not in saved.children(0):
    return {}
  children = saved.children(saved.find(path))
  return {name: saved.value(node) for name, node in children.items()
          if saved.tensor(node)[0]}


def check_fits(prefix: str, objects: Mapping[str, Any]) -> None:
  """Refuses a checkpoint unless it and some objects have the same variables.

  Args:
    prefix: of the checkpoint, e.g. `.../ckpt-40`.
    objects: {path in the checkpoint, e.g. `agent/world_model`: object whose
      variables are to be restored}. All of its variables must exist.

  Raises:
    CheckpointError: variables are missing on one side, or differ in shape or
      type; names them, with both shapes.
  """
  saved = _Saved(prefix)
  problems: List[str] = []
  for path, item in objects.items():
    problems += _differences(saved, path, item)
  if problems:
    shown = problems[:_SHOWN]
    if len(problems) > _SHOWN:
      shown.append(f'... and {len(problems) - _SHOWN} more')
    raise CheckpointError(
        f'{prefix} does not fit:\n' + '\n'.join(f'  {p}' for p in shown)
        + '\nExpected the same variables on both sides. Was the checkpoint made'
        ' with other sizes (see model.json beside it)?')


def _differences(saved: _Saved, path: str, item: Any) -> List[str]:
  """Walks both graphs along equal names, as TensorFlow's restore does."""
  start = saved.find(path)
  problems: List[str] = []
  matched_nodes: Set[int] = set()
  matched: Set[int] = set()
  queue: Deque[Tuple[int, Any, str]] = collections.deque([(start, item, path)])
  seen = {id(item)}
  while queue:
    node, current, name = queue.popleft()
    if isinstance(current, tf.Variable):
      key, kind = saved.tensor(node)
      expected = _kind(current.dtype, current.shape)
      matched.add(id(current))
      matched_nodes.add(node)
      if kind != expected:
        problems.append(f'{name}: expected {expected}, found {kind or "no "}'
                        f'{"" if key else "variable"}')
    children = saved.children(node)
    for child_name, child in tf.train.TrackableView.children(current).items():
      if child_name in children and id(child) not in seen:
        seen.add(id(child))
        queue.append((children[child_name], child, f'{name}/{child_name}'))
  for name, variable in named_variables(item, path).items():
    if id(variable) not in matched:
      problems.append(f'{name}: expected '
                      f'{_kind(variable.dtype, variable.shape)}, found nothing '
                      'in the checkpoint')
  for node, key in sorted(saved.tensors_below(start).items()):
    if node not in matched_nodes:
      problems.append(f'{key.split("/.ATTRIBUTES")[0]}: found '
                      f'{saved.tensor(node)[1]} in the checkpoint, expected '
                      'nothing')
  return problems


def named_variables(item: Any, path: str = '') -> Dict[str, tf.Variable]:
  """All variables of an object under the names that a checkpoint gives them.

  Args:
    item: anything that TensorFlow can track.
    path: name of the object itself, the beginning of all names.

  Returns:
    {path: variable}, breadth first.
  """
  found: Dict[str, tf.Variable] = {}
  queue: Deque[Tuple[Any, str]] = collections.deque([(item, path)])
  seen = {id(item)}
  while queue:
    current, name = queue.popleft()
    if isinstance(current, tf.Variable):
      found[name] = current
    for child_name, child in tf.train.TrackableView.children(current).items():
      if id(child) not in seen:
        seen.add(id(child))
        queue.append((child, f'{name}/{child_name}' if name else child_name))
  return found


def _kind(dtype: tf.DType, shape: Any) -> str:
  return f'{tf.as_dtype(dtype).name}{list(tf.TensorShape(shape))}'


def _first_line(error: Exception) -> str:
  return str(error).strip().split('\n')[0] or type(error).__name__
