"""What is said of a model's predictions, of models whose faults are known."""

import math
import types

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.experiments import model_quality
from xtra_tf.tasks import TaskSpec

_TASK = TaskSpec(name='gym:Fake-v0', observation_shape=(1,),
                 observation_dtype='float32', num_actions=3,
                 legal_actions=(0, 2), action_names=('a', 'b', 'c'), stack=2)
_DISCOUNT = 0.9
_HIDDEN = 29  # 0.9^29 = 0.047


def _play(kinds, start=0, seed=0):
  """Rows whose observation is their number; letters as in round_trip_test."""
  random = np.random.default_rng(seed)
  rows = []
  for kind in kinds:
    real = kind in 'rltu'
    reward = float(random.integers(0, 2)) if real else 0.
    rows.append(StepRow(
        observation=np.array([start + len(rows)], np.float32),
        action=int(random.choice(_TASK.legal_actions)) if real else 0,
        search=None, reward=reward, raw_reward=10 * reward,
        terminal=kind == 't', truncated=kind == 'u', life_loss=kind == 'l',
        real=real, root_value=None, bootstrap_value=None, has_search=False,
        env_step=start + len(rows)))
  return rows


class _Clairvoyant:
  """Reads the future from the rows; `bias` is added to what it says."""

  def __init__(self, rows, bias=0.):
    self._bias = bias
    self._reward = np.array([row.reward for row in rows] + [0.], np.float32)
    self._outcome = np.zeros(len(rows) + 1, np.float32)
    for t in reversed(range(len(rows))):
      rest = 0. if rows[t].terminal or rows[t].life_loss else (
          self._outcome[t + 1])
      self._outcome[t] = rows[t].reward + _DISCOUNT * rest

  def initial_inference(self, observation, training=False):
    del training
    return self._output(tf.cast(observation[:, -1], tf.int32),
                        tf.zeros([len(observation)]))

  def recurrent_inference(self, state, action, training=False):
    del action, training
    time, prefix = state
    return self._output(time + 1, prefix + tf.gather(self._reward, time))

  def _output(self, time, prefix):
    logits = tf.tile([[0., 50., math.log(3.)]], [len(time), 1])
    return types.SimpleNamespace(
        state=(time, prefix), reward=prefix + self._bias,
        value=tf.gather(self._outcome, time) + self._bias,
        policy_logits=logits)


