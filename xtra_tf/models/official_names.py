"""Names and shapes of the official networks' tensors, and where ours are.

EfficientZero and XTRA hold the same network under two sets of names. A state
dict of either says by its shapes how large the network is.
Source: EfficientZero and XTRA `config/atari/model.py`.
"""

from typing import Iterable, Iterator, List, NamedTuple, Optional, Tuple

from xtra_tf.models.efficientzero_config import EfficientZeroConfig

FAMILIES = ('efficientzero', 'xtra')

# Statistics and counters of a batch norm: {official name: ours}.
_NORM = {'weight': 'gamma', 'bias': 'beta', 'running_mean': 'running_mean',
         'running_var': 'running_variance'}


class FamilyNames(NamedTuple):
  """What the two codes call differently."""
  downsampling: str  # module of the representation that makes images smaller
  blocks: str  # the representation's last residual blocks
  lstm_norm: str  # batch norm behind the LSTM
  has_idle_stem: bool  # a stem without downsampling is there and never called


NAMES = {
    'efficientzero': FamilyNames(
        'representation_network.downsample_net',
        'representation_network.resblocks',
        'dynamics_network.bn_value_prefix', True),
    'xtra': FamilyNames(
        'representation_network.downsample_dict.front',
        'representation_network.repblocks',
        'dynamics_network.bn_reward_sum', False)}


class OfficialTensor(NamedTuple):
  """One tensor of an official state dict."""
  name: str
  shape: Tuple[int, ...]  # in PyTorch's layout
  variable: Optional[str]  # path from our model; None if it has no place there
  dtype: str = 'float32'
  alias_of: Optional[str] = None  # the earlier name of one and the same tensor

  def kind(self) -> str:
    """Type and shape as messages show them, e.g. `float32[6, 32]`."""
    return tensor_kind(self.dtype, self.shape)


def tensor_kind(dtype: str, shape: Iterable[int]) -> str:
  """Type and shape as messages show them, e.g. `float32[6, 32]`."""
  return f'{dtype}{list(shape)}'


def family_of(names: Iterable[str]) -> Optional[str]:
  """Whose names these are.

  Args:
    names: of the tensors of a state dict.

  Returns:
    One of FAMILIES; None if they are nobody's, or some of each.
  """
  names = list(names)
  found = [family for family, parts in NAMES.items()
           if any(name.startswith(f'{part}.') for name in names
                  for part in (parts.downsampling, parts.blocks,
                               parts.lstm_norm))]
  return found[0] if len(found) == 1 else None


def official_tensors(config: EfficientZeroConfig,
                     family: str) -> List[OfficialTensor]:
  """The state dict of the official network of these sizes, in its order.

  Modules that the official code makes and never calls are among them, with
  `variable` None: the residual block `reward_resblocks`, EfficientZero's stem
  without downsampling; so are the counters `num_batches_tracked`.

  Args:
    config: sizes.
    family: whose names.

  Returns:
    The tensors.

  Raises:
    ValueError: there is no official network like that.
  """
  problem = why_not_official(config, family)
  if problem:
    raise ValueError(problem)
  return [*_representation(config, NAMES[family]),
          *_dynamics(config, NAMES[family]), *_prediction(config),
          *_projection(config)]


def why_not_official(config: EfficientZeroConfig, family: str
                     ) -> Optional[str]:
  """Says why the official code has no such network; None if it has one."""
  if family not in NAMES:
    return f'There is no family {family!r}, only {" and ".join(FAMILIES)}.'
  if not config.has_images:
    return ('The official networks see images, this one vectors of '
            f'{config.observation_shape[0]} numbers.')
  if not config.downsample and not NAMES[family].has_idle_stem:
    return f'The networks of {family} always downsample, this one does not.'
  if config.downsample and config.shrinkage != 16:
    return (f'The networks of {family} shrink images by 16, this one by '
            f'{config.shrinkage}.')
  if config.action_encoding != 'level':
    return (f'The networks of {family} see an action as one plane, this one '
            'as a plane for each.')
  if config.prefix_norm != 'batch':
    return (f'The networks of {family} have a batch norm behind their LSTM, '
            f'this one a {config.prefix_norm} norm.')
  return None


def _norm(name: str, channels: int, variable: Optional[str]
          ) -> Iterator[OfficialTensor]:
  for official, ours in _NORM.items():
    yield OfficialTensor(f'{name}.{official}', (channels,),
                         variable and f'{variable}.{ours}')
  yield OfficialTensor(f'{name}.num_batches_tracked', (), None, 'int64')


def _convolution(name: str, inputs: int, outputs: int, variable: Optional[str],
                 size: int = 3) -> OfficialTensor:
  return OfficialTensor(f'{name}.weight', (outputs, inputs, size, size),
                        variable and f'{variable}.kernel')


def _linear(name: str, inputs: int, outputs: int, variable: str
            ) -> Iterator[OfficialTensor]:
  yield OfficialTensor(f'{name}.weight', (outputs, inputs),
                       f'{variable}.kernel')
  yield OfficialTensor(f'{name}.bias', (outputs,), f'{variable}.bias')


def _block(name: str, inputs: int, outputs: int, variable: Optional[str]
           ) -> Iterator[OfficialTensor]:
  for i, width in ((1, inputs), (2, outputs)):
    yield _convolution(f'{name}.conv{i}', width, outputs,
                       variable and f'{variable}.conv_{i}')
    yield from _norm(f'{name}.bn{i}', outputs,
                     variable and f'{variable}.norm_{i}')


def _blocks(name: str, channels: int, count: int, variable: str
            ) -> Iterator[OfficialTensor]:
  for i in range(count):
    yield from _block(f'{name}.{i}', channels, channels, f'{variable}.{i}')


