"""A collector as a process of its own: plays, logs, and feeds a server."""

import contextlib
import dataclasses
import os
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence
import zlib

import reverb

from xtra_tf import environments
from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter
from xtra_tf.errors import UnreachableError
from xtra_tf.experiments import playing, roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay import ReplayWriter, SegmentWriter
from xtra_tf.replay.patience import Patience
from xtra_tf.replay.play_reports import PlayReport, ReportsChannel
from xtra_tf.replay.run_record import RunRecord, find_run
from xtra_tf.replay.weights_table import Weights, WeightsChannel
from xtra_tf.runs import (
  read_json,
  record_incident,
  stop_request,
  write_json,
)
from xtra_tf.workers import Collector

_REPORT_SECONDS = 1.0
_FLUSH_TIMEOUT_SECONDS = 10.


@dataclasses.dataclass(frozen=True)
class CollectorPlace:
  """Which collector of how many, and where its server is.

  Attributes:
    address: of the run's server.
    number: of this collector, 0 or more.
    collectors: how many share the environment steps in lock-step.
    settings: hash of the run's settings.
    timeout_seconds: how long server and learner may be gone.
    lock_step: whether the learner says how much may be played; else this
      collector plays until the learner has finished.
  """
  address: str
  number: int
  collectors: int
  settings: str
  timeout_seconds: float = 300.
  lock_step: bool = True

  def share(self, env_steps: int) -> int:
    """Environment steps of this collector, out of those of all."""
    return (env_steps * (self.number + 1) // self.collectors
            - env_steps * self.number // self.collectors)

  def steps_of_all(self, own: int, told: Mapping[str, int]) -> int:
    """Environment steps of all collectors, which say how old a row is.

    Args:
      own: of this collector.
      told: {collector: steps} as the learner knew it last. Since then the
        others are taken to have played as much as this one.
    """
    mine = told.get(str(self.number), 0)
    return (own + sum(told.values()) - mine
            + max(0, own - mine) * (self.collectors - 1))


class FedGames:
  """Which finished games a server was fed by a collector, on the disk."""

  def __init__(self, path: str):
    self._path = path

  def newest(self, generation: str) -> Dict[str, int]:
    """{writer: newest game}; empty for a server that was not fed yet."""
    if not os.path.exists(self._path):
      return {}
    found = read_json(self._path)
    return dict(found['newest']) if found['generation'] == generation else {}

  def write(self, generation: str, newest: Dict[str, int]) -> None:
    """Keeps it.

    Raises:
      StorageError: no space.
    """
    write_json(self._path, {'generation': generation, 'newest': newest})


def newest_ended(log: EpisodeLogWriter) -> int:
  """Number of the newest episode of a log that has ended; -1 for none."""
  return log.next_episode - 1 if log.next_episode % 2**32 else -1


class CollectorRole:
  """Plays the first task of a stage with the newest weights.

  Its log is its own part of the stage's episode log, and the truth; the server
  may die and come back at any moment, and is then fed what it lacks.
  """

  def __init__(self, parts: RunParts, plan: TrainingPlan, place: CollectorPlace,
               say: Callable[[str], None]):
    """Builds policy, environments and log; nothing is played yet.

    Args:
      parts: of the run.
      plan: of the stage.
      place: see there.
      say: told what is waited for.

    Raises:
      DataFileError: the log is damaged.
    """
    self._parts, self._plan, self._place = parts, plan, place
    self._say = say
    self._stack = contextlib.ExitStack()
    stage, task = parts.stages[plan.stage].stage, plan.tasks[0]
    seed = zlib.crc32(
        f'{plan.seed(parts.seed)}/{place.number}'.encode()) % 2**31
    self._model = roles.build_model(
        parts, seed, roles.describe_model(parts, plan.stage, plan.tasks))
    self._policy = roles.planning_policy(
        parts, task, self._model, greedy=False, seed=seed)
    first = place.number * stage.num_envs
    self._writers = range(first, first + stage.num_envs)
    logs = [EpisodeLogWriter(
        plan.directory.episodes, task, columns=('search', 'root_value'),
        writer=writer, provenance=playing.provenance(parts, plan),
        keep_open=True) for writer in self._writers]
    open_games = {slot: game for slot, log in enumerate(logs)
                  if (game := log.read_open_episode()) is not None}
    environment = environments.load(
        task, num_envs=stage.num_envs, seed=seed, training=True,
        max_episode_steps=stage.max_episode_steps)
    self._collector = Collector(
        environment, self._policy, logs, [], task.stack,
        warm_up_policy=(roles.random_policy(task, seed)
                        if stage.random_warm_up else None),
        warm_up_steps=place.share(stage.start_env_steps),
        warm_up_has_targets=stage.warm_up_target == 'uniform',
        open_games=open_games, on_cut=self._on_cut, outlives_tables=True,
        steps_of_task=self._steps_of_task)
    self._stack.callback(self._collector.close)
    self._weights: Optional[Weights] = None
    self._counted = 0  # environment steps of all, as far as rows say it
    self._channel = WeightsChannel(place.address)
    self._reports = ReportsChannel(place.address)
    self._reported = 0.
    self._games: List[Dict[str, Any]] = []
    self._record: Optional[RunRecord] = None
    self._fed = FedGames(os.path.join(
        plan.directory.path, 'replay', f'fed-{place.number}.json'))

  def run(self) -> int:
    """Plays until the learner has finished; the environment steps in all.

    Raises:
      UnreachableError: server or learner were gone for too long.
      Stopped: a signal has come; all that was played is committed.
    """
    with self._stack:
      with stop_request.held():
        patience = self._patience('the learner')
        while not (self._weights and self._weights.finished):
          stop_request.check()
          if self._record is None or self._collector.table_failure is not None:
            self._record = self._connect()
          try:
            played = self._turn()
          except UnreachableError as error:
            self._say(str(error))
            self._record = None
            continue
          if played:
            patience.end()
            patience = self._patience('the learner')
          else:
            patience.wait('allows no further steps' if self._weights
                          else 'has published no weights', 0.05)
    return self._collector.env_steps

  def _patience(self, whom: str) -> Patience:
    return Patience(f'{whom} at {self._place.address}',
                    self._place.timeout_seconds, self._say)

  def _turn(self) -> bool:
    """Plays a batched step if that is allowed; whether it was.

    Raises:
      UnreachableError: the server is gone.
    """
    self._take_weights()
    if not self._may_play():
      self._report()
      return False
    games = self._collector.collect(1)
    if games and self._record and self._collector.table_failure is None:
      self._fed.write(self._record.generation, self._ended())
    self._games += [game._asdict() for game in games]
    self._report()
    return True

  def _take_weights(self) -> None:
    weights = self._channel.take_into(self._model.variables)
    if weights is None:
      return
    self._policy.temperature.assign(weights.temperature)
    self._weights = weights

  def _may_play(self) -> bool:
    stage = self._parts.stages[self._plan.stage].stage
    steps, weights = self._collector.env_steps, self._weights
    if weights is None:
      # A warm-up at random needs none.
      return stage.random_warm_up and steps < self._place.share(
          stage.start_env_steps)
    if weights.finished:
      return False
    if not self._place.lock_step:
      return steps < self._place.share(stage.env_steps)
    return steps < self._place.share(weights.allowed_env_steps)

  def _report(self) -> None:
    """Tells the learner what was played, at most once a second."""
    now = time.monotonic()
    if now - self._reported < _REPORT_SECONDS and not self._games:
      return
    self._reports.send(PlayReport(
        self._place.number, self._collector.env_steps,
        self._collector.committed_env_steps,
        self._weights.step if self._weights else -1, tuple(self._games),
        self._collector.take_search_means()))
    self._reported, self._games = now, []

  def _connect(self) -> RunRecord:
    """Finds the server and feeds it all of this collector's that it lacks.

    Raises:
      UnreachableError: it does not come.
    """
    self._collector.flush()
    place = self._place
    while True:
      record = find_run(
          place.address, self._plan.directory.name, place.settings,
          place.timeout_seconds, self._say)
      try:
        writers = self._table_writers()
        self._feed(record, writers)
      except UnreachableError as error:
        self._say(str(error))  # it has died again
        continue
      self._collector.replace_tables(writers)
      return record

  def _table_writers(self) -> Sequence[SegmentWriter]:
    """One per slot.

    Raises:
      UnreachableError: the server is gone.
    """
    place = self._place
    return [ReplayWriter(
        reverb.Client(place.address), self._plan.tasks[0].name,
        roles.window_spec(self._plan.tasks[0],
                          self._parts.stages[self._plan.stage].replay,
                          self._parts.planner),
        self._priority, timeout_seconds=_FLUSH_TIMEOUT_SECONDS,
        block_length=self._parts.stages[self._plan.stage].replay.block_length,
        gives_up=lambda: stop_request.is_made)
            for _ in self._writers]

  def _feed(self, record: RunRecord,
            writers: Sequence[SegmentWriter]) -> None:
    """Games that ended since the server has loaded the log, and open ones.

    A server that an earlier session of this collector has fed already has its
    finished games, and the items of the open ones whose windows were complete.
    """
    log = EpisodeLog(self._plan.directory.episodes, being_written=True)
    fed = self._fed.newest(record.generation)
    replay = self._parts.stages[self._plan.stage].replay
    behind = replay.unroll_steps + replay.td_steps + 1
    for slot, (number, table) in enumerate(zip(self._writers, writers)):
      known = fed.get(str(number), -1)
      newest = max(known, record.loaded.get(str(number), -1))
      for episode in log.of_writer(number, after=newest).episodes():
        if episode.number not in log.open_episodes:
          table.load(episode)
      game = self._collector.logs[slot].read_open_episode()
      if game is not None:
        table.load(game, max(0, len(game.real) - behind)
                   if str(number) in fed else 0)
    self._fed.write(record.generation, self._ended())

  def _ended(self) -> Dict[str, int]:
    """{writer: newest game that has ended}; -1 where none has."""
    return {str(number): newest_ended(log) for number, log in
            zip(self._writers, self._collector.logs)}

  def _steps_of_task(self, own: int) -> int:
    """As of the recorder; never less than before, whatever others have told."""
    told = self._weights.played if self._weights else {}
    self._counted = max(self._counted, self._place.steps_of_all(own, told))
    return self._counted

  def _priority(self, episode: int, step: int) -> float:
    del episode, step
    return self._weights.maximum_priority if self._weights else 1.

  def _on_cut(self, slot: int, step: int) -> None:
    record_incident(
        self._plan.directory.logs, 'game-not-repeated', step=step,
        writer=self._writers[slot],
        outcome='it ends as cut, and the next game begins')
