"""EfficientZero's network in plain PyTorch, for the learner benchmark's peer.

Modules are made in the order in which xtra_tf makes its variables, so
that weights travel as a list. Layout B, C, H, W.
"""

from typing import Any, Tuple

import torch
from torch import nn
from torch.nn import functional


class ScaleGradient(torch.autograd.Function):
  """Identity whose gradient is halved."""

  @staticmethod
  def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
    del ctx
    return x.view_as(x)

  @staticmethod
  def backward(ctx: Any, upstream: torch.Tensor) -> torch.Tensor:
    del ctx
    return 0.5 * upstream


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
  """3x3, zero padding 1, no bias."""
  return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class Block(nn.Module):
  """Two convolutions around a skip connection."""

  def __init__(self, inputs: int, outputs: int, stride: int = 1):
    super().__init__()
    self.conv_1 = conv(inputs, outputs, stride)
    self.norm_1 = nn.BatchNorm2d(outputs)
    self.conv_2 = conv(outputs, outputs)
    self.norm_2 = nn.BatchNorm2d(outputs)
    self.skip = conv(inputs, outputs, stride) if stride > 1 else None

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    y = functional.relu(self.norm_1(self.conv_1(x)))
    y = self.norm_2(self.conv_2(y))
    return functional.relu(y + (x if self.skip is None else self.skip(x)))


class Reducer(nn.Module):
  """1x1 convolution, batch norm, relu, flat."""

  def __init__(self, inputs: int, outputs: int):
    super().__init__()
    self.conv = nn.Conv2d(inputs, outputs, 1)
    self.norm = nn.BatchNorm2d(outputs)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return functional.relu(self.norm(self.conv(x))).flatten(1)


class Mlp(nn.Module):
  """Linear - batch norm - relu for hidden layers, then linear."""

  def __init__(self, *sizes: int, zero_last: bool = False):
    super().__init__()
    self.hidden = nn.ModuleList(
        nn.Linear(*pair) for pair in zip(sizes[:-2], sizes[1:-1]))
    self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in sizes[1:-1])
    self.last = nn.Linear(sizes[-2], sizes[-1])
    if zero_last:
      nn.init.zeros_(self.last.weight)
      nn.init.zeros_(self.last.bias)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    for linear, norm in zip(self.hidden, self.norms):
      x = functional.relu(norm(linear(x)))
    return self.last(x)


class Representation(nn.Module):
  """96 x 96 x 12 to 6 x 6 x 64."""

  def __init__(self, channels: int):
    super().__init__()
    half = channels // 2
    self.stem = conv(12, half, 2)
    self.norm = nn.BatchNorm2d(half)
    self.block_half = Block(half, half)
    self.block_halving = Block(half, channels, 2)
    self.block_quarter = Block(channels, channels)
    self.block_eighth = Block(channels, channels)
    self.block_latent = Block(channels, channels)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = functional.relu(self.norm(self.stem(x)))
    x = self.block_quarter(self.block_halving(self.block_half(x)))
    x = self.block_eighth(functional.avg_pool2d(x, 3, 2, 1))
    return self.block_latent(functional.avg_pool2d(x, 3, 2, 1))


class Dynamics(nn.Module):
  """Latent and action to the next latent and the value prefix."""

  def __init__(self, channels: int, actions: int, bins: int, units: int):
    super().__init__()
    self._actions = actions
    self.conv = conv(channels + 1, channels)
    self.norm = nn.BatchNorm2d(channels)
    self.block = Block(channels, channels)
    self.reducer = Reducer(channels, 16)
    self.lstm = nn.LSTM(16 * 36, units)
    self.lstm_norm = nn.BatchNorm1d(units)
    self.prefix = Mlp(units, 32, bins, zero_last=True)

  def forward(self, latent: torch.Tensor, memory: Tuple[torch.Tensor, ...],
              action: torch.Tensor) -> Tuple:
    plane = (action.float() / self._actions)[:, None, None, None]
    x = torch.cat([latent, plane.expand(-1, 1, *latent.shape[2:])], dim=1)
    x = functional.relu(self.norm(self.conv(x)) + latent)
    latent = ScaleGradient.apply(self.block(x))
    y, memory = self.lstm(self.reducer(latent)[None], memory)
    y = functional.relu(self.lstm_norm(y[0]))
    return latent, memory, self.prefix(y)


class Prediction(nn.Module):
  """Latent to policy and value logits."""

  def __init__(self, channels: int, actions: int, bins: int):
    super().__init__()
    self.block = Block(channels, channels)
    self.value_reducer = Reducer(channels, 16)
    self.value = Mlp(16 * 36, 32, bins, zero_last=True)
    self.policy_reducer = Reducer(channels, 16)
    self.policy = Mlp(16 * 36, 32, actions, zero_last=True)

  def forward(self, latent: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    x = self.block(latent)
    return (self.policy(self.policy_reducer(x)),
            self.value(self.value_reducer(x)))


class Projection(nn.Module):
  """Projector and head of the consistency loss."""

  def __init__(self, channels: int):
    super().__init__()
    self.projector = Mlp(channels * 36, 1024, 1024, 1024)
    self.norm = nn.BatchNorm1d(1024)
    self.head = Mlp(1024, 512, 1024)

  def forward(self, latent: torch.Tensor, with_head: bool) -> torch.Tensor:
    x = self.norm(self.projector(latent.flatten(1)))
    return self.head(x) if with_head else x


class EfficientZero(nn.Module):
  """All four parts, in the sizes of gin/sizes/efficientzero.gin."""

  def __init__(self, actions: int = 18, support: int = 300,
               channels: int = 64, units: int = 512):
    super().__init__()
    bins = 2 * support + 1
    self.units = units
    self.representation = Representation(channels)
    self.dynamics = Dynamics(channels, actions, bins, units)
    self.prediction = Prediction(channels, actions, bins)
    self.projection = Projection(channels)
