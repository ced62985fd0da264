"""One stage's training: server, agent, learner and actor in one process.

A TrainingPlan says what is special about a stage; `train` is the same for all.
"""

import contextlib
from typing import (
  Any,
  Callable,
  Dict,
  List,
  Optional,
  Tuple,
)

import numpy as np
import tensorflow as tf

from xtra_tf.evaluation import results
from xtra_tf.experiments import (
  configuration,
  data_columns,
  data_handshake,
  playing,
  roles,
  strategies,
  training_evaluation,
)
from xtra_tf.experiments.offline_tables import OfflineTables
from xtra_tf.experiments.remote_play import RemotePlay
from xtra_tf.experiments.remote_run import RemoteRun
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.settings import StageSettings
from xtra_tf.experiments.stage_models import build_models, build_targets
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.learners import TaskWeights, WorldModelAgent
from xtra_tf.numerics import schedules
from xtra_tf.policies import PlanningPolicy
from xtra_tf.replay import Composition, Extras, PriorityLedger, ReplayTables
from xtra_tf.runs import Manifest, MetricsWriter, StageProgress
from xtra_tf.types import SampleInfo
from xtra_tf.variables import (
  ManifestedCheckpoints,
  copy_variables,
  save_model_description,
)
from xtra_tf.workers import (
  Follower,
  LearnerGroup,
  Play,
  SampleStaleness,
  StepLearner,
  Trainer,
  TrainerHooks,
  TrainingSchedule,
)

# Saves are made by the trainer, which ties them to manifests.
_NEVER = 10**12
_LEARNER_SEEDS = 1_000_033  # between the seeds of two processes' draws


def train(parts: RunParts, plan: TrainingPlan,
          strategy: Optional[tf.distribute.Strategy] = None,
          remote: Optional[RemoteRun] = None) -> Dict[str, Any]:
  """Runs a stage's training to its end, or goes on with it.

  Args:
    parts: all settings of the run.
    plan: what is special about the stage.
    strategy: devices of the gradient step; one if left out.
    remote: where tables and collectors are, if in processes of their own.

  Returns:
    JSON-able facts about the stage: updates, env_steps. Of several learners the
    chief alone has a result to be kept.

  Raises:
    IncompatibleDataError: a log lacks what the targets read.
    UsageError: the replicas cannot share the batch equally.
  """
  check_columns(parts, plan)
  with contextlib.closing(contextlib.ExitStack()) as stack:
    return _Session(parts, plan, stack,
                    strategy or tf.distribute.get_strategy(), remote).run()


def check_columns(parts: RunParts, plan: TrainingPlan) -> None:
  """Refuses logs that lack what the stage's targets read.

  Raises:
    IncompatibleDataError: naming the log and what it lacks, or the discount
      that its values were made with.
  """
  settings = parts.stages[plan.stage]
  for log in plan.logs.values():
    needed, reader = data_columns.stored(settings.targets), 'Stored targets'
    if plan.targets == 'reanalyzed':
      needed = data_columns.reanalyzed(settings.stage)
      reader = 'Targets that are not reanalyzed'
    elif plan.targets == 'actions':
      needed = ()
    data_columns.check(log, needed, reader)
    data_handshake.check_discount(
        log, needed, configuration.discount_of(parts.planner),
        parts.allowed_differences)


