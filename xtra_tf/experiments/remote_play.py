"""The learner's view of collectors that are processes of their own."""

import collections
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional

import numpy as np

from xtra_tf.errors import UnreachableError
from xtra_tf.models.world_model import WorldModel
from xtra_tf.replay.patience import Patience
from xtra_tf.replay.play_reports import PlayReport, ReportsChannel
from xtra_tf.replay.weights_table import Weights, WeightsChannel
from xtra_tf.workers.collector import RECENT_GAMES
from xtra_tf.workers.recorder import FinishedGame

_POLL_SECONDS = 0.05


class RemotePlay:
  """What a trainer asks of a collector, answered by reports.

  `collect` waits until somebody has played; who plays, and how many they are,
  is not known beforehand.
  """

  def __init__(self, address: str, env_steps: Mapping[int, int],
               timeout_seconds: float, say: Callable[[str], None]):
    """Initializes; nothing is asked yet.

    Args:
      address: of the run's server.
      env_steps: {collector: environment steps in its log so far}.
      timeout_seconds: how long all collectors, or the server, may be gone.
      say: told what is waited for.
    """
    self._address = address
    self._channel = WeightsChannel(address)
    self._reports = ReportsChannel(address)
    self._env_steps = dict(env_steps)
    self._committed = dict(env_steps)
    self._timeout_seconds = timeout_seconds
    self._say = say
    self._recent: Deque[float] = collections.deque(maxlen=RECENT_GAMES)
    self._means: Dict[str, List[float]] = {}
    self._behind: List[int] = []
    self._step = 0
    self._weights: Optional[Weights] = None  # the newest
    # The manifest has nothing to say of logs that others write.
    self.log_lines: Optional[List[int]] = None

  @property
  def env_steps(self) -> int:
    """Environment steps of all collectors, as far as they have told."""
    return sum(self._env_steps.values())

  @property
  def committed_env_steps(self) -> int:
    """Of these, those that are in a log on the disk."""
    return sum(self._committed.values())

  @property
  def recent_return(self) -> Optional[float]:
    """Mean raw return of the last games that were told of."""
    return float(np.mean(self._recent)) if self._recent else None

  def collect(self, steps: int) -> List[FinishedGame]:
    """Waits until at least so many environment steps are told of.

    Raises:
      UnreachableError: nobody plays, or the server is gone, for too long.
    """
    end = self.env_steps + steps
    patience = Patience(f'collectors at {self._address}',
                        self._timeout_seconds, self._say)
    games: List[FinishedGame] = []
    while True:
      state = f'have told of {self.env_steps:,} environment steps'
      try:
        games += self._look()
      except UnreachableError:
        state = 'cannot be heard: the replay server does not answer'
      if self.env_steps >= end:
        patience.end()
        return games
      patience.wait(state, _POLL_SECONDS)

  def _look(self) -> List[FinishedGame]:
    """Takes what was told meanwhile, without waiting.

    Raises:
      UnreachableError: the server is gone.
    """
    if self._weights is not None and self._channel.is_empty():
      # The server has died and come back.
      self._channel.publish(self._weights)
    games: List[FinishedGame] = []
    for report in self._reports.take():
      games += self._note(report)
    return games

  def publish(self, model: WorldModel, step: int, allowed_env_steps: int,
              maximum_priority: float, temperature: float,
              finished: bool = False) -> None:
    """Gives all collectors new weights and leave to play.

    Raises:
      UnreachableError: the server is gone for too long.
    """
    self._step = step
    self._weights = Weights(
        [variable.numpy() for variable in model.variables], step,
        allowed_env_steps, maximum_priority, temperature, finished,
        {str(collector): steps
         for collector, steps in self._env_steps.items()})
    patience = Patience(f'the replay server {self._address}',
                        self._timeout_seconds, self._say)
    while True:
      try:
        self._channel.publish(self._weights)
        patience.end()
        return
      except UnreachableError:
        patience.wait('takes no weights')

  def take_search_means(self) -> Dict[str, float]:
    """Means over the reports since the last call, and how old weights were."""
    means = {name: float(np.mean(values))
             for name, values in self._means.items()}
    if self._behind:
      means['weights_behind'] = float(np.mean(self._behind))
    self._means, self._behind = {}, []
    return means

  def clipped_metrics(self) -> Dict[str, float]:
    """None: they are the collectors' own."""
    return {}

  def flush(self) -> None:
    """Nothing: collectors commit what they play by themselves."""

  def _note(self, report: PlayReport) -> List[FinishedGame]:
    self._env_steps[report.collector] = max(
        self._env_steps.get(report.collector, 0), report.env_steps)
    self._committed[report.collector] = max(
        self._committed.get(report.collector, 0), report.committed)
    if report.weights_step >= 0:
      self._behind.append(self._step - report.weights_step)
    for name, value in report.means.items():
      self._means.setdefault(name, []).append(float(value))
    games = [_game(fields) for fields in report.games]
    self._recent.extend(game.raw_return for game in games)
    return games


def _game(fields: Mapping[str, Any]) -> FinishedGame:
  return FinishedGame(
      slot=int(fields['slot']), raw_return=float(fields['raw_return']),
      length=int(fields['length']), truncated=bool(fields['truncated']))


