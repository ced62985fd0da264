"""The tree search behind the Planner protocol."""

import dataclasses
from typing import Tuple

import tensorflow as tf

from xtra_tf.planning.mcts import root_noise
from xtra_tf.planning.mcts.search import search
from xtra_tf.planning.mcts.settings import SearchSettings
from xtra_tf.planning.planner import Planner, SearchFn
from xtra_tf.types import ModelOutput, SearchOutput, Simulator


@dataclasses.dataclass(frozen=True)
class MctsPlanner(SearchSettings, Planner):
  """EfficientZero's Monte-Carlo tree search over B trees at a time.

  Faults of the official tree are put right by default: the range of Q uses each
  node's true parent (`min_max_reward`), root values are not drawn towards 0 by
  a visit that never was (`root_value_divisor`), and equal scores are decided by
  a seed. See `SearchSettings` for these and for the numbers.
  """
  compile_search: bool = True  # with XLA

  def target_shape(self, num_actions: int) -> Tuple[int, ...]:
    """See Planner: visit counts, one an action."""
    return (num_actions,)

  def bind(self, simulator: Simulator) -> SearchFn:
    """See Planner.

    Args:
      simulator: see Planner.

    Returns:
      See Planner. The function raises ValueError for arguments of other
      shapes or types, and InvalidArgumentError for a row without a legal
      action (not when it runs inside another function compiled with XLA, which
      knows no assertions).

    Raises:
      ValueError: for a prefix horizon below 1.
    """
    if simulator.prefix_horizon < 1:
      raise ValueError('`prefix_horizon` must be at least 1, got '
                       f'{simulator.prefix_horizon}.')

    @tf.function(autograph=False, jit_compile=self.compile_search or None)
    def search_trees(root: ModelOutput, legal_actions: tf.Tensor,
                     noise: tf.Tensor, noise_fraction: tf.Tensor,
                     seed: tf.Tensor) -> SearchOutput:
      return search(root, legal_actions, noise, noise_fraction, seed, simulator,
                    self)

    # The noise is drawn outside of what XLA compiles: TensorFlow Probability
    # has another sampler for XLA, and a seed would mean another search.
    @tf.function(autograph=False)
    def bound(root: ModelOutput, legal_actions: tf.Tensor,
              noise_fraction: tf.Tensor, seed: tf.Tensor) -> SearchOutput:
      _check(root, legal_actions, noise_fraction, seed)
      noise_seed, tie_seed = tf.unstack(
          tf.random.experimental.stateless_split(seed, 2))
      noise = root_noise.dirichlet(legal_actions, self.dirichlet_alpha,
                                   noise_seed)
      return search_trees(root, legal_actions, noise, noise_fraction, tie_seed)

    return bound


def _check(root: ModelOutput, legal_actions: tf.Tensor,
           noise_fraction: tf.Tensor, seed: tf.Tensor) -> None:
  """Raises on arguments that the search cannot mean."""
  shape = legal_actions.shape
  if shape.rank != 2 or not shape.is_fully_defined():
    raise ValueError('`legal_actions` must be [B, A] with static sizes, got '
                     f'{shape}.')
  if legal_actions.dtype != tf.bool:
    raise ValueError('`legal_actions` must be bool, got '
                     f'{legal_actions.dtype.name}.')
  if root.policy_logits.shape != shape:
    raise ValueError(
        'The root and `legal_actions` must have the same batch and actions, '
        f'got logits {root.policy_logits.shape} and actions {shape}.')
  if noise_fraction.dtype != tf.float32 or noise_fraction.shape.rank != 0:
    raise ValueError('`noise_fraction` must be <float32>[], got '
                     f'<{noise_fraction.dtype.name}>{noise_fraction.shape}.')
  if seed.dtype != tf.int32 or seed.shape != [2]:
    raise ValueError('`seed` must be <int32>[2], got '
                     f'<{seed.dtype.name}>{seed.shape}.')
  tf.debugging.assert_equal(
      tf.reduce_all(tf.reduce_any(legal_actions, axis=1)), True,
      message='Every row of `legal_actions` needs a legal action.')