class _Session:
  """One process's part of a stage's training."""

  def __init__(self, parts: RunParts, plan: TrainingPlan,
               stack: contextlib.ExitStack, strategy: tf.distribute.Strategy,
               remote: Optional[RemoteRun] = None):
    self._remote = remote
    self._play: Optional[RemotePlay] = None
    self._strategy = strategy
    self._group = LearnerGroup(strategy)
    self._rows = strategies.rows_of_a_replica(
        plan.rows, strategy.num_replicas_in_sync, plan.stage)
    self._parts = parts
    self._plan = plan
    self._stack = stack
    self._settings = parts.stages[plan.stage]
    self._priorities = PriorityLedger([task.name for task in plan.tasks])
    self._policy: Optional[PlanningPolicy] = None  # that plays the first task
    self._staleness: Optional[SampleStaleness] = None
    self._copies: List[Tuple[tf.Variable, tf.Variable]] = []
    with strategy.scope():
      self._train_step = tf.Variable(0, dtype=tf.int64, name='train_step')
    self._models = build_models(parts, plan, strategy)
    # Compiled, as they come with every update or nearly so: on Python 3.11
    # TensorFlow loses 48 bytes of every tensor that comes into Python's hands.
    self._refresh_acting = tf.function(
        lambda: copy_variables(
            self._models.online, self._models.need('acting')),
        autograph=False)
    self._temperature = _temperature_at(self._train_step, self._settings.stage)
    self._env_steps = tf.Variable(
        np.zeros(len(plan.tasks), np.int64), name='env_steps')

  def run(self) -> Dict[str, Any]:
    plan = self._plan
    checkpoints = ManifestedCheckpoints(plan.directory)
    manifest = self._group.after_chief(checkpoints.prepare, checkpoints.look)
    step = manifest.step if manifest else 0
    self._group.check_same('newest save', f'step {step}')
    self._group.check_same('offline data', repr(
        {name: log.digest() for name, log in plan.logs.items()}
        if self._group.size > 1 else ''))
    if manifest is not None:
      self._priorities.take_arrays(
          checkpoints.arrays(), manifest.state.get('maximum_priority', 1.0))
    tables = self._fill_tables(step)
    try:
      if self._group.is_chief:
        return self._lead(tables, checkpoints, manifest)
      return self._follow(self._build_learner(tables, checkpoints))
    except tf.errors.OpError:
      if tables.failure is not None:
        raise tables.failure from None
      raise

  def _follow(self, learner: StepLearner) -> Dict[str, Any]:
    """Of a learner that is not the chief."""
    plan = self._plan
    updates = Follower(
        learner, self._group, self._progress(),
        [task.name for task in plan.tasks], logs_dir=plan.directory.logs,
        env_steps=self._env_steps if plan.online else None,
        after_update=self._after_update).run()
    return {'updates': updates}

  def _progress(self) -> StageProgress:
    return StageProgress(
        self._plan.title, total=self._settings.stage.updates,
        start=int(self._train_step.numpy()))

  def _lead(self, tables: ReplayTables, checkpoints: ManifestedCheckpoints,
            manifest: Optional[Manifest]) -> Dict[str, Any]:
    """Of the one learner, or the chief of several."""
    plan, settings = self._plan, self._settings.stage
    save_model_description(
        plan.directory.path,
        roles.describe_model(self._parts, plan.stage, plan.tasks))
    collector = (self._build_collector(tables, manifest) if plan.online
                 else None)
    if collector is not None:
      self._env_steps.scatter_nd_update([[0]], [collector.env_steps])
      self._staleness = SampleStaleness(
          manifest.state.get('published', ()) if manifest else ())
    learner = self._build_learner(tables, checkpoints)
    metrics = MetricsWriter(
        plan.directory.metrics_file('learner'), plan.directory.train)
    self._stack.callback(metrics.close)
    metrics.truncate_after(int(self._train_step.numpy()))
    results.truncate_after(plan.directory.evaluations,
                           int(self._train_step.numpy()))
    trainer = Trainer(
        learner, self._schedule(), checkpoints, metrics, self._progress(),
        [task.name for task in plan.tasks], logs_dir=plan.directory.logs,
        collector=collector, env_steps=self._env_steps,
        priorities=self._priorities,
        task_weights=self._task_weights, hooks=TrainerHooks(
            after_update=self._after_update, scalars=self._offline.scalars,
            table_is_ready=lambda: self._has_windows(tables),
            evaluate=training_evaluation.make(
                self._parts, plan.stage, plan.directory, plan.tasks[0],
                self._models.online, self._models.need('acting'))
            if settings.evaluation_interval else None, taught=plan.taught,
            staleness=self._staleness, group=self._group))
    # Collectors elsewhere know nothing of a server that has come back, too.
    self._publish(int(self._train_step.numpy()), self._play is not None)
    trainer.run()
    self._publish_end(trainer.step)
    return {'updates': trainer.step, 'env_steps': trainer.env_steps}

  def _publish_end(self, step: int) -> None:
    """Sends collectors home that are processes of their own."""
    if self._play is not None:
      self._play.publish(self._models.online, step,
                         self._settings.stage.env_steps,
                         self._priorities.maximum, 1., finished=True)

  def _schedule(self) -> TrainingSchedule:
    stage = self._settings.stage
    return TrainingSchedule(
        updates=stage.updates, env_steps=stage.env_steps,
        updates_per_env_step=stage.updates_per_env_step,
        start_env_steps=stage.start_env_steps,
        save_interval=stage.save_interval, log_interval=stage.log_interval,
        evaluation_interval=stage.evaluation_interval,
        waits=self._remote is None or self._remote.lock_step)

  def _fill_tables(self, step: int) -> ReplayTables:
    """Makes all tables and fills the offline ones, as after so many steps."""
    plan = self._plan
    tables = (
        roles.replay_tables(
            self._parts, plan.stage, plan.tasks, plan.online,
            self._seed_of_draws(), plan.shared)
        if self._remote is None else self._remote.tables(self._parts, plan))
    self._stack.callback(tables.stop)
    names = [task.name for task in plan.tasks]
    # A server of its own has filled them.
    logs = plan.logs if self._remote is None else {}
    self._offline = OfflineTables(
        logs, tables, dict(zip(names, plan.rows)), self._settings.replay,
        most_rows=dict(zip(names, self._composition().most_rows())),
        priority_of_new=self._priorities.of_new)
    with self._priorities.restoring():
      self._offline.load(step)
    played = {name: log.env_steps for name, log in plan.logs.items()}
    if plan.shared is not None:
      played.update((name, table.env_steps) for name, table in
                    plan.shared.record.tables.items())
    for index, name in enumerate(names):
      if name in played:
        self._env_steps.scatter_nd_update([[index]], [played[name]])
    return tables

  def _has_windows(self, tables: ReplayTables) -> bool:
    name = self._plan.tasks[0].name
    return tables.sizes()[name] >= tables.least_items(name, self._plan.rows[0])

  def _build_collector(self, tables: ReplayTables,
                       manifest: Optional[Manifest]
                       ) -> Play:
    """The collector, and the policy by which it plays."""
    plan = self._plan
    if self._remote is not None:
      self._play = self._remote.play(
          plan, self._settings.stage.num_envs)
      return self._play
    self._policy = roles.planning_policy(
        self._parts, plan.tasks[0], self._models.need('acting'), greedy=False,
        seed=plan.seed(self._parts.seed))
    return playing.build_collector(
        self._parts, plan, tables, self._policy, self._priorities, manifest,
        self._stack)

  def _build_learner(self, tables: ReplayTables,
                     checkpoints: ManifestedCheckpoints) -> StepLearner:
    """Builds the agent and TF-Agents' Learner, which restores what it finds."""
    plan = self._plan
    with self._strategy.scope():
      agent = self._build_agent()
    # TF-Agents restores what matches and says nothing of the rest.
    checkpoints.check_fits(agent=agent, train_step=self._train_step)
    latest = checkpoints.latest()
    replicas = self._strategy.num_replicas_in_sync // self._group.size
    prioritized = self._settings.replay.priority_exponent > 0
    extras = Extras(roles.legal_masks(plan.tasks), self._env_steps,
                    *self._read_by_batches())

    def dataset() -> tf.data.Dataset:
      # Each replica of this process takes a batch of its own.
      return tables.dataset(
          self._composition(), extras,
          first_batch=latest.step * replicas if latest else 0)

    def after_step(info: SampleInfo, priority: tf.Tensor) -> None:
      tables.update_priorities(info, priority)
      self._priorities.update(*self._group.rows_of_all(info, priority))

    return StepLearner(
        plan.directory.path, self._train_step, agent, dataset,
        after_step=after_step if prioritized else None,
        from_elsewhere=self._remote is not None or plan.shared is not None,
        checkpoint_interval=_NEVER, summary_interval=0,
        max_checkpoints_to_keep=3, run_optimizer_variable_init=False,
        strategy=self._strategy, group=self._group)

  def _build_agent(self) -> WorldModelAgent:
    """The agent, with the task weights where there are any."""
    plan = self._plan
    self._task_weights: Optional[TaskWeights] = None
    if plan.weighted:
      self._task_weights = TaskWeights(
          self._parts.task_weights, num_tasks=len(plan.tasks))
    policy = roles.planning_policy(
        self._parts, plan.tasks[0], self._models.online, greedy=True,
        seed=plan.seed(self._parts.seed),
        planner=roles.acting_planner(self._parts, plan.stage))
    return roles.build_agent(
        self._parts, plan.stage, model=self._models.online,
        target_model=self._models.target, policy=policy,
        collect_policy=self._policy,
        targets=build_targets(self._parts, plan, self._models, self._rows),
        rows=plan.rows, train_step=self._train_step,
        task_weights=self._task_weights)

  def _read_by_batches(self) -> Tuple[Optional[tf.Variable], ...]:
    """Task weights and the measuring flag, as a data set can read them.

    It cannot read a strategy's variables; then these are copies, which
    `_after_update` keeps up to date.
    """
    weights = self._task_weights
    if weights is None:
      return None, None
    read = [weights.weights, weights.measuring]
    if self._strategy.num_replicas_in_sync > 1:
      self._copies = [(tf.Variable(v, trainable=False), v) for v in read]
      read = [copy for copy, _ in self._copies]
    return tuple(read)

  def _seed_of_draws(self) -> int:
    """Other rows for each process of a group."""
    return (self._plan.seed(self._parts.seed)
            + _LEARNER_SEEDS * self._group.index)

  def _composition(self) -> Composition:
    plan = self._plan
    return roles.batch_composition(
        self._settings, self._rows, plan.online, self._seed_of_draws(),
        plan.weighted and self._parts.task_weights.use == 'sampling')

  def _after_update(self, step: int) -> None:
    for copy, original in self._copies:
      copy.assign(original.read_value())
    self._publish(step)
    self._offline.advance(step)

  def _publish(self, step: int, anyway: bool = False) -> None:
    """Gives the actor new weights and temperature when they are due."""
    period = self._settings.stage.acting_update_period
    due = anyway or step % period == 0
    if due and self._staleness is not None:
      # Read whole: a slice of a variable is never freed by TensorFlow 2.15.
      self._staleness.publish(int(self._env_steps.numpy()[0]), step)
    if self._play is not None and due:
      # Until the next weights they may play what the updates up to then need.
      self._play.publish(
          self._models.online, step,
          self._schedule().allowed_env_steps(step + period),
          self._priorities.maximum, float(self._temperature()))
    if self._models.acting is None or self._policy is None:
      return
    if due:
      self._refresh_acting()
    self._policy.temperature.assign(self._temperature())


def _temperature_at(step: tf.Variable, stage: StageSettings
                    ) -> Callable[[], tf.Tensor]:
  """The visit temperature of a stage, compiled, as it comes with every update.

  Args:
    step: <int64>[] gradient steps made so far.
    stage: whose temperature falls.
  """
  return tf.function(lambda: schedules.visit_temperature(
      step, stage.updates, stage.temperature_boundaries), autograph=False)
