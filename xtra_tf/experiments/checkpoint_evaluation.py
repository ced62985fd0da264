"""Evaluates any checkpoint: of a run, imported, or copied from somewhere.

Everything that can be wrong is found by `prepare`, before a game is played.
"""

import dataclasses
import hashlib
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from xtra_tf.errors import CheckpointError, StorageError, UsageError
from xtra_tf.evaluation import (
  EvaluationResult,
  EvaluationSettings,
  Evaluator,
  ResultRecord,
  results,
)
from xtra_tf.evaluation.evaluator import ProgressFn
from xtra_tf.experiments import configuration
from xtra_tf.experiments.fidelity import DEFAULT_PROFILE, PROFILES, SWITCHES
from xtra_tf.experiments.official_checkpoints import config_for_task
from xtra_tf.models import EfficientZeroConfig
from xtra_tf.models.registry import build_world_model
from xtra_tf.models.world_model import WorldModel
from xtra_tf.planning import PRIOR, PriorPlanner
from xtra_tf.planning.planner import Planner
from xtra_tf.runs import RunDirectory, make_folder, run_of_stage
from xtra_tf.tasks import TaskSpec, family_of, get_task
from xtra_tf.variables import (
  CheckpointInfo,
  resolve_checkpoint,
  restore_world_model,
)

# The stage of results of a checkpoint that belongs to no run.
STANDALONE = 'checkpoint'
BASE = 'base/paper.gin'  # of all protocols


class CheckpointPlayer(NamedTuple):
  """A checkpoint that is ready to play."""
  checkpoint: CheckpointInfo
  task: TaskSpec  # with frames as the network wants them
  model: WorldModel  # restored
  planner: Planner
  run: str  # whose checkpoint it is, or its own name and hash
  stage: str
  profile: str


class CheckpointEvaluation(NamedTuple):
  """An evaluation that is ready to be made."""
  checkpoint: CheckpointInfo
  task: TaskSpec  # with frames as the network wants them
  model: WorldModel  # restored
  planner: Planner
  settings: EvaluationSettings
  run: str  # as in the results
  stage: str
  profile: str
  results_path: str

  def play(self, progress: Optional[ProgressFn] = None) -> EvaluationResult:
    """Plays all games; see `Evaluator.run`."""
    return Evaluator(self.task, self.model, self.planner,
                     self.settings).run(progress)

  def record(self, result: EvaluationResult) -> ResultRecord:
    """The line of the results file."""
    return result.record(
        run=self.run, stage=self.stage, task=self.task.name,
        step=self.checkpoint.step, env_steps=self.checkpoint.env_steps,
        profile=self.profile, codec=self.task.codec)


def prepare(checkpoint: str, task: str, *, gin_files: Sequence[str] = (),
            gin_bindings: Sequence[str] = (), episodes: Optional[int] = None,
            num_simulations: Optional[int] = None, codec: Optional[str] = None,
            root_dir: Optional[str] = None, output: Optional[str] = None
            ) -> CheckpointEvaluation:
  """Finds and checks all that an evaluation needs.

  The search is that of the checkpoint's run, or, without a run, the paper's in
  the checkpoint's fidelity profile; a policy of behaviour cloning plays without
  any. The protocol is the official one, whatever
  the run's own evaluations were like. What is given here wins over both.

  Args:
    checkpoint: as of `variables.resolve_checkpoint`.
    task: name of what is played.
    gin_files: settings of search and evaluation, later ones win.
    gin_bindings: single bindings, applied after the files.
    episodes: games; 32 unless gin says something else.
    num_simulations: of a search.
    codec: of observations; the checkpoint's own if not given.
    root_dir: results go to the file of this run.
    output: results go to this file. Without both: the file of the checkpoint's
      run, or eval/results.jsonl in the checkpoint's folder.

  Raises:
    UsageError: an unknown task or setting, settings that clash.
    CheckpointError: there is no checkpoint, or it is damaged.
    IncompatibleDataError: actions or observations do not fit the task.
    DataFileError: the results file is damaged.
    StorageError: the results cannot be written.
  """
  get_task(task)  # A misspelt name is the likeliest mistake.
  if root_dir and output:
    raise UsageError(f'--root_dir is {root_dir} and --output is {output}. '
                     'Expected one of them, or none.')
  settings = protocol(gin_files, with_task_macros(task, gin_bindings),
                      episodes)
  player = prepare_player(
      checkpoint, task, gin_files=gin_files, gin_bindings=gin_bindings,
      num_simulations=num_simulations, codec=codec)
  info = player.checkpoint
  path = _results_path(info, run_of_stage(info.path), root_dir, output)
  return CheckpointEvaluation(
      info, player.task, player.model, player.planner, settings, player.run,
      player.stage, player.profile, path)


