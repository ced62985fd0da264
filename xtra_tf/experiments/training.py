"""One stage's training: server, agent, learner and actor in one process.

`TrainingPlan` says what is special about a stage; `train` is the same for all.
"""

import contextlib
import dataclasses
from typing import Any, Callable, Dict, Mapping, Optional, Tuple
import zlib

from absl import logging
import numpy as np
import tensorflow as tf

from xtra_tf import environments
from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter
from xtra_tf.evaluation.evaluator import Evaluator
from xtra_tf.experiments import roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.learners import TaskWeights
from xtra_tf.models.world_model import WorldModel
from xtra_tf.numerics import schedules
from xtra_tf.offline_data import load_log
from xtra_tf.replay import (
  ReplayServer,
  ReplayWriter,
  make_dataset,
  update_priorities,
)
from xtra_tf.runs import MetricsWriter, StageDirectory, StageProgress
from xtra_tf.targets import TargetsFn
from xtra_tf.tasks import TaskSpec
from xtra_tf.variables import (
  ManifestedCheckpoints,
  copy_variables,
  restore_world_model,
  save_model_description,
)
from xtra_tf.workers import (
  Collector,
  MaximumPriority,
  StepLearner,
  Trainer,
  TrainerHooks,
  TrainingSchedule,
)

# Saves are made by the trainer, which ties them to manifests.
_NEVER = 10**12


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
  """What is special about one stage.

  Attributes:
    stage: a name of `settings.STAGES`.
    title: what the progress bar says.
    directory: where the stage keeps its files.
    tasks: in index order; the first is played if `online`.
    rows: rows of a batch per task.
    targets: `reanalyzed`, `stored` or `finetuning`.
    logs: offline tasks' data.
    online: whether the first task is played.
    initial_weights: folder of a stage whose weights training starts from.
    weighted: whether offline tasks are weighted by gradient similarity.
  """
  stage: str
  title: str
  directory: StageDirectory
  tasks: Tuple[TaskSpec, ...]
  rows: Tuple[int, ...]
  targets: str
  logs: Mapping[str, EpisodeLog]
  online: bool = False
  initial_weights: Optional[str] = None
  weighted: bool = False

  def seed(self, run_seed: int) -> int:
    """A seed of this stage's own, the same in every session of the run."""
    text = f'{run_seed}/{self.stage}/{self.tasks[0].name}'
    return zlib.crc32(text.encode()) % 2**31


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


def build_models(parts: RunParts, plan: TrainingPlan) -> Models:
  """All instances start from the same weights."""
  seed = plan.seed(parts.seed)
  online = roles.build_model(parts, seed)
  if plan.initial_weights is not None:
    restore_world_model(online, plan.initial_weights)
  models = Models(online)
  if plan.targets != 'stored':
    models.target = roles.build_model(parts, seed)
    copy_variables(online, models.target)
  if plan.online:
    models.acting = roles.build_model(parts, seed)
    copy_variables(online, models.acting)
  return models


def _targets(parts: RunParts, plan: TrainingPlan,
             models: Models) -> TargetsFn:
  if plan.targets == 'stored':
    return roles.stored_targets(parts, plan.stage, plan.tasks[0])
  target = models.need('target')
  if plan.targets == 'finetuning':
    return roles.finetuning_targets(parts, target, plan.rows)
  return roles.reanalyzed_targets(parts, plan.stage, target, plan.tasks[0])


def train(parts: RunParts, plan: TrainingPlan) -> Dict[str, Any]:
  """Runs a stage's training to its end, or goes on with it.

  Args:
    parts: all settings of the run.
    plan: what is special about the stage.

  Returns:
    JSON-able facts about the stage: updates, env_steps.
  """
  with contextlib.closing(contextlib.ExitStack()) as stack:
    return _Session(parts, plan, stack).run()


