"""mctx's searches with the linear model: `muzero` and `gumbel`.

mctx's rewards are those of a step; the work of a simulation is the same.
"""

from typing import Any, Callable, Dict, Tuple

import jax
import jax.numpy as jnp
import mctx

from benchmarks.parties import linear_model, serving


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One search of `case['batch']` roots by `case['policy']`."""
  weights = jax.tree_util.tree_map(
      jnp.asarray, linear_model.linear_model(case['num_actions']))
  root_state = jnp.asarray(linear_model.roots(case['batch']))

  def recurrent(weights: Any, _: Any, action: Any, state: Any
                ) -> Tuple[mctx.RecurrentFnOutput, Any]:
    state = jnp.tanh(state @ weights.transition + weights.action[action])
    return mctx.RecurrentFnOutput(
        reward=state @ weights.reward,
        discount=jnp.full([state.shape[0]], linear_model.DISCOUNT),
        prior_logits=state @ weights.policy,
        value=state @ weights.value), state

  @jax.jit
  def search(weights: Any, key: Any) -> Any:
    root = mctx.RootFnOutput(
        prior_logits=root_state @ weights.policy,
        value=root_state @ weights.value, embedding=root_state)
    if case['policy'] == 'muzero':
      found = mctx.muzero_policy(
          weights, key, root, recurrent, case['num_simulations'],
          dirichlet_fraction=linear_model.NOISE_FRACTION,
          dirichlet_alpha=linear_model.NOISE_ALPHA)
    else:
      found = mctx.gumbel_muzero_policy(
          weights, key, root, recurrent, case['num_simulations'])
    return found.action_weights, found.search_tree.summary().value

  calls = 0

  def call() -> Any:
    nonlocal calls
    calls += 1
    return jax.block_until_ready(search(weights, jax.random.PRNGKey(calls)))

  return call


if __name__ == '__main__':
  serving.serve(prepare, ('jax', 'jaxlib', 'mctx', 'numpy'))
