"""The played task of a stage: its log, its rows in the table, its collector."""

import contextlib
from typing import Any, Dict, List, Optional

from xtra_tf import environments
from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter
from xtra_tf.experiments import data_provenance, roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.offline_data import reload_played
from xtra_tf.policies import PlanningPolicy
from xtra_tf.replay import PriorityLedger, ReplayTables
from xtra_tf.runs import Manifest, record_incident
from xtra_tf.workers import Collector


def build_collector(parts: RunParts, plan: TrainingPlan, tables: ReplayTables,
                    policy: PlanningPolicy, priorities: PriorityLedger,
                    manifest: Optional[Manifest],
                    stack: contextlib.ExitStack) -> Collector:
  """Opens the log, fills the table from it again and starts the environments.

  Games that an earlier session has left open are gone on with.

  Args:
    parts: of the run.
    plan: of the stage; its first task is played.
    tables: of the stage.
    policy: that plays after the warm-up.
    priorities: gives rows that were sampled before their priorities back.
    manifest: of the save that the stage goes on from.
    stack: closes the collector.

  Raises:
    DataFileError: the log is damaged.
  """
  stage = parts.stages[plan.stage].stage
  repeats = parts.stages[plan.stage].replay.repeatable
  task, seed = plan.tasks[0], plan.seed(parts.seed)
  lines = _lines(manifest, stage.num_envs) if repeats else None
  logs = [
      EpisodeLogWriter(
          plan.directory.episodes, task, columns=('search', 'root_value'),
          writer=slot, provenance=provenance(parts, plan), keep_open=True,
          first_lines=lines[slot] if lines else None)
      for slot in range(stage.num_envs)]
  open_games = {slot: game for slot, log in enumerate(logs)
                if (game := log.read_open_episode()) is not None}
  writers = [
      tables.writer(task.name, lambda episode, step: priorities.of_new(
          task.name, episode, step)) for _ in logs]
  with priorities.restoring():
    reload_played(
        EpisodeLog(plan.directory.episodes, expected_task=task), writers,
        open_games, in_order=repeats)
  environment = environments.load(
      task, num_envs=stage.num_envs, seed=seed, training=True,
      max_episode_steps=stage.max_episode_steps)

  def on_cut(slot: int, step: int) -> None:
    record_incident(plan.directory.logs, 'game-not-repeated', slot=slot,
                    episode=open_games[slot].number, step=step,
                    outcome='it ends as cut, and the next game begins')

  collector = Collector(
      environment, policy, logs, writers, task.stack,
      warm_up_policy=(roles.random_policy(task, seed)
                      if stage.random_warm_up else None),
      warm_up_steps=stage.start_env_steps,
      warm_up_has_targets=stage.warm_up_target == 'uniform',
      open_games=open_games, on_cut=on_cut)
  stack.callback(collector.close)
  return collector


def _lines(manifest: Optional[Manifest], num_envs: int) -> List[int]:
  """Blocks of each slot's log that the save knows of."""
  return (manifest.state['log_lines'] if manifest is not None
          else [0] * num_envs)


def provenance(parts: RunParts, plan: TrainingPlan) -> Dict[str, Any]:
  """How a stage's own episodes come about, for the header of its log."""
  stage = parts.stages[plan.stage].stage
  return {'policy': f'{plan.stage}: EfficientZero search policy',
          'seed': parts.seed,
          'acting': {'search': data_provenance.of_planner(parts.planner)},
          'environment': data_provenance.of_environment(
              plan.tasks[0], stage.num_envs, stage.max_episode_steps),
          **data_provenance.of_software(),
          'random_warm_up_steps': stage.start_env_steps
          if stage.random_warm_up else 0}
