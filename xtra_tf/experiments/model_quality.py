"""How well a world model predicts what happened in recorded games.

Axes: N states, S stacked frames, K unrolled steps, A actions.
"""

import math
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow as tf

from xtra_tf.episodes import Episode, EpisodeLog
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics.observations import stack_frames

_CHUNK = 256  # states in one inference
_BROKEN_OFF = 0.05  # share of a return that a time limit may hide


class RecordedStates(NamedTuple):
  """States of recorded games and what followed them."""
  observation: np.ndarray  # <task dtype>[N, S, *frame]
  action: np.ndarray  # <int32>[N, K], as played
  prefix: np.ndarray  # <float64>[N, K], sums of the first 1..K rewards
  outcome: np.ndarray  # <float64>[N], discounted rewards until the life ended


class Fit(NamedTuple):
  """Predictions of a number beside what came."""
  predicted_mean: float
  found_mean: float
  r2: float  # 1 - mean squared error / variance; NaN without a variance
  correlation: float  # NaN if either does not vary


class ModelQuality(NamedTuple):
  """What a model knows of some states.

  Attributes:
    value: against `outcome`, which is that of the policy that played.
    prefix: value prefixes after 1..K steps, against their sums.
    prior_entropy: mean of the policy's over legal actions, nats.
    action_spread: mean over states of the standard deviation over legal actions
      of q(a) = reward(a) + discount * value(a): what a search has to tell. NaN
      with batch statistics: where all states of a batch have the same action,
      they take its effect away.
    state_spread: standard deviation over states of the mean q; NaN likewise.
  """
  value: Fit
  prefix: Tuple[Fit, ...]
  prior_entropy: float
  action_spread: float
  state_spread: float


def recorded_states(log: EpisodeLog, *, stack: int, unroll_steps: int,
                    discount: float, count: int, seed: int) -> RecordedStates:
  """Draws states of whose future enough is known.

  These have S frames behind them and K chosen actions ahead of them in the same
  life. Where a time limit or the end of the data broke a game off, only states
  so far ahead of it are taken that at most 5 % of what follows is discounted
  beyond it.

  Args:
    log: with observations and every step played.
    stack: S.
    unroll_steps: K.
    discount: per step, less than 1.
    count: N; fewer if the log has no more.
    seed: of the draw.

  Raises:
    IncompatibleDataError: the log has no such state.
  """
  log.require_observed_steps()
  hidden = math.ceil(math.log(_BROKEN_OFF) / math.log(discount))
  found: List[Tuple[Episode, int, float]] = []
  for episode in log.episodes():
    outcomes = _outcomes(episode, discount)
    found.extend((episode, t, outcomes[t]) for t in _usable(
        episode, stack, unroll_steps, hidden))
  if not found:
    raise IncompatibleDataError(
        f'The episodes have no state with {stack} frames behind it and '
        f'{unroll_steps} steps ahead in the same life whose outcome is known: '
        f'a game that is broken off tells it {hidden} steps earlier. Expected '
        'longer games, or such as end by themselves.')
  chosen = np.random.default_rng(seed).permutation(len(found))[:count]
  rows = [found[i] for i in chosen]
  ahead = range(unroll_steps)
  return RecordedStates(
      np.stack([e.observation[t - stack + 1:t + 1] for e, t, _ in rows]),
      np.array([[e.action[t + k] for k in ahead] for e, t, _ in rows],
               np.int32),
      np.cumsum([[float(e.reward[t + k]) for k in ahead] for e, t, _ in rows],
                axis=1),
      np.array([outcome for *_, outcome in rows]))