def _mlp(name: str, sizes: List[int], variable: str
         ) -> Iterator[OfficialTensor]:
  """Modules 0, 3, 6, ... are linear; a batch norm and a relu follow each."""
  for i, (inputs, outputs) in enumerate(zip(sizes[:-2], sizes[1:-1])):
    yield from _linear(f'{name}.{3 * i}', inputs, outputs,
                       f'{variable}.hidden.{i}')
    yield from _norm(f'{name}.{3 * i + 1}', outputs, f'{variable}.norms.{i}')
  yield from _linear(f'{name}.{3 * len(sizes) - 6}', sizes[-2], sizes[-1],
                     f'{variable}.last')


def _representation(config: EfficientZeroConfig, names: FamilyNames
                    ) -> Iterator[OfficialTensor]:
  channels, blocks = config.channels, config.representation_blocks
  observed = config.observation_shape[-1]
  if config.downsample:
    yield from _downsampling(names.downsampling, observed, channels, blocks)
  if names.has_idle_stem:
    # The stem where there is no downsampling; else made and never called.
    used = not config.downsample
    yield _convolution('representation_network.conv', observed, channels,
                       'representation.stem' if used else None)
    yield from _norm('representation_network.bn', channels,
                     'representation.stem_norm' if used else None)
  yield from _blocks(names.blocks, channels, blocks,
                     'representation.blocks_latent')


def _downsampling(name: str, observed: int, channels: int, blocks: int
                  ) -> Iterator[OfficialTensor]:
  half = channels // 2
  yield _convolution(f'{name}.conv1', observed, half, 'representation.stem')
  yield from _norm(f'{name}.bn1', half, 'representation.stem_norm')
  yield from _blocks(f'{name}.resblocks1', half, blocks,
                     'representation.blocks_half')
  # The skip of the block that follows; it is registered there once more.
  skip = _convolution(f'{name}.conv2', half, channels,
                      'representation.halving.skip')
  yield skip
  yield from _block(f'{name}.downsample_block', half, channels,
                    'representation.halving')
  yield skip._replace(name=f'{name}.downsample_block.downsample.weight',
                      alias_of=skip.name)
  yield from _blocks(f'{name}.resblocks2', channels, blocks,
                     'representation.blocks_quarter')
  yield from _blocks(f'{name}.resblocks3', channels, blocks,
                     'representation.blocks_eighth')


def _dynamics(config: EfficientZeroConfig, names: FamilyNames
              ) -> Iterator[OfficialTensor]:
  channels, units = config.channels, config.lstm_size
  yield _convolution('dynamics_network.conv', channels + 1, channels,
                     'dynamics.conv')
  yield from _norm('dynamics_network.bn', channels, 'dynamics.norm')
  yield from _block('dynamics_network.resblocks.0', channels, channels,
                    'dynamics.block')
  yield from _block('dynamics_network.reward_resblocks.0', channels, channels,
                    None)
  yield from _reducer(config, 'dynamics_network.conv1x1_reward',
                      'dynamics.prefix_reducer')
  yield from _norm('dynamics_network.bn_reward', config.head_channels,
                   'dynamics.prefix_reducer.norm')
  lstm = 'dynamics_network.lstm'
  for letters, inputs, ours in (('ih', _flat(config), 'input'),
                                ('hh', units, 'recurrent')):
    yield OfficialTensor(f'{lstm}.weight_{letters}_l0', (4 * units, inputs),
                         f'dynamics.lstm.{ours}_kernel')
  for letters, ours in (('ih', 'input'), ('hh', 'recurrent')):
    yield OfficialTensor(f'{lstm}.bias_{letters}_l0', (4 * units,),
                         f'dynamics.lstm.{ours}_bias')
  yield from _norm(names.lstm_norm, units, 'dynamics.lstm_norm')
  yield from _mlp('dynamics_network.fc',
                  [units, *config.head_hidden, config.bins], 'dynamics.prefix')


def _prediction(config: EfficientZeroConfig) -> Iterator[OfficialTensor]:
  channels = config.channels
  heads = (('value', config.bins), ('policy', config.network_actions))
  yield from _block('prediction_network.resblocks.0', channels, channels,
                    'prediction.block')
  for head, _ in heads:
    yield from _reducer(config, f'prediction_network.conv1x1_{head}',
                        f'prediction.{head}_reducer')
  for head, _ in heads:
    yield from _norm(f'prediction_network.bn_{head}', config.head_channels,
                     f'prediction.{head}_reducer.norm')
  for head, outputs in heads:
    yield from _mlp(f'prediction_network.fc_{head}',
                    [_flat(config), *config.head_hidden, outputs],
                    f'prediction.{head}')


def _projection(config: EfficientZeroConfig) -> Iterator[OfficialTensor]:
  height, width, channels = config.latent_shape
  hidden, size = config.projection_hidden, config.projection_size
  yield from _mlp('projection',
                  [height * width * channels, hidden, hidden, size],
                  'projection.projector')
  # The official projector ends with a batch norm, in the same sequence.
  yield from _norm('projection.7', size, 'projection.projector_norm')
  yield from _mlp('projection_head',
                  [size, config.projection_head_hidden, size],
                  'projection.head')


def _reducer(config: EfficientZeroConfig, name: str, variable: str
             ) -> Iterator[OfficialTensor]:
  """The 1x1 convolution in front of a head, which has a bias."""
  yield _convolution(name, config.channels, config.head_channels,
                     f'{variable}.conv', size=1)
  yield OfficialTensor(f'{name}.bias', (config.head_channels,),
                       f'{variable}.conv.bias')


def _flat(config: EfficientZeroConfig) -> int:
  """Numbers that a head sees."""
  height, width, _ = config.latent_shape
  return config.head_channels * height * width
