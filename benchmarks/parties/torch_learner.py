"""EfficientZero's gradient step in plain PyTorch.

The same sizes, losses, encodings for consistency, augmentation and optimizer
as ours, written as PyTorch is usually written.
"""

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.parties import serving
from benchmarks.parties.torch_efficientzero import EfficientZero

STEPS, SUPPORT = 5, 300


def two_hot(x: torch.Tensor) -> torch.Tensor:
  """Scaled scalars as distributions over the integers -300..300."""
  x = x.sign() * ((x.abs() + 1.).sqrt() - 1.) + 0.001 * x
  x = x.clamp(-SUPPORT, SUPPORT)
  low = x.floor()
  high_part = x - low
  found = torch.zeros(*x.shape, 2 * SUPPORT + 1)
  index = (low + SUPPORT).long()[..., None]
  found.scatter_(-1, index, (1. - high_part)[..., None])
  found.scatter_add_(-1, (index + 1).clamp(max=2 * SUPPORT),
                     high_part[..., None])
  return found


def unscale(y: torch.Tensor) -> torch.Tensor:
  """Inverse of the scaling in `two_hot`."""
  root = (1. + 0.004 * (y.abs() + 1.001)).sqrt()
  return y.sign() * (((root - 1.) / 0.002)**2 - 1.)


def cross_entropy(target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
  """Per row."""
  return -(target * functional.log_softmax(logits, -1)).sum(-1)


def augment(x: torch.Tensor) -> torch.Tensor:
  """Random shift by up to 4 pixels, then brightness; one draw a row."""
  rows, _, height, width = x.shape
  padded = functional.pad(x, (4, 4, 4, 4), mode='replicate')
  top, left = torch.randint(0, 9, (2, rows)).tolist()
  x = torch.stack([padded[i, :, top[i]:top[i] + height,
                          left[i]:left[i] + width] for i in range(rows)])
  noise = torch.randn(rows, 1, 1, 1).clamp(-2., 2.)
  return x * (1. + 0.05 * noise)


class Learner:
  """The network, its optimizer and one batch."""

  def __init__(self, data: Dict[str, np.ndarray], augmented: bool = True):
    self.model = EfficientZero().train()
    self._optimizer = torch.optim.SGD(
        self.model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4)
    self._data = {name: torch.from_numpy(x) for name, x in data.items()}
    self._augmented = augmented
    self._step = 0

  def step(self) -> float:
    """One whole step; returns its loss."""
    loss, _ = self.loss()
    self._optimizer.zero_grad(set_to_none=True)
    (loss / STEPS).backward()
    nn.utils.clip_grad_norm_(self.model.parameters(), 5.)
    for group in self._optimizer.param_groups:
      group['lr'] = 0.2 * min(1., self._step / 1000.)
    self._optimizer.step()
    self._step += 1
    return loss.item()

  def gradient_norm(self) -> Tuple[float, float]:
    """Loss and norm of its scaled gradient."""
    loss, _ = self.loss()
    (loss / STEPS).backward()
    norm = nn.utils.clip_grad_norm_(self.model.parameters(), 5.)
    return loss.item(), norm.item()

  def _views(self) -> Tuple[torch.Tensor, List[torch.Tensor]]:
    """Root and the following stacks, scaled and augmented."""
    frames = self._data['frames']
    rows, (height, width) = frames.shape[0], frames.shape[2:4]
    frames = frames.permute(0, 1, 4, 2, 3).float() / 255.
    root = frames[:, :4].reshape(rows, 12, height, width)
    later = frames[:, 1:9].reshape(rows, 24, height, width)
    if self._augmented:
      root, later = augment(root), augment(later)
    return root, [later[:, 3 * k:3 * k + 12] for k in range(STEPS)]

  def loss(self) -> Tuple[torch.Tensor, torch.Tensor]:
    """Mean loss, and the rows' priorities."""
    model, data = self.model, self._data
    root, later = self._views()
    state = model.representation(root)
    policy, value = model.prediction(state)
    values, policies, prefixes, consistency = [value], [policy], [], []
    memory = (torch.zeros(1, state.shape[0], model.units),) * 2
    for k in range(STEPS):
      state, memory, prefix = model.dynamics(state, memory,
                                             data['actions'][:, k])
      policy, value = model.prediction(state)
      with torch.no_grad():
        seen = model.representation(later[k])
        # The running statistics of the official code see these too.
        model.prediction(seen)
        wanted = model.projection(seen, with_head=False)
      found = model.projection(state, with_head=True)
      consistency.append(-functional.cosine_similarity(
          found, wanted, dim=-1, eps=1e-5))
      values.append(value)
      policies.append(policy)
      prefixes.append(prefix)
    def total(target: torch.Tensor, logits: List[torch.Tensor],
              mask: torch.Tensor) -> torch.Tensor:
      return (mask * cross_entropy(target, torch.stack(logits, 1))).sum(1)
    each = (
        total(two_hot(data['prefix']), prefixes, data['prefix_mask'])
        + 0.25 * total(two_hot(data['value']), values, data['value_mask'])
        + total(data['policy'], policies, data['policy_mask'])
        + 2. * (data['consistency_mask'] * torch.stack(consistency, 1)).sum(1))
    bins = torch.arange(-SUPPORT, SUPPORT + 1.)
    with torch.no_grad():
      predicted = unscale((values[0].softmax(-1) * bins).sum(-1))
      priority = (predicted - data['value'][:, 0]).abs()
    return (data['weight'] * each).mean(), priority


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One whole step on the batch in the file `case['batch_file']`."""
  torch.set_num_threads(len(serving.processors()))
  return Learner(_read(case['batch_file'])).step


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """Loss and gradient norm with the weights and the batch of a file."""
  data = _read(case['batch_file'])
  weights = [data.pop(f'weight_{i}') for i in range(
      sum(name.startswith('weight_') for name in data))]
  learner = Learner(data, augmented=False)
  parameters = list(learner.model.parameters())
  if len(parameters) != len(weights):
    raise ValueError(f'{len(weights)} weights for {len(parameters)}.')
  with torch.no_grad():
    for parameter, weight in zip(parameters, weights):
      if weight.ndim == 4:
        weight = weight.transpose(3, 2, 0, 1)
      elif weight.ndim == 2:
        weight = weight.T
      if parameter.shape != weight.shape:
        raise ValueError(f'{weight.shape} for {tuple(parameter.shape)}.')
      parameter.copy_(torch.from_numpy(weight.copy()))
  loss, norm = learner.gradient_norm()
  return {'loss': loss, 'gradient_norm': norm,
          'parameters': sum(p.numel() for p in parameters)}


def _read(path: str) -> Dict[str, np.ndarray]:
  with np.load(path, allow_pickle=False) as file:
    return {name: file[name] for name in file.files}


if __name__ == '__main__':
  serving.serve(prepare, ('torch', 'numpy'), measure)
