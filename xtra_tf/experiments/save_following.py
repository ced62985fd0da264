"""Evaluates the saves of a stage while others train it."""

import dataclasses
import math
import os
import time
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from xtra_tf.errors import (
  CheckpointError,
  DataFileError,
  UsageError,
  near_names,
)
from xtra_tf.evaluation import Evaluator, results
from xtra_tf.experiments import checkpoint_evaluation, configuration
from xtra_tf.experiments.checkpoint_evaluation import CheckpointEvaluation
from xtra_tf.replay.patience import Patience
from xtra_tf.runs import RunDirectory, StageDirectory
from xtra_tf.runs.manifest import manifest_steps
from xtra_tf.runs.run_directory import STAGES, WITHOUT_TASK
from xtra_tf.tasks import get_task
from xtra_tf.variables import restore_world_model

_POLL_SECONDS = 0.5
_TRIES = 3  # of a save that cannot be read though its manifest is there


class Followed(NamedTuple):
  """A stage whose saves are evaluated, and what they play."""
  folder: str
  task: str


def stage_of_run(root_dir: str, stage: str, gin_files: Sequence[str],
                 gin_bindings: Sequence[str]) -> Followed:
  """Where a stage of a run is, and what it plays; neither need be there yet.

  Args:
    root_dir: of the run.
    stage: e.g. `scratch`, `student` (which plays the target), `teacher/Alien`.
    gin_files: of the run.
    gin_bindings: of the run.

  Raises:
    UsageError: there is no such stage or task, or a setting is wrong.
  """
  kind, _, about = stage.partition('/')
  of_sources = ('data', 'teacher')
  if kind not in STAGES or bool(about) != (kind in of_sources):
    raise UsageError(
        f'--stage is {stage!r}. Expected one of '
        + ', '.join(name + ('/TASK' if name in of_sources else '')
                    for name in STAGES)
        + f'. {near_names(kind, STAGES)}')
  configuration.parse(gin_files, gin_bindings)
  task = about or configuration.resolve(configuration.TaskSettings).target
  directory = RunDirectory(root_dir).stage(
      kind, None if kind in WITHOUT_TASK else task)
  return Followed(directory.path, task)


@dataclasses.dataclass(frozen=True)
class FollowSettings:
  """How saves are evaluated; see `checkpoint_evaluation.prepare`.

  Attributes:
    gin_files: settings of search and evaluation.
    gin_bindings: single bindings.
    episodes: games; those of the protocol if None.
    num_simulations: of a search; as trained if None.
    codec: of observations; as trained if None.
    root_dir: whose results are added to.
    output: file of the results.
    max_wait_seconds: how long no save may come; infinite: for ever.
  """
  gin_files: Sequence[str] = ()
  gin_bindings: Sequence[str] = ()
  episodes: Optional[int] = None
  num_simulations: Optional[int] = None
  codec: Optional[str] = None
  root_dir: Optional[str] = None
  output: Optional[str] = None
  max_wait_seconds: float = math.inf


