"""All stages and all roles in one process: the main job."""

import functools
import os
import shlex
import sys
from typing import Mapping, Optional, Sequence

from rich.console import Console

from xtra_tf.errors import UsageError, near_names
from xtra_tf.evaluation import write_report
from xtra_tf.experiments import (
  configuration,
  data_columns,
  data_handshake,
  doctor,
  final_evaluations,
  inheritance,
  offline_server,
  roles,
  stages,
  strategies,
)
from xtra_tf.experiments.settings import MAIN_STAGES
from xtra_tf.experiments.stages import StageRun
from xtra_tf.replay import SharedServer, connect
from xtra_tf.runs import (
  RunDirectory,
  RunLock,
  check_free_space,
  compare_settings,
  write_bytes,
)
from xtra_tf.runs.settings import settings_hash

# Checkpoints, logs and the report of the smallest run; larger ones say more.
_MINIMUM_FREE_BYTES = 500 * 2**20


def run_xtra(root_dir: str, *, gin_files: Sequence[str],
             gin_bindings: Sequence[str], seed: int = 0,
             task_data: Optional[Mapping[str, str]] = None,
             accept_config_change: bool = False,
             only: Sequence[str] = (), offline_address: Optional[str] = None,
             offline_timeout: float = 60.,
             from_runs: Sequence[str] = (), evaluate: bool = True,
             devices: Optional[strategies.Devices] = None) -> str:
  """Runs what is left of the main job and returns the path of its report.

  Args:
    root_dir: the run's folder. A used one is gone on with.
    gin_files: names of gin files, later ones win.
    gin_bindings: single bindings, applied last.
    seed: decides initial weights, environment seeds and search noise.
    task_data: {source task: folder of episodes} to use instead of collecting.
    accept_config_change: go on with other settings than the run began with.
    only: the stages to run, with their evaluation, e.g. `scratch`; a report is
      made once all are done. Empty: all but cloning.
    offline_address: HOST:PORT of a server that has the source tasks' tables;
      their data and teachers are then no stages of the run.
    offline_timeout: seconds that this server may be gone.
    from_runs: runs whose finished stages are used instead of making them, as
      of `inheritance.parse`.
    evaluate: play the chosen stages' evaluation games on the target; False for
      stages that are made for other runs. Whether source tasks are played is
      up to `SourceEvaluationSettings`.
    devices: of the learner; one if left out.

  Returns:
    Path of the report's index.html; of eval/results.jsonl if `only` is given.

  Raises:
    UserError: whatever is wrong with settings, data or the machine.
  """
  devices = devices or strategies.Devices()
  devices.check()
  strategies.check_stages(devices, only)
  configuration.parse(gin_files, gin_bindings)
  # Before anything else of TensorFlow is asked for.
  strategy = devices.make(_say)
  parts = roles.resolve_parts(seed)
  task_data = dict(task_data or {})
  check_task_data(parts, task_data)
  chosen = only or MAIN_STAGES
  if offline_address is not None:
    chosen = offline_server.chosen_stages(only)
  check_free_space(root_dir, _MINIMUM_FREE_BYTES)
  check_machine(parts, root_dir)
  configuration.resolve(configuration.ExecutionSettings).apply()
  directory = RunDirectory(root_dir)
  taken = inheritance.find(
      parts, directory, inheritance.parse(from_runs), task_data)
  directory.inherit(taken)
  run = StageRun(parts, directory, task_data, None, strategy)
  stages.check_selection(run, only, with_teachers=offline_address is None)
  strategies.check_settings(parts, chosen, strategy)
  settings = {**configuration.run_settings(), 'flag:seed': str(seed),
              **{f'flag:task_data:{k}': v for k, v in task_data.items()}}
  settings.update({f'flag:from_run:{name}': stage['digest']
                   for name, stage in taken.items()})
  report = finished_report(directory, settings)
  if report is not None:
    _say(f'This run is finished: {directory.path}')
    return report
  run = run._replace(shared=_shared_server(
      parts, chosen, offline_address, offline_timeout))
  settings.update(_offline_facts(run, chosen))
  with run.group.watched():
    if not run.group.is_chief:
      return _follow(run, chosen, settings)
    with RunLock(directory):
      directory.begin(settings, seed=seed, command=command_line(),
                      accept_changes=accept_config_change)
      directory.write_config(given=configuration.config_text())
      return _lead(run, chosen, settings, whole=not only, evaluate=evaluate)


