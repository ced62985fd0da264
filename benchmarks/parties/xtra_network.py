"""Our search with the network of gin/sizes/efficientzero.gin."""

from typing import Any, Callable, Dict

import gin
import numpy as np
import tensorflow as tf

from benchmarks.parties import full_network, serving
from xtra_tf.experiments import configuration
from xtra_tf.models import EfficientZero
from xtra_tf.planning import MctsPlanner


def build_model() -> EfficientZero:
  """The network of the paper, with random heads: zeros would give no tree."""
  gin.clear_config()
  configuration.parse(['sizes/efficientzero.gin'], [])
  return EfficientZero(configuration.EfficientZeroConfig(
      observation_shape=full_network.OBSERVATION_SHAPE,
      num_actions=full_network.NUM_ACTIONS, zero_initial_heads=False), seed=0)


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """Encoding of `case['batch']` observations, and one search."""
  batch = case['batch']
  model = build_model()
  planner = MctsPlanner(num_simulations=case['num_simulations'],
                        discount=full_network.DISCOUNT,
                        **case.get('planner', {}))
  search = planner.bind(model.simulator())
  encode = tf.function(model.initial_inference, autograph=False)
  observation = np.moveaxis(full_network.observations(batch), 1, -1)
  legal = tf.ones([batch, full_network.NUM_ACTIONS], tf.bool)
  fraction = tf.constant(full_network.NOISE_FRACTION)
  calls = 0

  def call() -> Any:
    nonlocal calls
    calls += 1
    root = encode(tf.constant(observation))
    found = search(root, legal, fraction, tf.constant([0, calls]))
    return found.target.numpy(), found.root_value.numpy()

  return call


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'numpy'))
