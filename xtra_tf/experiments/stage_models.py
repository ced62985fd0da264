"""The instances of the world model that a stage has, and its targets."""

import dataclasses
from typing import Any, Mapping, Optional, Sequence

import tensorflow as tf

from xtra_tf.experiments import roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.models.world_model import WorldModel
from xtra_tf.targets import TargetsFn
from xtra_tf.variables import copy_variables, restore_world_model

# Targets that no network is asked for.
_WITHOUT_TARGET_NETWORK = ('stored', 'actions')


@dataclasses.dataclass
class Models:
  """The instances of the world model that a stage has at once."""
  online: WorldModel
  target: Optional[WorldModel] = None
  acting: Optional[WorldModel] = None

  def need(self, name: str) -> WorldModel:
    """An instance that this stage must have."""
    model = getattr(self, name)
    if model is None:
      raise ValueError(f'This stage has no {name} model.')
    return model


def build_models(parts: RunParts, plan: TrainingPlan,
                 strategy: tf.distribute.Strategy) -> Models:
  """All instances start from the same weights, with the same parts frozen.

  Args:
    parts: all settings of the run.
    plan: of the stage.
    strategy: that learns; the acting model is no part of it.
  """
  seed = plan.seed(parts.seed)
  description = roles.describe_model(parts, plan.stage, plan.tasks)

  def build() -> WorldModel:
    model = roles.build_model(parts, seed, description)
    model.freeze(plan.frozen)
    return model

  with strategy.scope():
    online = build()
    _restore_initial(parts, plan, online, description)
    models = Models(online)
    if plan.targets not in _WITHOUT_TARGET_NETWORK:
      models.target = build()
      copy_variables(online, models.target)
  if plan.online:
    models.acting = build()
    copy_variables(online, models.acting)
  return models


def _restore_initial(parts: RunParts, plan: TrainingPlan, online: WorldModel,
                     description: Mapping[str, Any]) -> None:
  """Gives the model the weights that it starts from, or some parts of them."""
  if plan.initial_weights is None:
    return
  if plan.initial_parts is None:
    restore_world_model(online, plan.initial_weights)
    return
  student = roles.build_model(parts, parts.seed, description)
  restore_world_model(student, plan.initial_weights)
  copy_variables(student, online, plan.initial_parts)


def build_targets(parts: RunParts, plan: TrainingPlan, models: Models,
                  rows: Sequence[int]) -> TargetsFn:
  """What a stage's unrolls are trained towards.

  Args:
    parts: all settings of the run.
    plan: of the stage.
    models: its instances.
    rows: of each task in a replica's batch.
  """
  if plan.targets == 'stored':
    return roles.stored_targets(parts, plan.stage, plan.tasks[0])
  if plan.targets == 'actions':
    return roles.action_targets(plan.tasks[0])
  target = models.need('target')
  if plan.targets == 'finetuning':
    return roles.finetuning_targets(parts, target, rows)
  return roles.reanalyzed_targets(parts, plan.stage, target, plan.tasks[0])
