"""The PyEnvironment over any batch of games: episodes, lives, limits, seeds."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.environments.game_batch import GameBatch
from xtra_tf.numerics import jpeg_codec
from xtra_tf.tasks import TaskSpec

# Redraws of one game's seed before something must be wrong: an Atari start is
# refused once in 31 draws.
_MAX_ATTEMPTS = 64

SeedFn = Callable[[int, int, int], int]  # (slot, episode, attempt) -> seed


class EpisodeInfo(NamedTuple):
  """About the transition just made, one entry per slot.

  A transition that only starts a new game has zeros and False everywhere.
  """
  raw_reward: np.ndarray  # <float32>[N] unclipped, no-op steps included
  terminal: np.ndarray  # <bool>[N] the game is over
  truncated: np.ndarray  # <bool>[N] a time limit has struck
  life_loss: np.ndarray  # <bool>[N] a life was lost and training stops here
  noop: np.ndarray  # <bool>[N] it was the no-op after a life loss


class GameEnvironment(py_environment.PyEnvironment):
  """N games as one batched TF-Agents environment; N slots.

  The observation is `{'frame', 'legal_actions'}`. Rewards are clipped as the
  task says, raw ones are in `get_info`. The discount is 0 on termination and on
  a life loss that ends training's episode, 1 otherwise; LAST with discount 1 is
  a truncation. Each slot restarts by itself: after LAST the action is ignored.
  Without `restarts` a slot rests after its game: its game is not stepped any
  more, and whatever its time steps say has no meaning.

  Frames have been through the task's codec, each once.

  In training a lost life is LAST, but the game goes on: the next step plays
  NOOP in that slot and gives FIRST, as the official EpisodicLifeEnv does
  (EfficientZero core/utils.py). The no-op's reward counts in the score only,
  so `get_info` alone has it. If the no-op ends the game, FIRST is of a new one.
  """

  def __init__(self, task: TaskSpec, games: GameBatch, seed_fn: SeedFn, *,
               life_loss_ends: bool, max_episode_steps: int,
               restarts: bool = True):
    """Initializes the environment.

    Args:
      task: what is played.
      games: the N games; this environment closes them.
      seed_fn: seed of a game by slot, number of the game in its slot, and
        attempt.
      life_loss_ends: a lost life is LAST (training).
      max_episode_steps: agent steps of a game, no-op steps included, after
        which it is truncated.
      restarts: a slot whose game is over plays the next one.

    Raises:
      ValueError: impossible numbers, or a slot that should rest although its
        game goes on after LAST.
    """
    super().__init__(handle_auto_reset=False)
    if life_loss_ends and not restarts:
      raise ValueError('Slots that end at a life loss must restart.')
    if max_episode_steps < 1:
      raise ValueError('`max_episode_steps` must be at least 1, got '
                       f'{max_episode_steps}.')
    self._task = task
    self._games = games
    self._seed_fn = seed_fn
    self._life_loss_ends = life_loss_ends
    self._max_episode_steps = max_episode_steps
    slots = games.num_games
    self._slots = slots
    # Slots in which no new game begins when one is over.
    self._resting = np.full([slots], not restarts)
    self._legal = task.legal_mask()
    # One array for all time steps: the legal actions of a task never change.
    self._legal_actions = np.tile(self._legal, [slots, 1])
    self._legal_actions.setflags(write=False)
    self._next_episode = np.zeros([slots], np.int64)
    self._seeds = np.zeros([slots], np.int64)
    self._steps = np.zeros([slots], np.int64)
    self._lives = np.zeros([slots], np.int32)
    # The previous transition of a slot was LAST: by the game's end, by a life.
    self._over = np.zeros([slots], bool)
    self._life_lost = np.zeros([slots], bool)
    self._info: Optional[EpisodeInfo] = None

  @property
  def batched(self) -> bool:
    return True

  @property
  def batch_size(self) -> int:
    return self._slots

  @property
  def task(self) -> TaskSpec:
    """What is played."""
    return self._task

  @property
  def games(self) -> GameBatch:
    """The games behind the time steps."""
    return self._games

  def observation_spec(self) -> Dict[str, array_spec.ArraySpec]:
    shape = self._task.observation_shape
    if self._task.observation_dtype == 'uint8':
      frame = array_spec.BoundedArraySpec(shape, np.uint8, 0, 255, 'frame')
    else:
      frame = array_spec.ArraySpec(shape, np.float32, 'frame')
    legal = array_spec.ArraySpec((self._task.num_actions,), bool,
                                 'legal_actions')
    return {'frame': frame, 'legal_actions': legal}

  def action_spec(self) -> array_spec.BoundedArraySpec:
    return array_spec.BoundedArraySpec(
        (), np.int32, 0, self._task.num_actions - 1, 'action')

  def get_info(self) -> EpisodeInfo:
    """About the last transition.

    Raises:
      ValueError: before the first reset.
    """
    if self._info is None:
      raise ValueError('No game has been started yet; call reset first.')
    return self._info

  def episode_seeds(self) -> np.ndarray:
    """<int64>[N], the seed of each slot's current game."""
    return self._seeds.copy()

  def set_episode_numbers(self, numbers: np.ndarray) -> None:
    """Numbers of the games that each slot plays next, for a resumed run.

    Args:
      numbers: <int64>[N], not negative.
    """
    numbers = np.asarray(numbers, np.int64)
    if numbers.shape != (self._slots,) or (numbers < 0).any():
      raise ValueError(f'Expected {self._slots} episode numbers of at least 0, '
                       f'got {numbers}.')
    self._next_episode = numbers.copy()

  def resume(self, played: Mapping[int, np.ndarray],
             look: Callable[[int, int, np.ndarray], None]) -> ts.TimeStep:
    """Plays games anew up to where an earlier session left them.

    A game is a function of its seed and of what is played, so that it comes
    back as it was. Games of all slots end their replay together.

    Args:
      played: {slot: <int>[R] the actions of all R steps of its game so far, of
        the no-op steps after lost lives too}. Other slots begin a game.
      look: called with slot, step and the frame that the step's action answers
        to, before it is played; may raise.

    Returns:
      The time step at which to go on, as `reset` would return it.
    """
    numbers = self._next_episode.copy()
    time_step = self._reset()
    left = np.array([len(played.get(slot, ())) for slot in range(self._slots)])
    for tick in range(left.max(), -1, -1):
      begins = left == tick
      if begins.any() and tick < left.max():
        self._next_episode[begins] = numbers[begins]
        time_step = self._begun(begins, time_step)
      self._resting = left < tick
      self._over |= self._resting
      actions = np.zeros([self._slots], np.int32)
      for slot in np.flatnonzero((left >= tick) & (tick > 0)):
        step = left[slot] - tick
        look(int(slot), int(step), time_step.observation['frame'][slot])
        actions[slot] = played[slot][step]
      if tick:
        time_step = self._step(actions)
    self._current_time_step = time_step
    return time_step

  def _begun(self, chosen: np.ndarray, time_step: ts.TimeStep) -> ts.TimeStep:
    """The time step with new games in the chosen slots."""
    frames = self._coded(self._begin(chosen), chosen)
    self._over &= ~chosen
    self._life_lost &= ~chosen
    frame = time_step.observation['frame'].copy()
    frame[chosen] = frames[chosen]
    return ts.TimeStep(
        np.where(chosen, ts.StepType.FIRST, time_step.step_type),
        np.where(chosen, np.float32(0), time_step.reward),
        np.where(chosen, np.float32(1), time_step.discount),
        {**time_step.observation, 'frame': frame})

  def close(self) -> None:
    self._games.close()

  def _reset(self) -> ts.TimeStep:
    everywhere = np.ones([self._slots], bool)
    frames = self._begin(everywhere)
    self._over = ~everywhere
    self._life_lost = ~everywhere
    self._info = EpisodeInfo(np.zeros([self._slots], np.float32), ~everywhere,
                             ~everywhere, ~everywhere, ~everywhere)
    return self._time_step(
        self._coded(frames, everywhere),
        np.full([self._slots], ts.StepType.FIRST, np.int32),
        np.zeros([self._slots], np.float32), everywhere)

  def _step(self, action: Any) -> ts.TimeStep:
    over, noop = self._over, self._life_lost
    actions = self._checked_actions(action, ~(over | noop))
    step = self._games.step(actions, over)
    self._steps += 1

    playing = ~over
    terminal = step.terminal & playing
    at_limit = step.truncated | (self._steps >= self._max_episode_steps)
    truncated = at_limit & playing & ~terminal
    ended = terminal | truncated
    # As in the official code: losing the last life is the end of the game, and
    # a life lost during the no-op is not noticed.
    life_loss = np.zeros_like(over)
    if self._life_loss_ends:
      life_loss = ((step.lives < self._lives) & (step.lives > 0)
                   & ~terminal & ~over & ~noop)
    raw_reward = np.where(playing, step.raw_reward, np.float32(0))
    self._info = EpisodeInfo(raw_reward, terminal, truncated, life_loss, noop)

    # A no-op that ends the game cannot be LAST, since FIRST is due.
    begins = (over & ~self._resting) | (noop & ended)
    last = (ended & ~noop) | life_loss
    first = over | noop
    self._lives = step.lives.astype(np.int32)
    frames = self._begin(begins) if begins.any() else step.frames
    self._over = (ended & ~noop) | (over & ~begins)
    self._life_lost = life_loss & ~ended

    step_type = np.full_like(actions, ts.StepType.MID)
    step_type[first] = ts.StepType.FIRST
    step_type[last] = ts.StepType.LAST
    reward = np.sign(raw_reward) if self._task.clip_reward else raw_reward
    return self._time_step(
        self._coded(frames, begins | playing), step_type,
        np.where(first, np.float32(0), reward),
        ~(last & (terminal | life_loss)))

  def _coded(self, frames: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Frames as the task's codec leaves them; only those that are shown."""
    if self._task.codec == 'lossless':
      return frames
    coded = frames.copy()
    coded[shown] = jpeg_codec.round_trip(frames[shown])
    return coded

  def _time_step(self, frames: np.ndarray, step_type: np.ndarray,
                 reward: np.ndarray, goes_on: np.ndarray) -> ts.TimeStep:
    observation = {'frame': frames, 'legal_actions': self._legal_actions}
    return ts.TimeStep(step_type, reward, goes_on.astype(np.float32),
                       observation)

  def _checked_actions(self, action: Any, acting: np.ndarray) -> np.ndarray:
    """<int32>[N] writable; NOOP (0) in the slots that do not act."""
    action = np.asarray(action)
    if action.shape != (self._slots,) or action.dtype.kind not in 'iu':
      raise ValueError(
          f'{self._task.name}: expected one integer action for each of the '
          f'{self._slots} slots, got shape {action.shape} of {action.dtype}.')
    actions = np.where(acting, action, 0).astype(np.int32)
    inside = (actions >= 0) & (actions < len(self._legal))
    allowed = inside & self._legal[np.where(inside, actions, 0)] | ~acting
    if not allowed.all():
      slot = int(np.argmin(allowed))
      raise ValueError(
          f'Action {actions[slot]} in slot {slot} is not one of '
          f'{self._task.name}. Expected one of {self._task.legal_actions}.')
    return actions

  def _begin(self, chosen: np.ndarray) -> np.ndarray:
    """Starts new games in the chosen slots; returns the frames of all slots."""
    pending = chosen.copy()
    for attempt in range(_MAX_ATTEMPTS):
      for slot in np.flatnonzero(pending):
        self._seeds[slot] = self._seed_fn(
            int(slot), int(self._next_episode[slot]), attempt)
      frames, lives, accepted = self._games.begin(pending, self._seeds[pending])
      self._lives[pending] = lives[pending]
      pending &= ~accepted
      if not pending.any():
        break
    else:
      raise RuntimeError(
          f'{self._task.name}: no acceptable start in {_MAX_ATTEMPTS} draws, '
          f'last seeds {self._seeds[pending]}.')
    self._next_episode[chosen] += 1
    self._steps[chosen] = 0
    return frames
