"""The settings of task weights, as a run reads and checks them."""

from xtra_tf.errors import UsageError, near_names
from xtra_tf.experiments import configuration
from xtra_tf.experiments.settings import ReplaySettings, StageSettings
from xtra_tf.experiments.transfer_settings import MODEL_PARTS, TransferSettings
from xtra_tf.learners import TaskWeightSettings


def resolve(stage: StageSettings, replay: ReplaySettings,
            transfer: TransferSettings) -> TaskWeightSettings:
  """Reads the settings out of gin; their clock is then of gradient steps.

  Args:
    stage: of finetuning.
    replay: of finetuning.
    transfer: what of the network is trained.

  Raises:
    UsageError: settings that cannot be, or that do not fit the stage's.
  """
  settings = configuration.resolve(configuration.TaskWeightSettings)
  for part in settings.parts or ():
    if part not in MODEL_PARTS:
      raise UsageError(f'TaskWeightSettings.parts names {part!r}. '
                       f'{near_names(str(part), MODEL_PARTS)}')
  if settings.parts and set(settings.parts) <= set(transfer.frozen):
    raise UsageError(
        f'TaskWeightSettings.parts are {", ".join(settings.parts)}, all of '
        'them frozen (TransferSettings.frozen), so that there is no gradient '
        'to compare. Expected at least one part that is trained.')
  if replay.offline_composition == 'random':
    _check_random(settings)
  return settings.in_gradient_steps(
      stage.updates_per_env_step, stage.start_env_steps)


def _check_random(settings: TaskWeightSettings) -> None:
  composition = (
      "finetune/ReplaySettings.offline_composition is 'random'. Expected "
      "'one_of_each', or ")
  if settings.passes == 'by_task':
    raise UsageError(
        "TaskWeightSettings.passes is 'by_task', which needs each task's rows "
        f"at one place of every batch, but {composition}the passes 'joint'.")
  if settings.use == 'sampling':
    raise UsageError(
        "TaskWeightSettings.use is 'sampling': tables are drawn in proportion "
        f'to the task weights, but {composition}the use '
        "'loss', as in the profile xtra_official.")
