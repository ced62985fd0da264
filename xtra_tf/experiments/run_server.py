"""The run's own replay server: tables, weights and reports of one stage."""

import os
from typing import Callable, Dict, Optional
import uuid

from xtra_tf.episodes import EpisodeLog, episodes_ahead
from xtra_tf.errors import UsageError
from xtra_tf.experiments import roles
from xtra_tf.experiments.offline_tables import OfflineTables
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay import PriorityLedger, ReplayServer, ReverbTables
from xtra_tf.replay.play_reports import reports_table
from xtra_tf.replay.reanalyzed_queue import reanalyzed_table
from xtra_tf.replay.run_record import RunRecord, publish_run, run_table
from xtra_tf.replay.weights_table import weights_table
from xtra_tf.runs import Manifest, newest_manifest
from xtra_tf.variables import ManifestedCheckpoints


class RunServer:
  """Serves a stage's tables; what it holds is rebuilt from the disk.

  The offline tables are filled from their logs, the played task's from the
  finished games in its log; games that are open are fed by those who play them.
  Priorities are those of the newest save.
  """

  def __init__(self, parts: RunParts, plan: TrainingPlan, settings: str,
               port: Optional[int] = None, remote: bool = False):
    """Starts a server with empty tables.

    Args:
      parts: of the run.
      plan: of the stage.
      settings: hash of the run's settings.
      port: to listen on; a free one if left out.
      remote: other hosts may use it.

    Raises:
      UnreachableError: the port is taken.
      UsageError: the stage draws by an index in the learner's process, or its
        offline data do not fit into their tables.
    """
    replay = parts.stages[plan.stage].replay
    if not replay.with_replacement:
      raise UsageError(
          'ReplaySettings.with_replacement is False in the stage '
          f'{plan.stage}: windows are then drawn by an index in the process of '
          'the learner. Expected True for roles in processes of their own.')
    for name, log in plan.logs.items():
      if log.num_steps > replay.max_size:
        raise UsageError(
            f'{name} has {log.num_steps} steps, its table takes '
            f'{replay.max_size}. Expected a ReplaySettings.max_size of at '
            "least that: a run's own server streams no data.")
    self._parts, self._plan = parts, plan
    specs = roles.table_specs(plan.tasks, parts.stages[plan.stage], plan.online)
    window = roles.window_spec(plan.tasks[0], replay, parts.planner)
    self._server = ReplayServer(
        specs, window, port,
        others=[run_table(), weights_table(), reports_table(),
                reanalyzed_table(window, plan.rows[0])])
    self._tables = ReverbTables(specs, window, replay.block_length,
                                self._server)
    self.record = RunRecord(plan.directory.name, settings, uuid.uuid4().hex,
                            {}, remote)

  @property
  def address(self) -> str:
    """`localhost:<port>`."""
    return self._server.address

  @property
  def port(self) -> int:
    return self._server.port

  def load(self) -> Dict[str, int]:
    """Fills the tables from the disk, then says so to all who wait.

    Returns:
      {task: items}.

    Raises:
      DataFileError: a record is damaged.
    """
    ledger = PriorityLedger([task.name for task in self._plan.tasks])
    directory = self._plan.directory
    manifest = newest_manifest(directory.manifests, directory.checkpoints)
    if manifest is not None:
      ledger.take_arrays(ManifestedCheckpoints(directory).arrays(),
                         manifest.state.get('maximum_priority', 1.))
    with ledger.restoring():
      self._load_offline(ledger, manifest)
      if self._plan.online:
        self.record = self.record._replace(loaded=self._load_played(ledger))
    publish_run(self._server.client(), self.record)
    return self._tables.sizes()

  def stop(self) -> None:
    """Stops serving."""
    self._server.stop()

  def _load_offline(self, ledger: PriorityLedger,
                    manifest: Optional[Manifest]) -> None:
    plan = self._plan
    names = [task.name for task in plan.tasks]
    OfflineTables(
        plan.logs, self._tables, dict(zip(names, plan.rows)),
        self._parts.stages[plan.stage].replay,
        priority_of_new=ledger.of_new).load(manifest.step if manifest else 0)

  def _load_played(self, ledger: PriorityLedger) -> Dict[str, int]:
    """Loads finished games; the number of each writer's newest."""
    task, folder = self._plan.tasks[0], self._plan.directory.episodes
    loaded: Dict[str, int] = {}
    if not os.path.isdir(folder) or not os.listdir(folder):
      return loaded
    log = EpisodeLog(folder, expected_task=task, being_written=True)
    writer = self._tables.writer(task.name, _priority(ledger, task.name))
    for episode in episodes_ahead(log):
      if episode.number not in log.open_episodes:
        writer.load(episode)
        loaded[str(episode.writer)] = episode.number
    writer.close()
    return loaded


def _priority(ledger: PriorityLedger, task: str) -> Callable[[int, int], float]:
  return lambda episode, step: ledger.of_new(task, episode, step)