class SaveFollower:
  """Plays the evaluation games of every save that comes, until the stage ends.

  The newest save is the next to play; those that came while another played are
  passed over. A save counts once its manifest is there, which is written last,
  and may be gone again while it is read: then the next one is taken. What the
  results hold already is not played again.
  """

  def __init__(self, followed: Followed, settings: FollowSettings,
               say: Callable[[str], None]):
    """Checks what can be checked before there is a save.

    Args:
      followed: whose saves.
      settings: how they are evaluated.
      say: told what is waited for and what was found.

    Raises:
      UsageError: an unknown task or setting, settings that clash.
    """
    name = os.path.basename(followed.folder.rstrip(os.sep))
    if name.startswith('ckpt-'):
      raise UsageError(
          f'--follow and --checkpoint={followed.folder}: one save has none '
          'that come after it. Expected the folder of a stage.')
    get_task(followed.task)
    checkpoint_evaluation.protocol(
        settings.gin_files, checkpoint_evaluation.with_task_macros(
            followed.task, settings.gin_bindings), settings.episodes)
    self._followed, self._settings, self._say = followed, settings, say
    self._stage = StageDirectory(followed.folder)
    self._evaluation: Optional[CheckpointEvaluation] = None
    self._evaluator: Optional[Evaluator] = None
    self._newest = -1  # step that was dealt with last
    self._failures: Dict[int, int] = {}

  def run(self) -> str:
    """Follows until the stage is done; the path of the results.

    Raises:
      UnreachableError: no save came for too long.
      UserError: whatever is wrong with a checkpoint, see `prepare`.
    """
    patience = self._patience()
    while True:
      # In this order: the last save is made before the stage is done.
      done = self._stage.read_done() is not None
      steps = [step for step in manifest_steps(self._stage.manifests)
               if step > self._newest]
      if steps:
        patience.end()
        self._deal_with(steps)
        patience = self._patience()
      elif done and self._evaluation is not None:
        return self._evaluation.results_path
      else:
        patience.wait('has made no save yet' if self._newest < 0 else
                      f'has made no save after that of step {self._newest:,}',
                      _POLL_SECONDS)

  def _patience(self) -> Patience:
    return Patience(f'the learner of {self._followed.folder}',
                    self._settings.max_wait_seconds, self._say)

  def _deal_with(self, steps: Sequence[int]) -> None:
    """Evaluates the last of some saves, unless it cannot be read.

    Raises:
      CheckpointError: the newest save is damaged.
      DataFileError: its manifest or description is.
    """
    *passed_over, step = steps
    try:
      evaluation = self._restored(step)
    except (CheckpointError, DataFileError):
      self._failures[step] = self._failures.get(step, 0) + 1
      if (step in manifest_steps(self._stage.manifests)[-1:]
          and self._failures[step] >= _TRIES):
        raise
      time.sleep(_POLL_SECONDS)  # it goes, or newer ones come
      return
    if passed_over:
      self._say(f'Passed over: step {", ".join(map(str, passed_over))}; newer '
                'saves came meanwhile.')
    self._newest = step
    if not self._is_known(evaluation):
      self._play(evaluation)

  def _restored(self, step: int) -> CheckpointEvaluation:
    """The evaluation of a save, with its weights in the model."""
    settings = self._settings
    prefix = os.path.join(self._stage.checkpoints, f'ckpt-{step}')
    if self._evaluation is None:
      self._evaluation = checkpoint_evaluation.prepare(
          prefix, self._followed.task, gin_files=settings.gin_files,
          gin_bindings=settings.gin_bindings, episodes=settings.episodes,
          num_simulations=settings.num_simulations, codec=settings.codec,
          root_dir=settings.root_dir, output=settings.output)
    else:
      # The model stays, and with it the search that was traced.
      self._evaluation = self._evaluation._replace(
          checkpoint=restore_world_model(self._evaluation.model, prefix))
    return self._evaluation

  def _is_known(self, evaluation: CheckpointEvaluation) -> bool:
    """Whether an earlier session, or the run itself, has played these games."""
    known = {_about(record) for record in
             results.read(evaluation.results_path)}
    return (evaluation.run, evaluation.stage, evaluation.task.name,
            evaluation.checkpoint.step, evaluation.profile,
            evaluation.task.codec, evaluation.settings.episodes) in known

  def _play(self, evaluation: CheckpointEvaluation) -> None:
    if self._evaluator is None:
      self._evaluator = Evaluator(evaluation.task, evaluation.model,
                                  evaluation.planner, evaluation.settings)
    result = self._evaluator.run()
    results.append(evaluation.results_path, evaluation.record(result),
                   result.recording)
    count = len(result.returns)
    self._say(
        f'{evaluation.stage}, step {evaluation.checkpoint.step:,}, '
        f'{evaluation.checkpoint.env_steps:,} environment steps: mean return '
        f'{sum(result.returns) / count:,.2f} over {count} games '
        f'({result.seconds:.0f} s).')


def _about(record: results.ResultRecord) -> Tuple[object, ...]:
  """What is known of an evaluation before it is made; seeds go by number."""
  return (record.run, record.stage, record.task, record.step, record.profile,
          record.codec, len(record.seeds))
