"""Plays at random, by the protocol by which checkpoints are evaluated."""

from typing import NamedTuple, Optional, Sequence, Tuple

from xtra_tf.errors import UsageError, near_names
from xtra_tf.evaluation import (
  EvaluationResult,
  EvaluationSettings,
  ResultRecord,
  play_at_random,
)
from xtra_tf.evaluation.evaluator import ProgressFn
from xtra_tf.experiments import checkpoint_evaluation, configuration
from xtra_tf.runs import RunDirectory
from xtra_tf.tasks import TaskSpec, get_task

# Stage of the results, and run where all legal actions are played.
RANDOM = 'random'


class RandomEvaluation(NamedTuple):
  """Random play, ready to begin."""
  task: TaskSpec
  settings: EvaluationSettings
  actions: Tuple[int, ...]  # ids of those that are played; none: all legal ones
  results_path: str

  @property
  def run(self) -> str:
    """As in the results: `random`, or such as `random FIRE LEFTFIRE`."""
    names = [self.task.action_names[n] for n in self.actions]
    return ' '.join([RANDOM, *names])

  def play(self, progress: Optional[ProgressFn] = None) -> EvaluationResult:
    """Plays all games; see `evaluation.play_at_random`."""
    return play_at_random(self.task, self.settings, progress=progress,
                          actions=self.actions or None)

  def record(self, result: EvaluationResult) -> ResultRecord:
    """The line of the results file."""
    return result.record(run=self.run, stage=RANDOM, task=self.task.name,
                         step=0, env_steps=0, profile='none',
                         codec=self.task.codec)


def prepare(task: str, *, gin_files: Sequence[str] = (),
            gin_bindings: Sequence[str] = (), episodes: Optional[int] = None,
            actions: Sequence[str] = (), root_dir: Optional[str] = None,
            output: Optional[str] = None) -> RandomEvaluation:
  """Checks all that random play needs, before a game is played.

  Args:
    task: name of what is played.
    gin_files: settings of evaluation and task (sticky actions), later ones win.
    gin_bindings: single bindings, applied after the files.
    episodes: games; 32 unless gin says something else.
    actions: names of those that are played; none: all legal ones.
    root_dir: results go to the file of this run.
    output: results go to this file; exactly one of the two is needed.

  Raises:
    UsageError: an unknown task, setting or action, no place for the results.
    DataFileError: the results file is damaged.
    StorageError: the results cannot be written.
  """
  get_task(task)  # A misspelt name is the likeliest mistake.
  if bool(root_dir) == bool(output):
    raise UsageError(
        f'--root_dir is {root_dir} and --output is {output}. Random play needs '
        'one of them to write its results to, e.g. --output=random.jsonl.')
  settings = checkpoint_evaluation.protocol(
      [checkpoint_evaluation.BASE, *gin_files],
      checkpoint_evaluation.with_task_macros(task, gin_bindings), episodes)
  target = configuration.resolve(configuration.TaskSettings).spec(task)
  return RandomEvaluation(target, settings, _ids(target, actions),
                          checkpoint_evaluation.writable_results(
                              output or RunDirectory(str(root_dir)).results))


def _ids(task: TaskSpec, names: Sequence[str]) -> Tuple[int, ...]:
  """The ids of legal actions, in their order."""
  legal = {task.action_names[n]: n for n in task.legal_actions}
  for name in names:
    if name not in legal:
      raise UsageError(f'{task.name} has no legal action {name!r}. '
                       f'{near_names(name, legal)}')
  return tuple(sorted(legal[name] for name in set(names)))
