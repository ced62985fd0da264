"""The agent: what is minimised, as a TF-Agents `TFAgent`."""

from typing import (
  Any,
  Callable,
  List,
  NamedTuple,
  Optional,
  Sequence,
  Tuple,
  Union,
)

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.policies import tf_policy
from tf_agents.trajectories import time_step as ts

from xtra_tf.learners import unroll_loss
from xtra_tf.learners.importance_weights import ImportanceWeights
from xtra_tf.learners.momentum_sgd import MomentumSgd
from xtra_tf.learners.settings import LearnerSettings
from xtra_tf.learners.target_network import TargetNetwork
from xtra_tf.learners.task_weights import TaskWeights
from xtra_tf.learners.train_step import (
  GradientStep,
  StepResult,
  TaskLosses,
  TaskPasses,
)
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import policy_agreement, replicas, schedules, segments
from xtra_tf.types import Targets, TrainingMetrics, Unroll


class _Rows(NamedTuple):
  """What the forward pass of some rows needs."""
  views: unroll_loss.TrainingViews
  action: tf.Tensor  # <int32>[B, K]
  targets: Targets
  weight: tf.Tensor  # <float32>[B]


class WorldModelAgent(tf_agent.TFAgent):
  """Trains a world model on unrolls of one or several tasks.

  `train` takes an Unroll and makes one gradient step on

    loss = sum_i share_i * factor_i * (mean over task i's rows of w * L)

  with L the unroll loss, w the importance weight, factor_i the offline factor
  that the batch was drawn with. The first task has the share of its rows in
  the batch and the others divide the rest equally: with equal quotas the mean
  over all rows, as in XTRA `core/train.py:401-427`. With the loss reduction
  `per_task_sum` each share is 1, as in the paper, section 2.2.

  `LossInfo.extra` is a TrainingMetrics; its `task_loss` is before share and
  factor, so that a task of weight 0 can be watched. A step whose loss or
  gradient is not finite changes nothing but the step counter and says so.

  Checkpoints of TF-Agents' Learner hold, under `agent`: `world_model`,
  `target_network`, `optimizer`, `importance_weights`, `task_weights`.
  """

  def __init__(self, time_step_spec: ts.TimeStep, action_spec: Any,
               policy: tf_policy.TFPolicy, collect_policy: tf_policy.TFPolicy,
               world_model: WorldModel,
               targets: Callable[[Unroll], Targets], *,
               settings: LearnerSettings, quotas: Sequence[int],
               train_step: tf.Variable, seed: int = 0,
               target_world_model: Optional[WorldModel] = None,
               task_weights: Optional[TaskWeights] = None):
    """Initializes the agent. The models must be built.

    Args:
      time_step_spec: of the environments that the policies act in.
      action_spec: of those environments.
      policy: for evaluation.
      collect_policy: for acting.
      world_model: the trained model.
      targets: what unrolls are trained towards.
      settings: numbers of the gradient step.
      quotas: rows of each of the T tasks in a batch, in task order; the first
        task is the target where there is one.
      train_step: <int64>[] counts gradient steps.
      seed: of the augmentation.
      target_world_model: a second model, that follows with a lag; `targets`
        uses it. None where targets come from elsewhere.
      task_weights: the measurement of task weights; None: batches are never
        measured. Measured task by task, the rows of a batch must stand in task
        order, as many as the quotas say.

    Raises:
      ValueError: if quotas and weights do not fit each other, or a model has
        no variables yet.
    """
    super().__init__(
        time_step_spec, action_spec, policy, collect_policy,
        train_sequence_length=None, train_step_counter=train_step)
    _check_tasks(quotas, task_weights)
    self.world_model = world_model
    self.optimizer = MomentumSgd(
        world_model.trainable_variables, settings.momentum,
        settings.weight_decay)
    self.target_network = None
    if target_world_model is not None:
      self.target_network = TargetNetwork(
          world_model, target_world_model, settings.target_update_period)
    self.importance_weights = ImportanceWeights(
        len(quotas), settings.importance_decay)
    self.task_weights = task_weights
    self._targets = targets
    self._settings = settings
    self._seed = seed
    self._quotas = tuple(quotas)
    self._batch_size = sum(quotas)
    self._shares = _shares(quotas)
    if settings.loss_reduction == 'per_task_sum':
      self._shares = np.ones_like(self._shares)
    measured = task_weights.settings if task_weights else None
    self._gradient_step = GradientStep(
        world_model.trainable_variables, world_model.statistics,
        self.optimizer, settings.loss_scale, settings.clip_norm,
        measured.gradient_clamp if measured else None,
        _in_parts(world_model, measured.parts if measured else None))

  def _train(self, experience: Unroll, weights: Optional[tf.Tensor] = None,
             measured: Optional[bool] = None) -> tf_agent.LossInfo:
    """One gradient step; see the class.

    Args:
      experience: this replica's rows of the batch.
      weights: not taken.
      measured: whether the batch was drawn as a measured one, where that is
        known when the step is traced; None: the batch says it. To be given on
        several replicas.

    Returns:
      Its `extra` has this replica's rows; all else is of the whole batch.
    """
    if weights is not None:
      raise ValueError('Weights travel in the batch, as importance weight and '
                       'offline factor; `weights` must be None.')
    unroll, step = experience, self.train_step_counter.read_value()
    self._check_shapes(unroll)
    if self.target_network is not None:
      self.target_network.refresh(step)
    targets = self._targets(unroll)
    factor = segments.mean_over_replicas(
        unroll.offline_factor, unroll.task, len(self._shares))
    rate = self._learning_rate(step)
    rows = self._rows(unroll, targets, step)

    def losses() -> TaskLosses:
      each, extra = self._losses(rows)
      return TaskLosses(
          segments.share_by_task(each, unroll.task, len(self._shares)), extra)

    flag = self._measured(unroll, measured)
    result = self._gradient_step(
        losses, self._shares * factor, rate, flag, self._passes(rows))
    if self.task_weights is not None:
      self.task_weights.observe(
          result.cosine,
          tf.logical_and(flag, result.finite), step,
          segments.count_by_task(unroll.task, len(self._shares)) > 0.)
    replicas.assign([self.train_step_counter], [step + 1])
    return self._loss_info(unroll, targets, result, rate)

  def _measured(self, unroll: Unroll, measured: Optional[bool]
                ) -> Union[tf.Tensor, bool, None]:
    """As of `GradientStep`."""
    if self.task_weights is None:
      return None
    if measured is None and replicas.number() > 1:
      raise ValueError('On several replicas a step is traced for measured '
                       'batches or for others; `measured` must say which.')
    return unroll.measuring[0] if measured is None else measured

  def _rows(self, unroll: Unroll, targets: Targets,
            step: tf.Tensor) -> _Rows:
    """Augments a batch and weighs its rows."""
    settings = self._settings
    seed = tf.stack([tf.constant(self._seed, tf.int32),
                     tf.cast(step, tf.int32)])
    exponent = schedules.importance_exponent(
        step, settings.importance_initial, settings.importance_final,
        settings.importance_steps)
    weight = self.importance_weights(
        unroll.importance_weight, unroll.task, exponent)
    views = unroll_loss.training_views(unroll, settings, seed)
    action = unroll_loss.training_actions(
        unroll, settings, self.world_model.num_actions, seed,
        self.world_model.action_ids)
    return _Rows(views, action, targets, weight)

  def _losses(self, rows: _Rows) -> Tuple[tf.Tensor, Any]:
    """A forward pass: weighted losses; parts, value error, root policy."""
    predicted = unroll_loss.unroll_model(
        self.world_model, rows.views, rows.action, self._settings)
    parts = unroll_loss.loss_parts(
        predicted, rows.targets, self._settings.support,
        self._settings.value_scaling)
    weighted = rows.weight * unroll_loss.weighted_sum(parts, self._settings)
    error = tf.abs(predicted.outputs[0].value - rows.targets.value[:, 0])
    return weighted, (parts, error, predicted.outputs[0].policy_logits)

  def _passes(self, rows: _Rows) -> Optional[TaskPasses]:
    """The tasks' own passes, if measured steps are made of them."""
    weights = self.task_weights
    if weights is None or weights.settings.passes == 'joint':
      return None
    count = replicas.number()
    quotas = [quota // count for quota in self._quotas]
    stops = np.cumsum(quotas)

    def loss(inputs: _Rows) -> Tuple[tf.Tensor, Any]:
      weighted, extra = self._losses(inputs)
      return tf.reduce_mean(weighted) / count, extra

    return TaskPasses(
        [tf.nest.map_structure(lambda x, a=stop - quota, b=stop: x[a:b], rows)
         for stop, quota in zip(stops, quotas)], loss)

  def _learning_rate(self, step: tf.Tensor) -> tf.Tensor:
    settings = self._settings
    return schedules.learning_rate(
        step, settings.learning_rate, settings.warmup_steps,
        settings.decay_rate, settings.decay_steps)

  def _loss_info(self, unroll: Unroll, targets: Targets, result: StepResult,
                 rate: tf.Tensor) -> tf_agent.LossInfo:
    parts, priority, logits = result.extra
    agreement = policy_agreement.policy_agreement(
        logits, unroll.legal_actions,
        targets.policy[:, 0] * targets.policy_mask[:, :1])
    return tf_agent.LossInfo(result.loss, TrainingMetrics(
        parts=parts, task=unroll.task, priority=priority,
        task_loss=result.losses, gradient_norm=result.gradient_norm,
        learning_rate=rate, cosine=result.cosine,
        task_gradient_norm=result.task_gradient_norm, finite=result.finite,
        agreement=agreement.agrees, divergence=agreement.divergence))

  def _check_shapes(self, unroll: Unroll) -> None:
    """Shapes are static, so that a mistake shows when the step is traced."""
    batch, rows = unroll.observation.shape[:2]
    count = replicas.number()
    if batch * count != self._batch_size:
      raise ValueError(f'The quotas make batches of {self._batch_size} rows, '
                       f'got a batch of {batch} on each of {count} replicas.')
    needed = self._settings.stack + self._settings.unroll_steps
    if rows < needed:
      raise ValueError(
          f'{self._settings.unroll_steps} unroll steps on stacks of '
          f'{self._settings.stack} need windows of at least {needed} rows, got '
          f'{rows}.')


def _check_tasks(quotas: Sequence[int],
                 task_weights: Optional[TaskWeights]) -> None:
  if not quotas or min(quotas) < 1:
    raise ValueError('Each task needs at least one row in a batch, got quotas '
                     f'{tuple(quotas)}.')
  if task_weights is not None:
    weighted = task_weights.weights.shape[0]
    if weighted != len(quotas):
      raise ValueError(
          f'There are {weighted} task weights but {len(quotas)} quotas.')


def _in_parts(world_model: WorldModel,
              parts: Optional[Sequence[str]]) -> Optional[List[bool]]:
  """Of each trainable variable, whether it is in one of some parts."""
  if parts is None:
    return None
  for part in parts:
    if not hasattr(world_model, part):
      raise ValueError(f'{world_model.name} has no part {part!r}.')
  inside = {id(variable) for part in parts
            for variable in getattr(world_model, part).trainable_variables}
  return [id(variable) in inside
          for variable in world_model.trainable_variables]


def _shares(quotas: Sequence[int]) -> np.ndarray:
  """<float32>[T], sums to 1: the first task's rows, then equal parts."""
  first = quotas[0] / sum(quotas)
  others = len(quotas) - 1
  each = (1. - first) / others if others else 0.
  return np.array([first] + [each] * others, np.float32)