def _lead(run: StageRun, chosen: Sequence[str], settings: Mapping[str, str], *,
          whole: bool, evaluate: bool) -> str:
  """What the one learner does, or the chief of several."""
  directory, group = run.directory, run.group
  lock = lock_file()
  if lock is not None:
    with open(lock, 'rb') as file:
      write_bytes(os.path.join(directory.config, 'requirements.lock'),
                  file.read())
  try:
    group.check_same('settings', settings_hash(settings))
    stages.run_stages(run, chosen, functools.partial(
        final_evaluations.on_sources, run))
    final_evaluations.take_over(run)
    if evaluate:
      final_evaluations.on_target(run, chosen)
  except BaseException as error:
    directory.finish('stopped', reason=f'{type(error).__name__}: {error}')
    raise
  directory.write_config(operative=configuration.operative_text())
  if not whole or not evaluate:
    directory.finish('stopped', reason=f'asked for {", ".join(chosen)} alone')
    group.wait()
    return directory.results
  directory.finish('done')
  return write_report(directory.path)


def _follow(run: StageRun, chosen: Sequence[str],
            settings: Mapping[str, str]) -> str:
  """What a learner does that is not the chief: it trains, no more."""
  group = run.group
  group.check_same('settings', settings_hash(settings))
  stages.run_stages(run, chosen)
  _say('Waits for the chief of the learners, which plays the evaluations.')
  group.wait()
  return run.directory.results


def _say(line: str) -> None:
  Console().print(line, soft_wrap=True, highlight=False, markup=False)


def _shared_server(parts: roles.RunParts, chosen: Sequence[str],
                   address: Optional[str], timeout_seconds: float
                   ) -> Optional[SharedServer]:
  """The server of the offline tables, if any chosen stage needs one."""
  if address is None or not set(chosen) & set(offline_server.READERS):
    return None
  server = connect(address, timeout_seconds, say=_say)
  offline_server.check(parts, server)
  return server


def _offline_facts(run: StageRun, chosen: Sequence[str]) -> Mapping[str, str]:
  """Which data a server has; as before if no chosen stage reads them."""
  if run.shared is not None:
    return offline_server.facts(run.parts, run.shared)
  if (set(chosen) & set(offline_server.READERS)
      or not os.path.isfile(run.directory.run_json)):
    return {}
  return offline_server.facts_in(run.directory.record['settings'])


def finished_report(directory: RunDirectory,
                    settings: Mapping[str, str]) -> Optional[str]:
  """Path of the report of a run that is finished with these very settings.

  Args:
    directory: of the run.
    settings: as asked for now; a server's data are not among them.

  Returns:
    None if there is anything left to do, or settings differ.
  """
  page = os.path.join(directory.report, 'index.html')
  if not os.path.isfile(directory.run_json) or not os.path.isfile(page):
    return None
  record = directory.record
  own = dict(record['settings'])
  for name in offline_server.facts_in(own):  # nobody has asked a server yet
    del own[name]
  if record['state'] != 'done' or compare_settings(own, settings):
    return None
  return page


def command_line() -> str:
  """The command as typed, fit to be pasted."""
  module = sys.modules['__main__'].__spec__
  program = [sys.argv[0]] if module is None else ['-m', module.name]
  return shlex.join(['python', *program, *sys.argv[1:]])


def check_machine(parts: roles.RunParts, root_dir: str) -> None:
  """Refuses an installation that would spoil the run without a word.

  Raises:
    UsageError: naming the first finding and what to do.
  """
  atari = parts.target.family == 'atari'
  for check in doctor.startup_checks(root_dir, atari):
    if not check.ok:
      raise UsageError(f'{check.name}: found {check.found}. {check.advice} '
                       '`python -m launchers.doctor` looks at everything.')


def lock_file() -> Optional[str]:
  """Path of the checkout's locked versions; None where it is installed."""
  package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  path = os.path.join(os.path.dirname(package), 'requirements.lock')
  return path if os.path.isfile(path) else None


def check_task_data(parts: roles.RunParts,
                    task_data: Mapping[str, str]) -> None:
  """Opens and verifies all data that the user brought, before any training."""
  names = [task.name for task in parts.sources]
  for name, folder in task_data.items():
    if name not in names:
      raise UsageError(
          f'--task_data names {name}, which is not a source task of this run. '
          f'{near_names(name, names)}')
    task = parts.sources[names.index(name)]
    log = data_handshake.open_log(folder, task, parts.allowed_differences)
    # The teacher is trained on these data as they are.
    needed = data_columns.reanalyzed(parts.stages['teacher'].stage)
    data_columns.check(log, needed, 'Targets that are not reanalyzed')
    data_handshake.check_discount(
        log, needed, configuration.discount_of(parts.planner),
        parts.allowed_differences)
    for text in data_handshake.allowed_ones(log, task):
      _say(f'Allowed for the data of {name}: {text}.')
    log.verify()