def with_task_macros(task: str, gin_bindings: Sequence[str]) -> List[str]:
  """The bindings behind macros that gin files of ours refer to."""
  return [f'TARGET_TASK = {task!r}', 'SOURCE_TASKS = ()', *gin_bindings]


def prepare_player(checkpoint: str, task: str, *, gin_files: Sequence[str] = (),
                   gin_bindings: Sequence[str] = (),
                   num_simulations: Optional[int] = None,
                   codec: Optional[str] = None) -> CheckpointPlayer:
  """Finds and checks what a checkpoint needs to play; see `prepare`.

  Args:
    checkpoint: as of `variables.resolve_checkpoint`.
    task: name of what is played.
    gin_files: settings of the search, later ones win.
    gin_bindings: single bindings, applied after the files.
    num_simulations: of a search.
    codec: of observations; the checkpoint's own if not given.

  Raises:
    UsageError: an unknown task or setting, settings that clash.
    CheckpointError: there is no checkpoint, or it is damaged.
    IncompatibleDataError: actions or observations do not fit the task.
  """
  get_task(task)
  info = resolve_checkpoint(checkpoint)
  directory = run_of_stage(info.path)
  seen = task_as_seen(info, task, codec)
  gin_bindings = with_task_macros(task, gin_bindings)
  # Only what was asked for; see `_profile_file`.
  configuration.parse(gin_files, gin_bindings)
  planner = _planner(info, directory, gin_files, gin_bindings, num_simulations)
  if info.description.get('acting') == PRIOR:
    planner = _without_search(info, num_simulations)
  run, stage = _names(info, directory, task)
  return CheckpointPlayer(
      info, seen, _restored(info, checkpoint, seen), planner, run, stage,
      str(info.description.get('profile', DEFAULT_PROFILE)))


def task_as_seen(info: CheckpointInfo, name: str,
                 codec: Optional[str] = None) -> TaskSpec:
  """A task with frames like those that a checkpoint's network has learned from.

  Args:
    info: of the checkpoint.
    name: of the task.
    codec: of observations; the checkpoint's own if None.

  Raises:
    UsageError: an unknown task, or one that has no such codec.
    CheckpointError: the checkpoint's description is damaged.
  """
  plain = get_task(name)
  try:
    kept = info.description.get('codec', 'lossless')
    view = _view(info.description, plain.family)
  except (AttributeError, IndexError, KeyError, TypeError,
          ValueError) as error:
    raise CheckpointError(
        f'{os.path.join(info.path, "model.json")} is damaged: its task or its '
        f'config lacks what describes observations ({error!r}).') from error
  # Which codec an image of another family went through, nobody knows.
  if plain.family != 'atari':
    view.pop('resolution', None)
    view.pop('grayscale', None)
    view.pop('sticky_actions', None)
    kept = 'lossless'
  return dataclasses.replace(get_task(name, **view), codec=codec or kept)


def _view(description: Dict[str, Any], family: str) -> Dict[str, Any]:
  """How frames were seen, as arguments of `get_task`; empty if nothing tells.

  A checkpoint of a run describes its task. An imported one may not, but its
  network's input does.
  """
  task = description.get('task')
  if task is not None:
    if family_of(task['name']) != family:
      return {}
    shape, stack = task['observation_shape'], task['stack']
    sticky = float(task.get('sticky_actions', 0.))
  else:
    *space, channels = description['config']['observation_shape']
    colours = 1 if channels % 3 else 3
    shape, stack = [*space, colours], channels // colours
    sticky = 0.
  if len(shape) != 3:
    return {}
  return {'resolution': int(shape[0]), 'grayscale': shape[2] == 1,
          'stack': int(stack), 'sticky_actions': sticky}


def _restored(info: CheckpointInfo, checkpoint: str,
              task: TaskSpec) -> WorldModel:
  """The checkpoint's model, which can play the task."""
  description = dict(info.description)
  if description['family'] == 'efficientzero':
    # A head that is of one game, it is not known of which, is of this one.
    config = EfficientZeroConfig.from_json(description.get('config', {}))
    description['config'] = config_for_task(config, task, info.path).to_json()
  model = build_world_model(description, seed=0)
  model.check_plays(task.name, task.legal_actions)
  restore_world_model(model, checkpoint)
  return model


# What a run's record says of its search: all that evaluation takes from it.
_OF_PLAY = ('MctsPlanner', 'ExecutionSettings')


