"""Our search with the linear model."""

from typing import Any, Callable, Dict, NamedTuple

import tensorflow as tf

from benchmarks.parties import linear_model, serving
from xtra_tf.planning import MctsPlanner
from xtra_tf.types import ModelOutput, Simulator


class LinearState(NamedTuple):
  """The 64 numbers, and those of them that a prefix reset clears."""
  latent: tf.Tensor  # <float32>[B, 56]
  memory: tf.Tensor  # <float32>[B, 8]


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One search of `case['batch']` roots, root noise on."""
  batch, num_actions = case['batch'], case['num_actions']
  weights = linear_model.LinearModel(*map(
      tf.constant, linear_model.linear_model(num_actions)))
  planner = MctsPlanner(num_simulations=case['num_simulations'],
                        discount=linear_model.DISCOUNT,
                        dirichlet_alpha=linear_model.NOISE_ALPHA)
  search = planner.bind(Simulator(
      recurrent=lambda state, action: _recurrent(weights, state, action),
      reset_prefix=_reset_prefix, prefix_horizon=linear_model.PREFIX_HORIZON))
  root = _output(weights, tf.constant(linear_model.roots(batch)))
  root = root._replace(reward=tf.zeros([batch]))
  legal = tf.ones([batch, num_actions], tf.bool)
  fraction = tf.constant(linear_model.NOISE_FRACTION)
  calls = 0

  def call() -> Any:
    nonlocal calls
    calls += 1
    found = search(root, legal, fraction, tf.constant([0, calls]))
    return found.target.numpy(), found.root_value.numpy()

  return call


def _recurrent(weights: linear_model.LinearModel, state: LinearState,
               action: tf.Tensor) -> ModelOutput:
  everything = tf.concat([state.latent, state.memory], axis=1)
  return _output(weights, tf.tanh(
      everything @ weights.transition + tf.gather(weights.action, action)))


def _output(weights: linear_model.LinearModel,
            everything: tf.Tensor) -> ModelOutput:
  latent, memory = tf.split(
      everything, [linear_model.SIZE - linear_model.MEMORY,
                   linear_model.MEMORY], axis=1)
  # The tree asks for scalars only.
  no_logits = tf.zeros([everything.shape[0], 1])
  return ModelOutput(
      state=LinearState(latent, memory),
      reward=tf.linalg.matvec(everything, weights.reward),
      value=tf.linalg.matvec(everything, weights.value),
      policy_logits=everything @ weights.policy, reward_logits=no_logits,
      value_logits=no_logits)


def _reset_prefix(state: LinearState, where: tf.Tensor) -> LinearState:
  return state._replace(
      memory=tf.where(where[:, tf.newaxis], 0., state.memory))


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'numpy'))
