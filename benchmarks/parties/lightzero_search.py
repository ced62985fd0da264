"""LightZero's C++ EfficientZero tree with the linear model in PyTorch.

States stay in one tensor and are gathered by index, which is quicker than the
lists of LightZero's own loop (`lzero/mcts/tree_search/mcts_ctree.py`).
"""

from typing import Any, Callable, Dict, Tuple

from lzero.mcts.ctree.ctree_efficientzero import ez_tree
import numpy as np
import torch

from benchmarks.parties import linear_model, serving

_PB_C_BASE = 19652
_PB_C_INIT = 1.25
_VALUE_DELTA_MAX = 0.01


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One search of `case['batch']` roots, root noise on."""
  torch.set_num_threads(len(serving.processors()))
  weights = linear_model.LinearModel(*map(
      torch.from_numpy, linear_model.linear_model(case['num_actions'])))
  state = torch.from_numpy(linear_model.roots(case['batch']))
  random = np.random.default_rng(0)

  def call() -> Any:
    with torch.inference_mode():
      return _search(weights, state, case, random)

  return call


def _search(weights: linear_model.LinearModel, root_state: torch.Tensor,
            case: Dict[str, Any],
            random: np.random.Generator) -> Tuple[Any, Any]:
  batch, num_actions = case['batch'], case['num_actions']
  roots = ez_tree.Roots(batch, [list(range(num_actions))] * batch)
  noise = random.dirichlet([linear_model.NOISE_ALPHA] * num_actions, batch)
  # In LightZero, -1 stands for a game of one player.
  to_play = [-1] * batch
  roots.prepare(linear_model.NOISE_FRACTION, noise.tolist(), [0.] * batch,
                (root_state @ weights.policy).tolist(), to_play)
  ranges = ez_tree.MinMaxStatsList(batch)
  ranges.set_delta(_VALUE_DELTA_MAX)
  states = torch.empty([case['num_simulations'] + 1, *root_state.shape])
  states[0] = root_state
  for simulation in range(1, case['num_simulations'] + 1):
    results = ez_tree.ResultsWrapper(num=batch)
    node, tree, action, players = ez_tree.batch_traverse(
        roots, _PB_C_BASE, _PB_C_INIT, linear_model.DISCOUNT, ranges, results,
        to_play)
    state = torch.tanh(states[node, tree] @ weights.transition
                       + weights.action[action])
    ends = np.array(results.get_search_len()) % linear_model.PREFIX_HORIZON == 0
    states[simulation] = state
    if ends.any():
      states[simulation, torch.from_numpy(ends), -linear_model.MEMORY:] = 0.
    ez_tree.batch_backpropagate(
        simulation, linear_model.DISCOUNT, (state @ weights.reward).tolist(),
        (state @ weights.value).tolist(), (state @ weights.policy).tolist(),
        ranges, results, ends.astype(np.int32).tolist(), players)
  return roots.get_distributions(), roots.get_values()


if __name__ == '__main__':
  serving.serve(prepare, ('lightzero', 'torch', 'numpy'))
