"""A head for some actions against a network that has only these."""

import numpy as np
import tensorflow as tf

from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.models.action_head import ABSENT_LOGIT, ActionHead
from xtra_tf.numerics import losses
from xtra_tf.planning.mcts import search as mcts
from xtra_tf.planning.mcts.settings import SearchSettings

IDS = (11, 0, 3, 12, 4)  # not in order: places are what counts
FAMILY = 18
ROWS = 6
SIZES = {'channels': 4, 'head_channels': 2, 'head_hidden': (4,),
         'lstm_size': 4, 'support': 5, 'projection_hidden': 8,
         'projection_size': 8, 'projection_head_hidden': 4,
         'zero_initial_heads': False}
ASCENDING = tuple(sorted(IDS))


def twins(ids):
  """A model of the family's ids and one of places, with equal weights."""
  family = EfficientZero(EfficientZeroConfig(
      (6,), num_actions=FAMILY, action_ids=ids, **SIZES), seed=3)
  native = EfficientZero(EfficientZeroConfig(
      (6,), num_actions=len(ids), **SIZES), seed=3)
  for one, other in zip(family.variables, native.variables, strict=True):
    other.assign(one)
  return family, native


def observations():
  return tf.constant(
      np.random.default_rng(0).normal(size=[ROWS, 6]), tf.float32)


class ActionHeadTest(tf.test.TestCase):

  def test_places(self):
    head = ActionHead(IDS, FAMILY)
    self.assertEqual(head.size, 5)
    self.assertAllEqual(head.places(tf.constant(IDS)), [0., 1., 2., 3., 4.])

  def test_an_unknown_action_is_no_number(self):
    head = ActionHead(IDS, FAMILY)
    others = [n for n in range(FAMILY) if n not in IDS]
    self.assertAllEqual(np.isnan(head.places(tf.constant(others))),
                        [True] * len(others))

  def test_family_logits(self):
    logits = ActionHead((2, 0), 4).family_logits(
        tf.constant([[5., 7.], [-1., 2.]]))
    self.assertAllEqual(logits, [[7., ABSENT_LOGIT, 5., ABSENT_LOGIT],
                                 [2., ABSENT_LOGIT, -1., ABSENT_LOGIT]])

  def test_all_actions_in_order_change_nothing(self):
    head = ActionHead(range(4), 4)
    logits = tf.random.stateless_normal([3, 4], [1, 2])
    self.assertAllEqual(head.family_logits(logits), logits)
    self.assertAllEqual(head.places(tf.range(4)), [0., 1., 2., 3.])


class TwinTest(tf.test.TestCase):
  """The family's model says what the native one says, in other columns."""

  def test_unroll(self):
    family, native = twins(IDS)
    mine = family.initial_inference(observations(), training=True)
    theirs = native.initial_inference(observations(), training=True)
    for step in range(4):
      self.assertAllClose(
          tf.gather(mine.policy_logits, IDS, axis=1), theirs.policy_logits)
      for name in ('state', 'reward', 'value', 'reward_logits',
                   'value_logits'):
        for one, other in zip(tf.nest.flatten(getattr(mine, name)),
                              tf.nest.flatten(getattr(theirs, name))):
          self.assertAllEqual(one, other, msg=name)
      places = (np.arange(ROWS) + step) % len(IDS)
      mine = family.recurrent_inference(
          mine.state, tf.constant(np.array(IDS)[places], tf.int32),
          training=True)
      theirs = native.recurrent_inference(
          theirs.state, tf.constant(places, tf.int32), training=True)

  def test_policy_loss_and_its_gradients(self):
    family, native = twins(IDS)
    target = np.random.default_rng(1).dirichlet(
        np.ones(len(IDS)), ROWS).astype(np.float32)
    wide = np.zeros([ROWS, FAMILY], np.float32)
    wide[:, IDS] = target
    found = []
    for model, wanted in ((family, wide), (native, target)):
      with tf.GradientTape() as tape:
        output = model.initial_inference(observations(), training=True)
        loss = losses.cross_entropy(tf.constant(wanted), output.policy_logits)
      found.append((loss, tape.gradient(
          loss, model.prediction.trainable_variables)))
    self.assertAllClose(found[0][0], found[1][0], rtol=1e-6)
    for one, other in zip(found[0][1], found[1][1], strict=True):
      if one is None:
        self.assertIsNone(other)  # the value's own layers
      else:
        self.assertAllClose(one, other, rtol=1e-5, atol=1e-6)

  def test_a_target_on_an_unknown_action_is_loud(self):
    family, _ = twins(IDS)
    wide = np.zeros([ROWS, FAMILY], np.float32)
    wide[:, 1] = 1.
    output = family.initial_inference(observations())
    loss = losses.cross_entropy(tf.constant(wide), output.policy_logits)
    self.assertAllGreater(loss, 1e5)

  def test_an_unknown_action_spoils_what_follows(self):
    family, _ = twins(IDS)
    root = family.initial_inference(observations())
    step = family.recurrent_inference(root.state, tf.fill([ROWS], 1))
    self.assertAllEqual(np.isnan(step.value), [True] * ROWS)

  def _search(self, model, ids, noise, compiled):
    settings = SearchSettings(num_simulations=20, tie_break='lowest')
    legal = np.zeros([ROWS, model.num_actions], bool)
    legal[:, ids] = True
    legal[:2, ids[1]] = False  # not all trees have all actions
    wide = np.zeros(legal.shape, np.float32)
    wide[:, ids] = noise
    simulator = model.simulator()

    @tf.function(autograph=False, jit_compile=compiled or None)
    def run(root, legal, noise):
      return mcts.search(root, legal, noise, tf.constant(0.25),
                         tf.constant([0, 0]), simulator, settings)
    found = run(model.initial_inference(observations()),
                tf.constant(legal), tf.constant(wide * legal))
    return found._replace(target=tf.gather(found.target, ids, axis=1)), found

  def test_search(self):
    family, native = twins(ASCENDING)
    noise = np.random.default_rng(2).dirichlet(
        np.ones(len(IDS)), ROWS).astype(np.float32)
    theirs, _ = self._search(native, list(range(len(IDS))), noise, False)
    for compiled in (False, True):
      mine, wide = self._search(family, list(ASCENDING), noise, compiled)
      self.assertAllEqual(tf.reduce_sum(wide.target, axis=1), [20.] * ROWS)
      self.assertAllEqual(tf.reduce_sum(mine.target, axis=1), [20.] * ROWS)
      for one, other in zip(tf.nest.flatten(mine), tf.nest.flatten(theirs)):
        self.assertAllClose(one, other, rtol=1e-4, atol=1e-5)


if __name__ == '__main__':
  tf.test.main()
