"""The loop of a collector: a TF-Agents driver that plays one task."""

import collections
from typing import (
  Any,
  Callable,
  Deque,
  Dict,
  List,
  Mapping,
  Optional,
  Sequence,
)

import numpy as np
import tensorflow as tf
from tf_agents.drivers import py_driver
from tf_agents.environments import py_environment
from tf_agents.metrics import py_metrics
from tf_agents.policies import py_tf_eager_policy, tf_policy

from xtra_tf.episodes import Episode, EpisodeLogWriter
from xtra_tf.errors import UnreachableError
from xtra_tf.replay import SegmentWriter
from xtra_tf.workers.recorder import EpisodeRecorder, FinishedGame, env_steps_of

RECENT_GAMES = 10  # games whose mean return the progress display shows


class _OtherGameError(Exception):
  """A game did not come back as it was."""

  def __init__(self, slot: int, step: int):
    super().__init__(f'slot {slot}, step {step}')
    self.slot = slot
    self.step = step


def _nothing(slot: int, step: int) -> None:
  del slot, step


class Collector:
  """Plays a task in batched environments and records what happens.

  The first `warm_up_steps` environment steps are played by `warm_up_policy`
  where there is one (EfficientZero from scratch: at random), all others by
  `policy`. What the warm-up's policy says of itself is no policy target, unless
  `warm_up_has_targets`: EfficientZero stores equal visits of all actions
  (`core/selfplay_worker.py:291-296`).
  """

  def __init__(self, environment: py_environment.PyEnvironment,
               policy: tf_policy.TFPolicy, logs: Sequence[EpisodeLogWriter],
               tables: Sequence[SegmentWriter], stack: int,
               warm_up_policy: Optional[tf_policy.TFPolicy] = None,
               warm_up_steps: int = 0, warm_up_has_targets: bool = False,
               open_games: Optional[Mapping[int, Episode]] = None,
               on_cut: Callable[[int, int], None] = _nothing,
               outlives_tables: bool = False,
               steps_of_task: Callable[[int], int] = int):
    """Initializes the collector; nothing is played yet.

    Args:
      environment: batched; this collector closes it.
      policy: that plays.
      logs: one per slot; this collector closes them.
      tables: one per slot, or none.
      stack: frames that a policy sees at once.
      warm_up_policy: see the class.
      warm_up_steps: see the class.
      warm_up_has_targets: see the class.
      open_games: {slot: rows so far} of games that an earlier session has left
        open. They are played up to there anew and gone on with.
      on_cut: told slot and step of such a game whose frames are others this
        time; it ends as `cut` then, and the slot begins its next game.
      outlives_tables: see EpisodeRecorder.
      steps_of_task: see EpisodeRecorder.
    """
    self._environment = environment
    self._games: List[FinishedGame] = []
    self._recent: Deque[float] = collections.deque(maxlen=RECENT_GAMES)
    self._recorder = EpisodeRecorder(
        logs, tables, stack, env_steps_of(list(logs)), self._on_game,
        outlives_tables, steps_of_task)
    self._policy = policy
    self._warm_up_policy = warm_up_policy
    self._warm_up_steps = warm_up_steps
    self._warm_up_has_targets = warm_up_has_targets
    slots = environment.batch_size
    self._metrics = [
        py_metrics.AverageReturnMetric(
            name='return_clipped', buffer_size=RECENT_GAMES, batch_size=slots),
        py_metrics.AverageEpisodeLengthMetric(
            name='segment_length', buffer_size=RECENT_GAMES, batch_size=slots),
    ]
    self._drivers: Dict[int, py_driver.PyDriver] = {}
    self._logs = list(logs)
    environment.set_episode_numbers(self._numbers())
    self._open_games = dict(open_games or {})
    self._on_cut = on_cut
    self._time_step: Any = None
    self._policy_state: Any = None
    self._acting: Optional[tf_policy.TFPolicy] = None

  @property
  def env_steps(self) -> int:
    """Real environment steps taken so far, over all slots and sessions."""
    return self._recorder.env_steps

  @property
  def committed_env_steps(self) -> int:
    """Of these, those that the logs hold on the disk."""
    return env_steps_of(list(self._logs))

  @property
  def recent_return(self) -> Optional[float]:
    """Mean raw return of the last games, None before the first has ended."""
    return float(np.mean(self._recent)) if self._recent else None

  def collect(self, steps: int) -> List[FinishedGame]:
    """Plays at least `steps` environment steps, at most one batch more.

    Args:
      steps: environment steps, summed over the slots.

    Returns:
      The games that ended meanwhile.
    """
    end = self.env_steps + steps
    while self.env_steps < end:
      self._choose_policy()
      self._time_step, self._policy_state = self._driver().run(
          self._time_step, self._policy_state)
    games, self._games = self._games, []
    return games

  def take_search_means(self) -> Dict[str, float]:
    """Means over the searches since the last call; see EpisodeRecorder."""
    return self._recorder.take_search_means()

  def clipped_metrics(self) -> Dict[str, float]:
    """TF-Agents' own metrics: clipped return and length between resets."""
    return {metric.name: float(metric.result()) for metric in self._metrics}

  @property
  def table_failure(self) -> Optional[UnreachableError]:
    """Why the tables get no rows any more; None if they do."""
    return self._recorder.table_failure

  def replace_tables(self, tables: Sequence[SegmentWriter]) -> None:
    """See EpisodeRecorder."""
    self._recorder.replace_tables(tables)

  @property
  def logs(self) -> Sequence[EpisodeLogWriter]:
    """One per slot."""
    return self._logs

  @property
  def log_lines(self) -> Optional[List[int]]:
    """Blocks that each slot's log has committed."""
    return [log.lines for log in self._logs]

  def flush(self) -> None:
    """Commits what has been played so far; the games go on."""
    self._recorder.flush()

  def close(self) -> None:
    """Commits the open blocks and closes writers and environment.

    Open games stay open if their logs keep them so.
    """
    self._recorder.close()
    self._environment.close()

  def _on_game(self, game: FinishedGame) -> None:
    self._games.append(game)
    self._recent.append(game.raw_return)

  def _choose_policy(self) -> None:
    """Starts the environments, and hands over after the warm-up."""
    warming_up = (self._warm_up_policy is not None
                  and self.env_steps < self._warm_up_steps)
    acting = self._warm_up_policy if warming_up else self._policy
    if acting is self._acting:
      return
    state = acting.get_initial_state(self._environment.batch_size)
    if self._time_step is None:
      self._time_step = self._begin()
    if self._recorder.has_frames and 'frames' in state:
      # The games go on, so the new policy needs the frames seen before.
      state = dict(state, frames=tf.constant(self._recorder.frames))
    self._acting, self._policy_state = acting, state
    self._recorder.searching = not warming_up
    self._recorder.has_targets = not warming_up or self._warm_up_has_targets

  def _begin(self) -> Any:
    """The first time step, after the games that are gone on with."""
    games = self._open_games
    while games:
      try:
        time_step = self._environment.resume(
            {slot: game.action for slot, game in games.items()}, self._look)
      except _OtherGameError as other:
        self._on_cut(other.slot, other.step)
        del games[other.slot]
        self._logs[other.slot].end_episode('cut')
        self._environment.set_episode_numbers(self._numbers())
        continue
      for slot, game in games.items():
        self._recorder.resume(slot, game)
      return time_step
    return self._environment.reset()

  def _look(self, slot: int, step: int, frame: np.ndarray) -> None:
    observation = self._open_games[slot].observation
    if observation is None or not np.array_equal(observation[step], frame):
      raise _OtherGameError(slot, step)

  def _numbers(self) -> np.ndarray:
    """<int64>[N] of the game that each slot plays next, in its own count."""
    return np.array([log.next_episode % 2**32 for log in self._logs], np.int64)

  def _driver(self) -> py_driver.PyDriver:
    """One driver per policy; each run is a single batched step."""
    key = id(self._acting)
    if key not in self._drivers:
      self._drivers[key] = py_driver.PyDriver(
          self._environment,
          py_tf_eager_policy.PyTFEagerPolicy(
              self._acting, use_tf_function=True, batch_time_steps=False),
          observers=list(self._metrics),
          transition_observers=[self._recorder.observe_transition],
          info_observers=[self._recorder.observe_info],
          max_steps=1)
    return self._drivers[key]
