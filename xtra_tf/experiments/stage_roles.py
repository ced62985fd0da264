"""One stage of a run, its roles in processes of their own."""

import os
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from rich.console import Console

from xtra_tf.errors import UsageError, near_names
from xtra_tf.experiments import (
  configuration,
  local_run,
  roles,
  stages,
  strategies,
)
from xtra_tf.experiments.collector_role import CollectorPlace, CollectorRole
from xtra_tf.experiments.reanalyzer_role import (
  ReanalyzerPlace,
  ReanalyzerRole,
)
from xtra_tf.experiments.remote_hosts import is_this_host
from xtra_tf.experiments.remote_run import RemoteRun
from xtra_tf.experiments.run_server import RunServer
from xtra_tf.experiments.stages import StageRun
from xtra_tf.experiments.training import train
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay.run_record import find_run
from xtra_tf.runs import RunDirectory, RunLock
from xtra_tf.runs.settings import settings_hash

ONLINE_STAGES = ('data', 'finetune', 'scratch')


class StageOfRun(NamedTuple):
  """What every role of a stage gets."""
  parts: roles.RunParts
  plan: TrainingPlan
  run: StageRun
  settings: Dict[str, str]
  digest: str  # of the settings; all roles must have the same


def say(line: str) -> None:
  """One line for whoever started the role."""
  Console().print(line, soft_wrap=True, highlight=False, markup=False)


def resolve(root_dir: str, stage: str, gin_files: Sequence[str],
            gin_bindings: Sequence[str], seed: int,
            devices: Optional[strategies.Devices] = None) -> StageOfRun:
  """Reads the settings and finds the stage's plan.

  Args:
    root_dir: of the run.
    stage: `finetune`, `scratch`, or `data/TASK`.
    gin_files: names of gin files, later ones win.
    gin_bindings: single bindings, applied last.
    seed: of the run.
    devices: of the learner; one if left out. Others must be asked for before
      anything else of TensorFlow is.

  Raises:
    UsageError: a setting, or a stage that has no roles.
    UnreachableError: the other learners or the TPU cannot be reached.
  """
  devices = devices or strategies.Devices()
  devices.check()
  configuration.parse(gin_files, gin_bindings)
  strategy = devices.make(say)
  parts = roles.resolve_parts(seed)
  configuration.resolve(configuration.ExecutionSettings).apply()
  run = StageRun(parts, RunDirectory(root_dir), {}, None, strategy)
  settings = {**configuration.run_settings(), 'flag:seed': str(seed)}
  plan = _plan(run, stage)
  strategies.check_settings(parts, [plan.stage], strategy)
  return StageOfRun(parts, plan, run, settings, settings_hash(settings))


def _plan(run: StageRun, stage: str) -> TrainingPlan:
  name, _, task = stage.partition('/')
  if name == 'data' and task:
    known = {spec.name: spec for spec in run.parts.sources}
    if task not in known:
      raise UsageError(f'--stage={stage}: {task} is no source task. '
                       f'{near_names(task, known)}')
    return stages.source_data_plan(run, known[task])
  if name == 'finetune' and not task:
    stages.check_selection(run, ['finetune'])
    return stages.finetuning_plan(run)
  if name == 'scratch' and not task:
    return stages.scratch_plan(run)
  raise UsageError(
      f'--stage is {stage!r}. Expected a stage that plays: finetune, scratch '
      'or data/TASK. The others are trained by launchers.xtra in one process.')


def serve(stage: StageOfRun, port: Optional[int], remote: bool) -> RunServer:
  """Starts the stage's server and fills it from the disk."""
  server = RunServer(stage.parts, stage.plan, stage.digest, port, remote)
  sizes = server.load()
  say(f'Serving {stage.plan.directory.name} at {server.address}: ' + ', '.join(
      f'{name} ({size:,} items)' for name, size in sizes.items()))
  return server


def _find(stage: StageOfRun, address: str, timeout_seconds: float) -> None:
  """Waits for the stage's server, and refuses one that is not for this host."""
  record = find_run(address, stage.plan.directory.name, stage.digest,
                    timeout_seconds, say)
  if not record.remote and not is_this_host(address):
    raise UsageError(
        f'The replay server {address} is on another host and was started '
        'without --allow_remote, for its own host alone. Expected '
        'launchers.replay_server --allow_remote there, or an SSH tunnel to it '
        'and --replay_address=localhost:PORT here.')


def collect(stage: StageOfRun, place: CollectorPlace) -> int:
  """Plays until the learner has finished; the environment steps in all."""
  # Two of one number would write into one another's logs.
  with RunLock(os.path.join(stage.plan.directory.path, 'replay'),
               f'collector-{place.number}'):
    _find(stage, place.address, place.timeout_seconds)
    return CollectorRole(stage.parts, stage.plan, place, say).run()


def reanalyze(stage: StageOfRun, place: ReanalyzerPlace) -> int:
  """Makes targets until the learner has finished; batches in all."""
  role = ReanalyzerRole(stage.parts, stage.plan, place, say)
  _find(stage, place.address, place.timeout_seconds)
  return role.run()


def learn(stage: StageOfRun, remote: RemoteRun, seed: int,
          accept_config_change: bool = False) -> Dict[str, Any]:
  """Trains until the stage is done.

  Args:
    stage: what is trained.
    remote: where tables and collectors are.
    seed: of the run.
    accept_config_change: go on with other settings than the run began with.

  Returns:
    JSON-able facts about the stage: updates, env_steps.

  Raises:
    UserError: whatever is wrong with settings, data, machine or server.
  """
  directory, group = stage.run.directory, stage.run.group
  if group.size > 1 and remote.reanalyzed:
    raise UsageError(
        '--reanalyze=remote with --strategy=multi_worker: how several learners '
        'share what reanalyzers send is not decided. Expected one of the two.')

  def together() -> Dict[str, Any]:
    group.check_same('settings', stage.digest)
    _find(stage, remote.address, remote.timeout_seconds)
    return stages.once(stage.run, stage.plan.directory, lambda: train(
        stage.parts, stage.plan, stage.run.strategy, remote))

  with group.watched():
    if not group.is_chief:
      return together()
    return _lead(stage, directory, seed, accept_config_change, together)


def _lead(stage: StageOfRun, directory: RunDirectory, seed: int,
          accept_config_change: bool,
          together: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
  """Of the one learner, or the chief of several: writes the run's record."""
  with RunLock(directory):
    directory.begin(stage.settings, seed=seed,
                    command=local_run.command_line(),
                    accept_changes=accept_config_change)
    directory.write_config(given=configuration.config_text())
    try:
      result = together()
    except BaseException as error:
      directory.finish('stopped', reason=f'{type(error).__name__}: {error}')
      raise
    directory.finish('stopped', reason=f'asked for {stage.plan.stage} alone')
  return result
