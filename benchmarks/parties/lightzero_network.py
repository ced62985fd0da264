"""LightZero's search with its own PyTorch network, in EfficientZero's sizes."""

from typing import Any, Callable, Dict, List, Tuple

from easydict import EasyDict
from lzero.mcts import EfficientZeroMCTSCtree
from lzero.model.efficientzero_model import EfficientZeroModel
import numpy as np
import torch

from benchmarks.parties import full_network, serving


def build_model() -> EfficientZeroModel:
  """The same sizes as ours: one plane for the action, no zero heads."""
  torch.manual_seed(0)
  height, width, channels = full_network.OBSERVATION_SHAPE
  return EfficientZeroModel(
      observation_shape=(channels, height, width),
      action_space_size=full_network.NUM_ACTIONS, downsample=True,
      discrete_action_encoding_type='not_one_hot',
      last_linear_layer_init_zero=False).eval()


def build_search(num_simulations: int) -> EfficientZeroMCTSCtree:
  """LightZero's own search loop with the paper's constants."""
  return EfficientZeroMCTSCtree(EasyDict(
      num_simulations=num_simulations, discount_factor=full_network.DISCOUNT,
      lstm_horizon_len=full_network.PREFIX_HORIZON, device='cpu',
      env_type='not_board_games',
      root_dirichlet_alpha=full_network.NOISE_ALPHA,
      root_noise_weight=full_network.NOISE_FRACTION,
      model=EasyDict(support_scale=300, categorical_distribution=True)))


def search(model: EfficientZeroModel, mcts: EfficientZeroMCTSCtree,
           observation: torch.Tensor, random: np.random.Generator,
           legal_actions: List[List[int]]) -> Tuple[Any, Any]:
  """Encodes and searches, as `lzero/policy/efficientzero.py` does to collect.

  Args:
    model: the network.
    mcts: the search.
    observation: <float32>[B, 12, 96, 96].
    random: draws the roots' noise.
    legal_actions: ids, a list for each root.

  Returns:
    Visit counts, a list for each root, and root values.
  """
  batch = len(legal_actions)
  with torch.inference_mode():
    output = model.initial_inference(observation)
  hidden = tuple(x.numpy().copy() for x in output.reward_hidden_state)
  roots = mcts.roots(batch, legal_actions)
  to_play = [-1] * batch
  noise = [random.dirichlet([full_network.NOISE_ALPHA] * len(actions)).tolist()
           for actions in legal_actions]
  roots.prepare(full_network.NOISE_FRACTION, noise, list(output.value_prefix),
                output.policy_logits.tolist(), to_play)
  mcts.search(roots, model, output.latent_state.numpy(), hidden, to_play)
  return roots.get_distributions(), roots.get_values()


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """Encoding of `case['batch']` observations, and one search."""
  torch.set_num_threads(len(serving.processors()))
  model = build_model()
  mcts = build_search(case['num_simulations'])
  observation = torch.from_numpy(full_network.observations(case['batch']))
  legal_actions = [list(range(full_network.NUM_ACTIONS))] * case['batch']
  random = np.random.default_rng(0)
  return lambda: search(model, mcts, observation, random, legal_actions)


if __name__ == '__main__':
  serving.serve(prepare, ('lightzero', 'torch', 'numpy'))
