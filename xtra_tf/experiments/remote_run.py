"""Where a learner's tables and collectors are, if not in its own process."""

import collections
import dataclasses
import os
from typing import Callable, Dict

from xtra_tf.episodes import EpisodeLog
from xtra_tf.experiments import roles
from xtra_tf.experiments.remote_play import RemotePlay
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay import ReplayTables
from xtra_tf.replay.remote_tables import RemoteTables


@dataclasses.dataclass(frozen=True)
class RemoteRun:
  """A run's own server, that was found.

  Attributes:
    address: of the server.
    timeout_seconds: how long it, or all collectors, may be gone.
    say: told what is waited for.
    lock_step: updates wait for the environment steps that go with them.
    reanalyzed: the played task's rows come from reanalyzers, with their
      targets; else the learner searches itself.
  """
  address: str
  timeout_seconds: float
  say: Callable[[str], None]
  lock_step: bool = True
  reanalyzed: bool = False

  def tables(self, parts: RunParts, plan: TrainingPlan) -> ReplayTables:
    """The stage's tables."""
    settings = parts.stages[plan.stage]
    return RemoteTables(
        roles.table_specs(plan.tasks, settings, plan.online),
        roles.window_spec(plan.tasks[0], settings.replay, parts.planner),
        self.address, self.timeout_seconds, self.say,
        plan.rows[0] if self.reanalyzed else None)

  def play(self, plan: TrainingPlan, num_envs: int) -> RemotePlay:
    """The collectors, and what they have played in earlier sessions.

    Args:
      plan: of the stage.
      num_envs: environments, and so writers, of a collector.
    """
    env_steps: Dict[int, int] = collections.defaultdict(int)
    folder = plan.directory.episodes
    if os.path.isdir(folder) and os.listdir(folder):
      for writer, steps in EpisodeLog(
          folder, being_written=True).env_steps_of.items():
        env_steps[writer // num_envs] += steps
    return RemotePlay(self.address, env_steps, self.timeout_seconds, self.say)