class _Session:
  """One process's part of a stage's training."""

  def __init__(self, parts: RunParts, plan: TrainingPlan,
               stack: contextlib.ExitStack):
    self._parts = parts
    self._plan = plan
    self._stack = stack
    self._settings = parts.stages[plan.stage]
    self._maximum = MaximumPriority()
    self._train_step = tf.Variable(0, dtype=tf.int64, name='train_step')
    self._models = build_models(parts, plan)
    self._window = roles.window_spec(
        plan.tasks[0], self._settings.replay, parts.planner)
    self._env_steps = tf.Variable(
        np.zeros(len(plan.tasks), np.int64), name='env_steps')

  def run(self) -> Dict[str, Any]:
    plan, settings = self._plan, self._settings.stage
    checkpoints = ManifestedCheckpoints(plan.directory)
    manifest = checkpoints.prepare()
    if manifest is not None:
      self._maximum.value = manifest.state.get('maximum_priority', 1.0)
    save_model_description(plan.directory.path, self._parts.description)
    server = self._start_server()
    collector = self._build_collector(server) if plan.online else None
    learner = self._build_learner(server, checkpoints)
    if manifest is not None and self._models.acting is not None:
      copy_variables(self._models.online, self._models.acting)
    metrics = MetricsWriter(
        plan.directory.metrics_file('learner'), plan.directory.train)
    self._stack.callback(metrics.close)
    metrics.truncate_after(int(self._train_step.numpy()))
    trainer = Trainer(
        learner, self._schedule(), checkpoints, metrics,
        StageProgress(plan.title, total=settings.updates,
                      start=int(self._train_step.numpy())),
        [task.name for task in plan.tasks], collector=collector,
        env_steps=self._env_steps, maximum_priority=self._maximum,
        task_weights=self._task_weights, hooks=TrainerHooks(
            after_update=self._publish,
            table_is_ready=lambda: self._has_windows(server),
            evaluate=(self._evaluation() if settings.evaluation_interval
                      else None)))
    self._publish(int(self._train_step.numpy()))
    trainer.run()
    return {'updates': trainer.step, 'env_steps': trainer.env_steps}

  def _schedule(self) -> TrainingSchedule:
    stage = self._settings.stage
    return TrainingSchedule(
        updates=stage.updates, env_steps=stage.env_steps,
        updates_per_env_step=stage.updates_per_env_step,
        start_env_steps=stage.start_env_steps,
        save_interval=stage.save_interval, log_interval=stage.log_interval,
        evaluation_interval=stage.evaluation_interval)

  def _start_server(self) -> ReplayServer:
    """Starts the embedded server and fills the offline tables."""
    plan = self._plan
    server = ReplayServer(
        roles.table_specs(plan.tasks, self._settings, plan.online),
        self._window)
    self._stack.callback(server.stop)
    for index, task in enumerate(plan.tasks):
      if task.name not in plan.logs:
        continue
      log = plan.logs[task.name]
      writer = ReplayWriter(server.client(), task.name, self._window,
                            lambda: 1.0)
      with StageProgress(f'Loading {task.name}', total=log.num_steps,
                         unit='steps') as progress:
        load_log(log, writer, progress.update)
      writer.close()
      self._env_steps.scatter_nd_update([[index]], [log.env_steps])
    return server

  def _has_windows(self, server: ReplayServer) -> bool:
    table = roles.table_specs(
        self._plan.tasks, self._settings, self._plan.online)[0]
    return server.sizes()[table.name] >= table.min_size

  def _build_collector(self, server: ReplayServer) -> Collector:
    """Opens the log, refills the table from it and starts the environments."""
    plan, stage = self._plan, self._settings.stage
    task = plan.tasks[0]
    seed = plan.seed(self._parts.seed)
    logs = [
        EpisodeLogWriter(
            plan.directory.episodes, task, columns=('search', 'root_value'),
            writer=slot, provenance=self._provenance())
        for slot in range(stage.num_envs)]
    tables = [ReplayWriter(server.client(), task.name, self._window,
                           lambda: self._maximum.value)
              for _ in range(stage.num_envs)]
    log = EpisodeLog(plan.directory.episodes, expected_task=task)
    if log.num_steps:
      load_log(log, tables[0])
    environment = environments.load(
        task, num_envs=stage.num_envs, seed=seed, training=True,
        max_episode_steps=stage.max_episode_steps)
    self._policy = roles.planning_policy(
        self._parts, task, self._models.need('acting'), greedy=False, seed=seed)
    collector = Collector(
        environment, self._policy, logs, tables, task.stack,
        warm_up_policy=(roles.random_policy(task, seed)
                        if stage.random_warm_up else None),
        warm_up_steps=stage.start_env_steps)
    self._stack.callback(collector.close)
    self._env_steps.scatter_nd_update([[0]], [collector.env_steps])
    return collector

  def _provenance(self) -> Dict[str, Any]:
    return {'policy': f'{self._plan.stage}: EfficientZero search policy',
            'seed': self._parts.seed,
            'random_warm_up_steps': self._settings.stage.start_env_steps
            if self._settings.stage.random_warm_up else 0}

  def _build_learner(self, server: ReplayServer,
                     checkpoints: ManifestedCheckpoints) -> StepLearner:
    """Builds the agent and TF-Agents' Learner, which restores what it finds."""
    plan = self._plan
    self._task_weights: Optional[TaskWeights] = None
    if plan.weighted:
      self._task_weights = TaskWeights(
          self._parts.task_weights, num_tasks=len(plan.tasks))
    policy = roles.planning_policy(
        self._parts, plan.tasks[0], self._models.online, greedy=True,
        seed=plan.seed(self._parts.seed))
    agent = roles.build_agent(
        self._parts, plan.stage, model=self._models.online,
        target_model=self._models.target, policy=policy,
        targets=_targets(self._parts, plan, self._models), rows=plan.rows,
        train_step=self._train_step, task_weights=self._task_weights)
    # TF-Agents restores what matches and says nothing of the rest.
    checkpoints.check_fits(agent=agent, train_step=self._train_step)
    names = [task.name for task in plan.tasks]
    weights = self._task_weights
    prioritized = self._settings.replay.priority_exponent > 0

    def dataset() -> tf.data.Dataset:
      return make_dataset(
          server.address, names, plan.rows, self._window,
          legal_masks=roles.legal_masks(plan.tasks), env_steps=self._env_steps,
          task_weights=weights.weights if weights else None,
          measuring=weights.measuring if weights else None)

    def after_step(sample: Any, loss_info: Any) -> None:
      _, info = sample
      update_priorities(server.tf_client(), names, info,
                        loss_info.extra.priority)

    return StepLearner(
        plan.directory.path, self._train_step, agent, dataset,
        after_train_strategy_step_fn=after_step if prioritized else None,
        checkpoint_interval=_NEVER, summary_interval=0,
        max_checkpoints_to_keep=3, run_optimizer_variable_init=False)

  def _publish(self, step: int) -> None:
    """Gives the actor new weights and temperature when they are due."""
    if self._models.acting is None:
      return
    stage = self._settings.stage
    if step % stage.acting_update_period == 0:
      copy_variables(self._models.online, self._models.acting)
    self._policy.temperature.assign(
        schedules.visit_temperature(tf.constant(step), stage.updates))

  def _evaluation(self) -> Callable[[int, int], Dict[str, float]]:
    """Evaluations while training, on the learner's newest weights."""
    plan, stage = self._plan, self._settings.stage
    settings = dataclasses.replace(
        self._parts.evaluation, episodes=stage.evaluation_episodes)
    acting = self._models.need('acting')
    evaluator = Evaluator(plan.tasks[0], acting, self._parts.planner, settings)

    def evaluation(step: int, env_steps: int) -> Dict[str, float]:
      del env_steps
      copy_variables(self._models.online, acting)
      result = evaluator.run()
      name = plan.tasks[0].name
      logging.info('%s, step %d: %s', plan.title, step, result.returns)
      return {f'eval/{name}/return_mean': float(np.mean(result.returns)),
              f'eval/{name}/return_median': float(np.median(result.returns)),
              f'eval/{name}/episodes': float(len(result.returns))}

    return evaluation