class ModelQualityTest(parameterized.TestCase):

  def _log(self, *games):
    folder = self.create_tempdir().full_path
    writer = EpisodeLogWriter(folder, _TASK, columns=())
    for rows in games:
      for row in rows:
        writer.append(row)
      writer.end_episode('terminal' if rows[-2].terminal else 'truncated')
    writer.close()
    return EpisodeLog(folder)

  def _states(self, log, count=1000, unroll_steps=3):
    return model_quality.recorded_states(
        log, stack=2, unroll_steps=unroll_steps, discount=_DISCOUNT,
        count=count, seed=0)

  def _measure(self, model, states):
    return model_quality.measure(model, states, discount=_DISCOUNT,
                                 legal_actions=_TASK.legal_actions)

  def test_a_model_that_knows_the_future_is_right(self):
    rows = _play('r' * 30 + 'l0' + 'r' * 20 + 't0')
    quality = self._measure(_Clairvoyant(rows), self._states(self._log(rows)))
    for fit in (quality.value, *quality.prefix):
      self.assertAlmostEqual(fit.r2, 1., places=5)
      self.assertAlmostEqual(fit.correlation, 1., places=5)
      self.assertAlmostEqual(fit.predicted_mean, fit.found_mean, places=5)
    self.assertLen(quality.prefix, 3)

  def test_a_constant_error_shows_in_the_means_and_in_r2_alone(self):
    rows = _play('r' * 50 + 't0')
    states = self._states(self._log(rows))
    quality = self._measure(_Clairvoyant(rows, bias=0.5), states)
    for fit, found in ((quality.value, states.outcome),
                       (quality.prefix[1], states.prefix[:, 1])):
      self.assertAlmostEqual(fit.predicted_mean, found.mean() + 0.5, places=4)
      self.assertAlmostEqual(fit.r2, 1 - 0.25 / found.var(), places=4)
      self.assertAlmostEqual(fit.correlation, 1., places=4)

  def test_policy_and_spread_are_those_of_legal_actions(self):
    rows = _play('r' * 50 + 't0')
    quality = self._measure(_Clairvoyant(rows), self._states(self._log(rows)))
    # 1/4 and 3/4 of the two legal ones; the third has nearly all otherwise.
    self.assertAlmostEqual(quality.prior_entropy,
                           -.25 * math.log(.25) - .75 * math.log(.75), places=4)
    self.assertAlmostEqual(quality.action_spread, 0., places=5)
    self.assertGreater(quality.state_spread, 0.1)

  def test_batch_statistics_say_nothing_of_single_actions(self):
    rows = _play('r' * 50 + 't0')
    quality = model_quality.measure(
        _Clairvoyant(rows), self._states(self._log(rows)), discount=_DISCOUNT,
        legal_actions=_TASK.legal_actions, batch_statistics=True)
    self.assertTrue(math.isnan(quality.action_spread))
    self.assertTrue(math.isnan(quality.state_spread))
    self.assertAlmostEqual(quality.value.r2, 1., places=5)

  def test_nothing_can_be_said_of_what_does_not_vary(self):
    rows = [row._replace(reward=0., raw_reward=0.) for row in _play(
        'r' * 50 + 't0')]
    quality = self._measure(_Clairvoyant(rows), self._states(self._log(rows)))
    self.assertTrue(math.isnan(quality.prefix[0].r2))
    self.assertTrue(math.isnan(quality.value.correlation))

  @parameterized.parameters(
      # A life of 10: states 1..7 have a frame before and 3 steps ahead.
      ('r' * 9 + 't0', range(1, 8)),
      # None across a life loss, nor from the no-op after it.
      ('r' * 4 + 'l0' + 'r' * 5 + 't0', [1, 2, *range(6, 10)]),
      # Broken off: only what is 29 steps ahead of it is known.
      ('r' * 34 + 'u0', range(1, 36 - _HIDDEN)),
      # A life that ended before that is known, what follows it is not.
      ('r' * 9 + 'l0' + 'r' * 9 + 'u0', range(1, 8)))
  def test_which_states_are_drawn(self, kinds, expected):
    states = self._states(self._log(_play(kinds)))
    self.assertSameElements(states.observation[:, -1, 0], expected)

  def test_states_have_their_frames_actions_and_rewards(self):
    games = [_play('r' * 20 + 't0'), _play('r' * 25 + 't0', 100, seed=1)]
    rows = {int(r.observation[0]): r for game in games for r in game}
    states = self._states(self._log(*games), count=30)
    self.assertLen(set(states.observation[:, -1, 0]), 30)
    for frames, action, prefix in zip(*states[:3]):
      t = int(frames[-1, 0])
      self.assertEqual(frames[0, 0], t - 1)
      self.assertEqual(list(action), [rows[t + k].action for k in range(3)])
      self.assertEqual(list(prefix), list(np.cumsum(
          [rows[t + k].reward for k in range(3)])))

  def test_chunks_make_no_difference(self):
    rows = _play('r' * 600 + 't0')
    states = self._states(self._log(rows))
    self.assertGreater(len(states.outcome), 2 * 256)
    quality = self._measure(_Clairvoyant(rows), states)
    self.assertAlmostEqual(quality.value.found_mean, states.outcome.mean(), 6)
    self.assertAlmostEqual(quality.value.predicted_mean,
                           states.outcome.mean(), places=5)

  def test_a_log_without_such_states_is_refused(self):
    log = self._log(_play('r' * 20 + 'u0'))
    with self.assertRaisesRegex(
        IncompatibleDataError, '2 frames behind it and 3 steps ahead.*29 steps'
        ' earlier. Expected longer games'):
      self._states(log)


if __name__ == '__main__':
  absltest.main()
