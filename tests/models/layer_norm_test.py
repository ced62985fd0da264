"""Layer norm: each row by itself, in training and inference alike."""

import numpy as np
import tensorflow as tf

from tests.models.efficientzero_test import observations, small_config
from xtra_tf.models.efficientzero import EfficientZero
from xtra_tf.models.initializers import Seeds
from xtra_tf.models.layer_norm import LayerNorm
from xtra_tf.models.layers import Mlp


class LayerNormTest(tf.test.TestCase):

  def test_formula(self):
    x = np.random.default_rng(0).normal(3., 2., [5, 7]).astype(np.float32)
    norm = LayerNorm(7, 'norm')
    gamma, beta = np.arange(7, dtype=np.float32), np.full(7, -2., np.float32)
    norm.gamma.assign(gamma)
    norm.beta.assign(beta)
    for row, found in zip(x, norm(x, training=True).numpy()):
      expected = (row - row.mean()) / np.sqrt(row.var() + 1e-5) * gamma + beta
      self.assertAllClose(found, expected, rtol=1e-5, atol=1e-5)

  def test_a_constant_row_becomes_the_offset(self):
    self.assertAllEqual(LayerNorm(3, 'norm')(tf.fill([2, 3], 9.)),
                        np.zeros([2, 3]))

  def test_variables_are_named_as_batch_norms_are(self):
    self.assertEqual([v.name for v in LayerNorm(3, 'norm').variables],
                     ['norm/gamma:0', 'norm/beta:0'])

  def test_arithmetic_is_float32_and_the_result_is_not(self):
    x = tf.cast([[1000., 1001., 1008., 992.]], tf.bfloat16)
    y = LayerNorm(4, 'norm')(x)
    self.assertEqual(y.dtype, tf.bfloat16)
    exact = LayerNorm(4, 'norm')(tf.cast(x, tf.float32))
    self.assertAllEqual(y, tf.cast(exact, tf.bfloat16))

  def test_mlp_of_a_row_is_the_same_whatever_its_batch(self):
    mlp = Mlp([4, 8, 3], Seeds(0), 'mlp', norm='layer')
    x = tf.random.stateless_normal([6, 4], seed=(0, 1))
    self.assertAllClose(mlp(x, training=True)[:2], mlp(x[:2], training=True),
                        rtol=1e-6)
    self.assertAllEqual(mlp(x, training=True), mlp(x))
    plain = Mlp([4, 8, 3], Seeds(0), 'mlp')
    self.assertNotAllClose(plain(x, training=True)[:2],
                           plain(x[:2], training=True))


class PrefixNormTest(tf.test.TestCase):

  def test_nothing_behind_the_lstm_depends_on_the_batch(self):
    names = {}
    for norm in ('batch', 'layer'):
      model = EfficientZero(small_config(prefix_norm=norm), seed=0)
      names[norm] = {v.name for v in model.dynamics.variables}
    extra = names['batch'] - names['layer']
    self.assertNotEmpty(extra)
    self.assertEqual({name.split('/')[-1] for name in extra},
                     {'running_mean:0', 'running_variance:0'})
    self.assertTrue(all('lstm_norm' in name or '/prefix/' in name
                        for name in extra), extra)

  def test_network_steps_and_learns(self):
    config = small_config(prefix_norm='layer')
    model = EfficientZero(config, seed=0)
    state = model.initial_inference(observations(config)).state
    with tf.GradientTape() as tape:
      step = model.recurrent_inference(state, tf.constant([0, 1, 3]),
                                       training=True)
      loss = tf.reduce_sum(step.reward_logits[:, 0])
    gradient = tape.gradient(loss, model.dynamics.prefix.last.kernel)
    self.assertGreater(float(tf.norm(gradient)), 0.)


if __name__ == '__main__':
  tf.test.main()
