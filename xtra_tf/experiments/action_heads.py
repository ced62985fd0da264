"""Which actions the network of a stage knows."""

from typing import Mapping, Optional, Sequence, Tuple

from xtra_tf.errors import UsageError
from xtra_tf.experiments.settings import StageSettings
from xtra_tf.tasks import TaskSpec


def action_ids(stage: str, settings: StageSettings, tasks: Sequence[TaskSpec]
               ) -> Optional[Tuple[int, ...]]:
  """The actions that a stage's network knows.

  Args:
    stage: its name, for the message.
    settings: of the stage.
    tasks: that share the network.

  Returns:
    Ids as in `EfficientZeroConfig.action_ids`; None: all of the family.

  Raises:
    UsageError: a head of the task is asked for, but the tasks have different
      legal actions; names two of them.
  """
  if settings.action_head == 'family':
    return None
  first = tasks[0]
  for task in tasks[1:]:
    if task.legal_actions != first.legal_actions:
      raise UsageError(
          f"The stage {stage} has StageSettings.action_head = 'task', but "
          f'{first.name} with the {_shown(first)} and {task.name} with the '
          f'{_shown(task)} share its network. Expected tasks with the same '
          f"legal actions, or {stage}/StageSettings.action_head = 'family'.")
  # A head of all actions is the family's own.
  return (None if len(first.legal_actions) == first.num_actions
          else first.legal_actions)


def check(settings: Mapping[str, StageSettings], target: TaskSpec,
          sources: Sequence[TaskSpec]) -> None:
  """Refuses heads that the stages of a run cannot have, before the first one.

  Args:
    settings: of all stages.
    target: of the run.
    sources: of the run.

  Raises:
    UsageError: see `action_ids`; or the student's head is not the one that
      finetuning goes on with.
  """
  for stage in ('data', 'teacher'):
    for task in sources:
      action_ids(stage, settings[stage], [task])
  action_ids('scratch', settings['scratch'], [target])
  student = action_ids('student', settings['student'], sources)
  finetune = action_ids('finetune', settings['finetune'], [target, *sources])
  if student != finetune:
    raise UsageError(
        "Finetuning goes on with the student's weights, but the student's "
        f'network knows the actions {_named(student)} and that of finetuning '
        f'{_named(finetune)}. Expected the same StageSettings.action_head in '
        'both stages.')


def _shown(task: TaskSpec) -> str:
  return f'{len(task.legal_actions)} actions {list(task.legal_actions)}'


def _named(ids: Optional[Tuple[int, ...]]) -> str:
  return 'of the whole family' if ids is None else str(list(ids))
