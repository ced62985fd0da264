"""Sizes of an EfficientZero network; the defaults are EfficientZero's."""

import dataclasses
from typing import Any, Dict, Mapping, Optional, Tuple

from xtra_tf.errors import UsageError, near_names
from xtra_tf.models.representation import SHRINKAGES, latent_shape

COMPUTE_DTYPES = ('float32', 'bfloat16')
ACTION_ENCODINGS = ('level', 'one_hot')
PREFIX_NORMS = ('batch', 'layer')


@dataclasses.dataclass(frozen=True)
class EfficientZeroConfig:
  """Sizes of the network.

  Source: EfficientZero `config/atari/__init__.py`; XTRA
  `config/atari/model.py` for 4 representation blocks (EfficientZero-L).

  Attributes:
    observation_shape: of a stacked observation, (H, W, S * C) or (S * D,).
    num_actions: A of the task family.
    action_ids: ids of the actions that the network knows, in the order of its
      policy logits; None: all. EfficientZero's networks know the minimal
      actions of one game (`config/atari/__init__.py`, `set_game`).
    channels: of the latent; a downsampling stem has half as many.
    representation_blocks: residual blocks per stage of the representation.
    downsample: whether images shrink; False keeps their resolution.
    shrinkage: factor by which each side shrinks; the official networks' is 16,
      for 96 pixels. Half of it makes as many cells of 48 pixels.
    head_channels: channels left in front of each head's MLP.
    head_hidden: hidden sizes of the MLPs of value, policy and prefix.
    lstm_size: units of the value prefix's LSTM.
    prefix_horizon: steps after which the value prefix starts anew.
    support: the bins of value and prefix are -support..support.
    projection_hidden: hidden sizes of the projector.
    projection_size: of a projection.
    projection_head_hidden: hidden size of the projection's head.
    state_gradient_scale: factor of the gradient at each predicted latent.
    normalize_state: whether each latent is brought to [0, 1]. The official code
      has it and leaves it off. Without it latents grow along an unroll, as the
      consistency loss sees their direction alone, so that the running
      statistics, which all steps share, fit none of them until the network has
      learned otherwise: in short trainings that is never.
    zero_initial_heads: whether value, prefix and policy logits start at 0.
    action_encoding: how the dynamics sees an action. `level`, the official
      form: one plane of its number / A, from which the network has to learn
      that neighbouring numbers are no similar actions. `one_hot`: a plane for
      each action, as in LightZero's EfficientZero.
    prefix_norm: of the value prefix's LSTM and MLP. `batch`, the official form:
      in training the rows of each unrolled step are normalised by themselves,
      which hides from the MLP how many rewards were summed up, so that in short
      trainings prefixes of one step come out near the mean of all steps.
      `layer`: each row by itself, the same in training and inference.
    compute_dtype: of convolutions and linear maps. `bfloat16`: half the memory
      and, on accelerators and processors that know it, less time. Weights,
      batch norm, the LSTM's gates and memory, states, last layers of the heads
      and all that follows stay float32, and so do checkpoints.
  """
  observation_shape: Tuple[int, ...]
  num_actions: int = 18
  action_ids: Optional[Tuple[int, ...]] = None
  channels: int = 64
  representation_blocks: int = 1
  downsample: bool = True
  shrinkage: int = 16
  head_channels: int = 16
  head_hidden: Tuple[int, ...] = (32,)
  lstm_size: int = 512
  prefix_horizon: int = 5
  support: int = 300
  projection_hidden: int = 1024
  projection_size: int = 1024
  projection_head_hidden: int = 512
  state_gradient_scale: float = 0.5
  normalize_state: bool = False
  zero_initial_heads: bool = True
  action_encoding: str = 'level'
  prefix_norm: str = 'batch'
  compute_dtype: str = 'float32'

  def __post_init__(self) -> None:
    """Refuses sizes that no network has.

    Raises:
      UsageError: naming the field, what was found and what is accepted.
    """
    # JSON and gin give lists; the dataclass must stay hashable.
    for name in ('observation_shape', 'head_hidden'):
      object.__setattr__(self, name, tuple(getattr(self, name)))
    if self.action_ids is not None:
      object.__setattr__(self, 'action_ids', tuple(self.action_ids))
      self._check_action_ids(self.action_ids)
    for field in dataclasses.fields(self):
      if field.type in (int, Tuple[int, ...]):
        self._check_positive(field.name)
    for name, known in (('action_encoding', ACTION_ENCODINGS),
                        ('prefix_norm', PREFIX_NORMS)):
      found = getattr(self, name)
      if found not in known:
        raise UsageError(
            f'`{name}` is {found!r}. {near_names(str(found), known)}')
    if self.compute_dtype not in COMPUTE_DTYPES:
      raise UsageError(
          f'`compute_dtype` is {self.compute_dtype!r}. '
          f'{near_names(str(self.compute_dtype), COMPUTE_DTYPES)} float16 is '
          'not offered: its gradients vanish without loss scaling.')
    rank = len(self.observation_shape)
    if rank not in (1, 3):
      raise UsageError('`observation_shape` must be (height, width, channels) '
                       f'or (size,), got {self.observation_shape}.')
    if self.has_images and self.downsample:
      self._check_downsampling()

  def _check_positive(self, name: str) -> None:
    value = getattr(self, name)
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(n, int) and n > 0 for n in numbers):
      raise UsageError(f'`{name}` must be made of whole numbers > 0, got '
                       f'{value!r}.')

  def _check_action_ids(self, ids: Tuple[int, ...]) -> None:
    if (not ids or len(set(ids)) != len(ids)
        or not all(type(n) is int and 0 <= n < self.num_actions for n in ids)):
      raise UsageError(
          '`action_ids` must be distinct whole numbers of 0..'
          f'{self.num_actions - 1}, at least one, or None for all, got {ids}.')

  def _check_downsampling(self) -> None:
    if self.shrinkage not in SHRINKAGES:
      raise UsageError('A downsampling network has a `shrinkage` of '
                       f'{SHRINKAGES}, got {self.shrinkage}.')
    height, width, _ = self.observation_shape
    if height % self.shrinkage or width % self.shrinkage:
      raise UsageError(
          'A downsampling network takes images whose sides are multiples of '
          f'{self.shrinkage}, got {height} x {width}. Choose another '
          'resolution, `shrinkage` or `downsample = False`.')
    if self.channels % 2:
      raise UsageError('A downsampling network needs an even number of '
                       f'`channels`, got {self.channels}.')

  @property
  def has_images(self) -> bool:
    """Whether observations are images, and not vectors."""
    return len(self.observation_shape) == 3

  @property
  def network_actions(self) -> int:
    """Actions that the network knows: policy logits, steps of its plane."""
    return (self.num_actions if self.action_ids is None
            else len(self.action_ids))

  @property
  def bins(self) -> int:
    """Bins of value and prefix."""
    return 2 * self.support + 1

  @property
  def latent_shape(self) -> Tuple[int, int, int]:
    """(h, w, C)."""
    return latent_shape(self.observation_shape, self.channels, self.downsample,
                        self.shrinkage)

  def to_json(self) -> Dict[str, Any]:
    """The fields as JSON knows them."""
    fields = dataclasses.asdict(self)
    return {k: list(v) if isinstance(v, tuple) else v
            for k, v in fields.items()}

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> 'EfficientZeroConfig':
    """The inverse of `to_json`; fields left out have their defaults.

    Args:
      fields: names and values.

    Returns:
      The configuration.

    Raises:
      UsageError: for a name that is no field, or a value that cannot be.
    """
    known = [field.name for field in dataclasses.fields(cls)]
    for name in fields:
      if name not in known:
        raise UsageError(f'EfficientZero has no setting {name!r}. '
                         f'{near_names(name, known)}')
    if 'observation_shape' not in fields:
      raise UsageError('EfficientZero needs an `observation_shape`, got '
                       f'{sorted(fields)}.')
    return cls(**fields)