def protocol(gin_files: Sequence[str], gin_bindings: Sequence[str],
             episodes: Optional[int]) -> EvaluationSettings:
  """The official protocol, but for what was asked for.

  Args:
    gin_files: settings, later ones win.
    gin_bindings: single bindings, applied after the files.
    episodes: games; 32 unless gin says something else.

  Raises:
    UsageError: an unknown setting.
  """
  configuration.parse(gin_files, gin_bindings)
  settings = configuration.resolve(configuration.EvaluationSettings)
  if episodes is not None:
    settings = dataclasses.replace(settings, episodes=episodes)
  if not _is_bound('EvaluationSettings.batch_size'):
    # All games in one batch: each search serves as many as there are.
    settings = dataclasses.replace(
        settings, batch_size=max(settings.batch_size, settings.episodes))
  return settings


def _is_bound(parameter: str) -> bool:
  return any(name == parameter or name.endswith(f'.{parameter}')
             for name in configuration.bound_values())


def _planner(info: CheckpointInfo, directory: Optional[RunDirectory],
             gin_files: Sequence[str], gin_bindings: Sequence[str],
             num_simulations: Optional[int]) -> Planner:
  """The search of the checkpoint's run or profile, but for what was asked."""
  bindings = list(gin_bindings)
  if num_simulations is not None:
    bindings.append(
        f'xtra_tf.planning.MctsPlanner.num_simulations = {num_simulations}')
  # A run may come from anywhere: its record is read as data, and the gin files
  # in it are not read at all.
  recorded = directory and configuration.recorded_bindings(
      directory.record['settings'], _OF_PLAY, directory.run_json)
  if recorded:
    configuration.parse(gin_files, bindings, before=recorded)
  else:
    configuration.parse([BASE, _profile_file(info), *gin_files], bindings)
  configuration.resolve(configuration.ExecutionSettings).apply()
  return configuration.resolve(configuration.MctsPlanner)


def _without_search(info: CheckpointInfo,
                    num_simulations: Optional[int]) -> Planner:
  """Behaviour cloning has learned no value and no dynamics to search with."""
  if num_simulations is not None:
    raise UsageError(
        f'--num_simulations is {num_simulations}, but {info.path} was made by '
        'behaviour cloning: it plays by its policy alone and has learned '
        'nothing to search with. Expected the command without it.')
  return PriorPlanner()


def _profile_file(info: CheckpointInfo) -> str:
  """The gin file of the checkpoint's profile.

  To be called while only the settings that were asked for are bound.
  """
  recorded = str(info.description.get('profile', DEFAULT_PROFILE))
  profile, *departed = recorded.split('+')
  if profile not in PROFILES:
    raise CheckpointError(
        f'{os.path.join(info.path, "model.json")} names the fidelity profile '
        f'{profile!r}. Expected one of {", ".join(PROFILES)}.')
  for switch in SWITCHES:
    name = '.'.join(switch.parameter.split('.')[-2:])
    if (switch.name in departed and name.startswith('MctsPlanner.')
        and not _is_bound(name)):
      raise UsageError(
          f'{info.path} was trained with the profile {recorded}: with another '
          f'{name} than that of {profile}, and no run is there to say which. '
          f'Expected it among the --gin_bindings, e.g. "{switch.parameter} = '
          f'{switch.value("xtra_official")!r}".')
  return f'profiles/{profile}.gin'


def _results_path(info: CheckpointInfo, directory: Optional[RunDirectory],
                  root_dir: Optional[str], output: Optional[str]) -> str:
  """Where the results go; a file of results, or none yet."""
  if output:
    return writable_results(output)
  if root_dir:
    return writable_results(RunDirectory(root_dir).results)
  if directory is not None:
    return writable_results(directory.results)
  return writable_results(RunDirectory(info.path).results)


def writable_results(path: str) -> str:
  """The absolute path of a results file that can be added to.

  Raises:
    UsageError: it is a folder.
    DataFileError: the file is damaged.
    StorageError: it cannot be written.
  """
  path = os.path.abspath(path)
  if os.path.isdir(path):
    raise UsageError(f'--output is the folder {path}. Expected a file, e.g. '
                     f'--output={os.path.join(path, "results.jsonl")}.')
  results.read(path)
  folder = make_folder(os.path.dirname(path))
  if not os.access(path if os.path.exists(path) else folder, os.W_OK):
    raise StorageError(f'{path} cannot be written: no permission. Expected a '
                       'file that can, by --output.')
  return path


def _names(info: CheckpointInfo, directory: Optional[RunDirectory],
           task: str) -> Tuple[str, str]:
  """Run and stage of the results.

  A run's own evaluation of a stage on the stage's task names the stage alone;
  others name the stage's task too.
  """
  if directory is None:
    hashes = ''.join(sorted(f['sha256'] for f in info.manifest.files.values()))
    digest = hashlib.sha256(hashes.encode()).hexdigest()[:8]
    # Two checkpoints of one name must not be taken for each other.
    return f'{os.path.basename(info.path)}-{digest}', STANDALONE
  name = directory.stage_name(info.path)
  kind, _, about = name.partition('/')
  return directory.run_id, kind if about in ('', task) else name
