"""How large an official network is, read off the shapes of its tensors."""

import math
from typing import List, Mapping, NamedTuple, Sequence, Tuple

from xtra_tf.errors import CheckpointError, UsageError
from xtra_tf.models.efficientzero_config import EfficientZeroConfig
from xtra_tf.models.official_names import (
  NAMES,
  OfficialTensor,
  family_of,
  tensor_kind,
)

POLICY_HEAD = 'prediction_network.fc_policy'
_VALUE_HEAD = 'prediction_network.fc_value'
_SHOWN = 12
_SHRINKAGE = 16  # of each side of an image, by downsampling


class TensorKind(NamedTuple):
  """Type and shape of a tensor that was found."""
  dtype: str
  shape: Tuple[int, ...]


def official_family(source: str, names: Sequence[str]) -> str:
  """Whose network a state dict is of.

  Args:
    source: the file, for messages.
    names: of its tensors.

  Returns:
    `efficientzero` or `xtra`.

  Raises:
    CheckpointError: it is of another family.
  """
  family = family_of(names)
  if family is None:
    shown = ', '.join(list(names)[:4]) + (', ...' if len(names) > 4 else '')
    expected = ' or '.join(
        f'{parts.blocks}.* and {parts.lstm_norm}.*' for parts in NAMES.values())
    raise CheckpointError(
        f'{source} is no checkpoint of EfficientZero or XTRA: expected tensors '
        f'named {expected}, found {shown or "no tensors"}.')
  return family


def official_config(source: str, family: str,
                    found: Mapping[str, TensorKind]) -> EfficientZeroConfig:
  """The sizes of the network that a state dict is of.

  Images are taken to be square, and what no tensor shows (steps between two
  resets of the value prefix, the factor of gradients) to be as published.

  Args:
    source: the file, for messages.
    family: of `official_family`.
    found: {name: kind} of its tensors.

  Returns:
    The sizes. `num_actions` is the size of the policy head.

  Raises:
    CheckpointError: a tensor that shows a size is missing or has another rank,
      or no network has these sizes.
  """
  sizes = _Sizes(source, found)
  parts = NAMES[family]
  downsample = any(name.startswith(f'{parts.downsampling}.') for name in found)
  stem = (f'{parts.downsampling}.conv1' if downsample
          else 'representation_network.conv')
  head_channels = sizes.axis('prediction_network.conv1x1_value.weight', 4, 0)
  flat = sizes.axis(f'{_VALUE_HEAD}.0.weight', 2, 1)
  side = math.isqrt(flat // max(head_channels, 1))
  if side * side * head_channels != flat:
    raise CheckpointError(
        f'{source}: the tensor {_VALUE_HEAD}.0.weight takes {flat} numbers, '
        'which are no square latent of the '
        f'{head_channels} channels of prediction_network.conv1x1_value.weight.')
  side *= _SHRINKAGE if downsample else 1
  hidden = sizes.hidden(_VALUE_HEAD)
  bins = sizes.axis(f'{_VALUE_HEAD}.{3 * len(hidden)}.weight', 2, 0)
  if bins % 2 == 0:
    raise CheckpointError(
        f'{source}: the tensor {_VALUE_HEAD}.{3 * len(hidden)}.weight has '
        f'{bins} bins, expected an odd number: -support..support.')
  blocks = sizes.count(f'{parts.blocks}.{{}}.conv1.weight')
  try:
    return EfficientZeroConfig(
        observation_shape=(side, side, sizes.axis(f'{stem}.weight', 4, 1)),
        num_actions=sizes.axis(policy_tensor(hidden), 2, 0),
        channels=sizes.axis('dynamics_network.conv.weight', 4, 0),
        representation_blocks=max(blocks, 1), downsample=downsample,
        head_channels=head_channels, head_hidden=hidden,
        lstm_size=sizes.axis('dynamics_network.lstm.weight_hh_l0', 2, 1),
        support=bins // 2,
        projection_hidden=sizes.axis('projection.0.weight', 2, 0),
        projection_size=sizes.axis('projection.6.weight', 2, 0),
        projection_head_hidden=sizes.axis('projection_head.0.weight', 2, 0))
  except UsageError as error:
    raise CheckpointError(f'{source} is of a network that cannot be built: '
                          f'{error}') from error


def policy_tensor(head_hidden: Sequence[int]) -> str:
  """Name of the tensor that makes the policy logits."""
  return f'{POLICY_HEAD}.{3 * len(head_hidden)}.weight'


def check_tensors(source: str, expected: Sequence[OfficialTensor],
                  found: Mapping[str, TensorKind]) -> None:
  """Refuses a state dict that is not exactly that of a network.

  Args:
    source: the file, for messages.
    expected: all tensors of the network.
    found: {name: kind} of the state dict.

  Raises:
    CheckpointError: lists missing, unexpected and misshapen tensors, with both
      shapes.
  """
  rows = {row.name: row for row in expected}
  missing = [f'{name}: expected {row.kind()}, found nothing'
             for name, row in rows.items() if name not in found]
  unexpected = [f'{name}: expected nothing, found {tensor_kind(*kind)}'
                for name, kind in found.items() if name not in rows]
  misshapen = [
      f'{name}: expected {row.kind()}, found {tensor_kind(*found[name])}'
      for name, row in rows.items()
      if name in found and found[name] != (row.dtype, row.shape)]
  lines = [*_listed('missing', missing), *_listed('unexpected', unexpected),
           *_listed('misshapen', misshapen)]
  if lines:
    raise CheckpointError(
        f'{source} does not hold the tensors of a network of its sizes:\n'
        + '\n'.join(lines) + '\nNothing is padded or left out. Expected the '
        'whole state dict of an EfficientZero or XTRA network.')


def _listed(title: str, problems: List[str]) -> List[str]:
  if not problems:
    return []
  lines = [f'  {title} ({len(problems)}):']
  lines += [f'    {problem}' for problem in problems[:_SHOWN]]
  if len(problems) > _SHOWN:
    lines.append(f'    ... and {len(problems) - _SHOWN} more')
  return lines


class _Sizes:
  """Axes of tensors that must be there."""

  def __init__(self, source: str, found: Mapping[str, TensorKind]):
    self._source = source
    self._found = found

  def axis(self, name: str, rank: int, axis: int) -> int:
    if name not in self._found:
      raise CheckpointError(
          f'{self._source} lacks the tensor {name}, which shows a size of the '
          f'network: expected one of {rank} axes, found nothing.')
    shape = self._found[name].shape
    if len(shape) != rank:
      raise CheckpointError(
          f'{self._source}: the tensor {name} has the shape {list(shape)}, '
          f'expected {rank} axes.')
    return shape[axis]

  def count(self, pattern: str) -> int:
    """How many of `pattern.format(0)`, `pattern.format(1)`, ... there are."""
    number = 0
    while pattern.format(number) in self._found:
      number += 1
    return number

  def hidden(self, mlp: str) -> Tuple[int, ...]:
    """Sizes of an MLP's hidden layers; a batch norm follows each."""
    count = 0
    while f'{mlp}.{3 * count + 1}.running_mean' in self._found:
      count += 1
    return tuple(self.axis(f'{mlp}.{3 * i}.weight', 2, 0)
                 for i in range(count))
