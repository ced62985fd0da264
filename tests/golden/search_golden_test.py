"""Searches of the official C++ tree on tables, number by number.

Every `search_*.npz` in the folder named by XTRA_GOLDEN_DIR (default: data/
beside this file) is a case; sizes and constants are the file's own. The
official tree was changed in two points: ties go to the lowest action, and the
range of Q uses each node's true parent. Its root values are over
simulations + 1.
"""

import functools
import glob
import os

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.planning import MctsPlanner
from xtra_tf.planning.mcts import search as mcts
from xtra_tf.testing import numpy_mcts
from xtra_tf.testing.tabular_world import TabularWorld

_FOLDER = os.environ.get('XTRA_GOLDEN_DIR') or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), 'data')
_FILES = sorted(glob.glob(os.path.join(_FOLDER, 'search_*.npz')))
# A difference in the last bit can flip a near tie.
_AGREEING = 0.99
# A decorator without any case is an error of its own; see setUp.
_CASES = [(os.path.basename(path), path) for path in _FILES] or [('none', '')]


@functools.lru_cache(maxsize=1)
def _read(path):
  with np.load(path, allow_pickle=False) as file:
    return {name: file[name] for name in file.files}


def _world(data):
  # A horizon of 0 never resets; no path is longer than the simulations.
  horizon = int(data['lstm_horizon']) or int(data['num_simulations']) + 1
  return TabularWorld(
      next_state=data['next_state'].astype(np.int32),
      reward=data['reward'].astype(np.float32),
      value=data['value'].astype(np.float32),
      policy_logits=data['policy_logits'].astype(np.float32),
      prefix_horizon=horizon)


def _constants(data):
  return {
      'num_simulations': int(data['num_simulations']),
      'root_value_divisor': 'simulations_plus_one',
      **{name: float(data[name]) for name in (
          'discount', 'pb_c_base', 'pb_c_init', 'value_delta_max')}}


class SearchGoldenTest(tf.test.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    if not _FILES:
      # A folder of the caller's own may hold the other kind alone.
      self.assertNotEmpty(glob.glob(os.path.join(_FOLDER, '*_*.npz')),
                          f'No golden files in {_FOLDER}.')
      self.skipTest(f'No search_*.npz in {_FOLDER}.')

  def assert_agrees(self, data, visits, root_value):
    expected = data['visit_counts']
    agree = (np.asarray(visits) == expected).all(axis=1)
    self.assertGreaterEqual(
        agree.mean(), _AGREEING,
        f'{(~agree).sum()} of {len(agree)} trees differ: '
        f'{np.flatnonzero(~agree)[:10]}.')
    self.assertAllClose(np.asarray(root_value)[agree],
                        data['root_value'][agree], rtol=1e-4, atol=1e-4)

  @parameterized.named_parameters(*[
      (f'{name}_{"compiled" if compiled else "traced"}', path, compiled)
      for name, path in _CASES for compiled in (False, True)])
  def test_batched_search(self, path, compiled):
    data = _read(path)
    world = _world(data)
    settings = MctsPlanner(tie_break='lowest', **_constants(data))
    legal = tf.constant(data['legal_actions'].astype(bool))
    # The noise is the file's, so what the planner wraps is called itself.
    found = tf.function(
        lambda: mcts.search(
            world.root(data['root_state']), legal,
            tf.constant(data['root_noise'], tf.float32)
            * tf.cast(legal, tf.float32),
            tf.constant(data['exploration_fraction'], tf.float32),
            tf.constant([0, 0]), world.simulator(), settings),
        autograph=False, jit_compile=compiled or None)()
    self.assert_agrees(data, found.target, found.root_value)

  @parameterized.named_parameters(*_CASES)
  def test_slow_twin(self, path):
    """The twin, to which other tests hold the batched search."""
    data = _read(path)
    world, constants = _world(data), numpy_mcts.SearchConstants(
        **_constants(data))
    results = [
        numpy_mcts.NumpyTree(
            world, int(state), legal.astype(bool), constants, noise * legal,
            float(data['exploration_fraction'])).run()
        for state, legal, noise in zip(
            data['root_state'], data['legal_actions'], data['root_noise'])]
    self.assert_agrees(data, [r.visit_counts for r in results],
                       [r.root_value for r in results])


if __name__ == '__main__':
  tf.test.main()
