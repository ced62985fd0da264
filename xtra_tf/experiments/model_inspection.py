"""Holds a checkpoint's predictions to recorded games."""

from typing import NamedTuple

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import UsageError
from xtra_tf.experiments import checkpoint_evaluation, model_quality
from xtra_tf.experiments.checkpoint_evaluation import CheckpointPlayer
from xtra_tf.experiments.model_quality import ModelQuality, RecordedStates
from xtra_tf.planning import MctsPlanner


class ModelInspection(NamedTuple):
  """A checkpoint and the states that it is held to."""
  player: CheckpointPlayer
  states: RecordedStates
  discount: float

  def measure(self, batch_statistics: bool = False) -> ModelQuality:
    """See `model_quality.measure`; with batch statistics it is the last."""
    return model_quality.measure(
        self.player.model, self.states,
        legal_actions=self.player.task.legal_actions, discount=self.discount,
        batch_statistics=batch_statistics)


def prepare(checkpoint: str, task: str, source: str, *, count: int = 512,
            seed: int = 0) -> ModelInspection:
  """Restores a checkpoint and draws recorded states.

  Args:
    checkpoint: as of `variables.resolve_checkpoint`.
    task: name of what was played.
    source: folder of an episode log of that task, with frames as the network
      takes them.
    count: states.
    seed: of their draw.

  Raises:
    UsageError: an unknown task, a policy without a model to inspect.
    CheckpointError: there is no checkpoint, or it is damaged.
    DataFileError: the log is missing or damaged.
    IncompatibleDataError: the log is of another task or has other frames than
      the network's, or no state of which enough is known.
  """
  player = checkpoint_evaluation.prepare_player(checkpoint, task)
  planner = player.planner
  if not isinstance(planner, MctsPlanner):
    raise UsageError(
        f'{player.checkpoint.path} was made by behaviour cloning: it has '
        'learned a policy, and no values and rewards to look at. Expected a '
        'teacher, a student, or a model that was trained online.')
  log = EpisodeLog(source, player.task)
  states = model_quality.recorded_states(
      log, stack=player.task.stack, unroll_steps=player.model.prefix_horizon,
      discount=planner.discount, count=count, seed=seed)
  return ModelInspection(player, states, planner.discount)
