"""All settings of one stage, read out of gin."""

import dataclasses
from typing import Any, Dict

from xtra_tf.experiments import configuration
from xtra_tf.experiments.settings import (
  SCOPE_OF,
  ReplaySettings,
  StageSettings,
)
from xtra_tf.learners import LearnerSettings
from xtra_tf.targets import TargetSettings


@dataclasses.dataclass(frozen=True)
class StageParts:
  """All settings of one stage."""
  stage: StageSettings
  replay: ReplaySettings
  learner: LearnerSettings
  targets: TargetSettings


def resolve(name: str, stack: int, support: int) -> StageParts:
  """Reads a stage's settings in its gin scope.

  Args:
    name: of the stage.
    stack: frames of a stacked observation.
    support: bins of value and value prefix are -support..support.

  Returns:
    The settings. Behaviour cloning has the student's, but for what it cannot
    have: a loss of anything but the policy of the root, and priorities, which
    are errors of values.

  Raises:
    UsageError: a missing or impossible setting.
  """
  scope = SCOPE_OF[name]
  replay = configuration.resolve(configuration.ReplaySettings, scope)
  learner: Dict[str, Any] = {'unroll_steps': replay.unroll_steps}
  if name == 'cloning':
    replay = dataclasses.replace(replay, priority_exponent=0.)
    learner = {'unroll_steps': 0, 'value_coefficient': 0.,
               'value_prefix_coefficient': 0., 'consistency_coefficient': 0.}
  return StageParts(
      stage=configuration.resolve(configuration.StageSettings, scope),
      replay=replay,
      learner=configuration.resolve(
          configuration.LearnerSettings, scope, stack=stack, support=support,
          **learner),
      targets=configuration.resolve(configuration.TargetSettings, scope))