def measure(model: WorldModel, states: RecordedStates, *,
            legal_actions: Sequence[int], discount: float,
            batch_statistics: bool = False) -> ModelQuality:
  """Compares a model's predictions with what was recorded.

  Args:
    model: restored.
    states: of the same task.
    legal_actions: ids.
    discount: per step.
    batch_statistics: normalise as in training, by chunks of 256 states. This
      changes the model's running statistics: throw it away afterwards.

  Returns:
    The quality over all states.
  """
  parts: List[Tuple[np.ndarray, ...]] = []
  for start in range(0, len(states.outcome), _CHUNK):
    chunk = RecordedStates(*(x[start:start + _CHUNK] for x in states))
    if batch_statistics and parts and len(chunk.outcome) < _CHUNK:
      break  # statistics of a few rows are those of no training batch
    parts.append(_predictions(model, chunk, legal_actions, discount,
                              batch_statistics))
  value, entropy, prefixes, q = (np.concatenate(x) for x in zip(*parts))
  used = len(value)
  return ModelQuality(
      value=_fit(value, states.outcome[:used]),
      prefix=tuple(_fit(prefixes[:, k], states.prefix[:used, k])
                   for k in range(prefixes.shape[1])),
      prior_entropy=float(entropy.mean()),
      action_spread=float(q.std(axis=1).mean()),
      state_spread=float(q.mean(axis=1).std()))


def _predictions(model: WorldModel, states: RecordedStates,
                 legal_actions: Sequence[int], discount: float,
                 training: bool) -> Tuple[np.ndarray, ...]:
  """Value [N], entropy [N], prefixes [N, K], q [N, legal]."""
  count = len(states.outcome)
  root = model.initial_inference(
      stack_frames(tf.constant(states.observation)), training=training)
  logits = tf.gather(root.policy_logits, list(legal_actions), axis=1)
  prior = tf.nn.softmax(logits)
  entropy = -tf.reduce_sum(prior * tf.nn.log_softmax(logits), axis=1)
  q = []
  for action in legal_actions:
    if training:
      q.append(tf.fill([count], math.nan))
      continue
    step = model.recurrent_inference(root.state, tf.fill([count], action))
    q.append(tf.reshape(step.reward, [-1]) + discount * step.value)
  prefixes, output = [], root
  for k in range(states.action.shape[1]):
    output = model.recurrent_inference(
        output.state, tf.constant(states.action[:, k]), training=training)
    prefixes.append(tf.reshape(output.reward, [-1]))
  return (root.value.numpy(), entropy.numpy(),
          tf.stack(prefixes, axis=1).numpy(), tf.stack(q, axis=1).numpy())


def _fit(predicted: np.ndarray, found: np.ndarray) -> Fit:
  predicted, found = predicted.astype(np.float64), found.astype(np.float64)
  varies = found.std() > 0
  r2 = 1 - np.mean((predicted - found)**2) / found.var() if varies else math.nan
  correlation = (np.corrcoef(predicted, found)[0, 1]
                 if varies and predicted.std() > 0 else math.nan)
  return Fit(float(predicted.mean()), float(found.mean()), float(r2),
             float(correlation))


def _outcomes(episode: Episode, discount: float) -> np.ndarray:
  """Discounted rewards from each row to the end of its life."""
  total = 0.
  outcomes = np.zeros(len(episode.reward))
  for t in reversed(range(len(outcomes))):
    if episode.terminal[t] or episode.life_loss[t]:
      total = 0.
    total = float(episode.reward[t]) + discount * total
    outcomes[t] = total
  return outcomes


def _usable(episode: Episode, stack: int, unroll_steps: int,
            hidden: int) -> List[int]:
  """Rows t with whole stacks, K chosen steps ahead and a known outcome."""
  ends = episode.terminal | episode.life_loss
  rows = len(ends)
  usable = []
  for t in range(stack - 1, rows - unroll_steps):
    ahead = slice(t, t + unroll_steps)
    # The last of the K steps may end the life; none before it.
    if not episode.real[ahead].all() or ends[ahead][:-1].any():
      continue
    if ends[t:].any() or rows - t > hidden:
      usable.append(t)
  return usable
