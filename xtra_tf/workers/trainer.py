"""The loop of a learner: gradient steps in lock-step with acting."""

import dataclasses
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np
import tensorflow as tf

from xtra_tf.errors import Stopped, UsageError
from xtra_tf.learners import TaskWeights
from xtra_tf.replay import PriorityLedger
from xtra_tf.runs import (
  MetricsWriter,
  StageProgress,
  as_storage_error,
  stop_request,
)
from xtra_tf.variables import ManifestedCheckpoints
from xtra_tf.workers.learner_group import LearnerGroup
from xtra_tf.workers.non_finite_steps import NonFiniteSteps
from xtra_tf.workers.play import Play
from xtra_tf.workers.recorder import FinishedGame
from xtra_tf.workers.sample_staleness import SampleStaleness
from xtra_tf.workers.step_learner import StepLearner


@dataclasses.dataclass(frozen=True)
class TrainingSchedule:
  """How many gradient steps, and how acting and learning take turns.

  Attributes:
    updates: gradient steps in all.
    env_steps: environment steps in all; 0 for offline stages.
    updates_per_env_step: gradient steps per environment step once training has
      begun (the official code: 1). Updates beyond the last environment step
      are made without new data.
    waits: updates wait for the environment steps that go with them. If not, as
      with collectors that play at their own pace, for the first ones alone.
    start_env_steps: environment steps before the first gradient step.
    save_interval: gradient steps between saves.
    log_interval: gradient steps that one row of metrics averages.
    evaluation_interval: gradient steps between evaluations; 0 for none.
  """
  updates: int
  env_steps: int = 0
  updates_per_env_step: float = 1.0
  start_env_steps: int = 0
  save_interval: int = 1000
  log_interval: int = 20
  evaluation_interval: int = 0
  waits: bool = True

  def needed_env_steps(self, updates: int) -> int:
    """Environment steps that must have been taken before the next update."""
    return self.allowed_env_steps(updates if self.waits else 0)

  def allowed_env_steps(self, updates: int) -> int:
    """Environment steps that may have been taken after so many updates."""
    earned = self.start_env_steps + updates / self.updates_per_env_step
    return min(self.env_steps, int(earned))


def _nothing(step: int) -> None:
  del step


@dataclasses.dataclass(frozen=True)
class TrainerHooks:
  """What a stage does besides gradient steps.

  Attributes:
    after_update: called with the step after each update (publish weights).
    table_is_ready: whether the played task's table can serve batches; until
      then the collector goes on, for a batch would be waited for in vain.
    scalars: what a row of metrics holds besides.
    evaluate: (step, env_steps) -> scalars to log, at evaluation points.
    taught: tasks whose policy targets are a teacher's; how far the model
      agrees with it is logged.
    staleness: told the rows of every update, logged and saved, where a task is
      played.
    group: learners that make the same steps; this trainer is their chief's.
  """
  after_update: Callable[[int], None] = _nothing
  table_is_ready: Callable[[], bool] = lambda: True
  scalars: Callable[[], Dict[str, float]] = dict
  evaluate: Optional[Callable[[int, int], Dict[str, float]]] = None
  taught: Sequence[str] = ()
  staleness: Optional[SampleStaleness] = None
  group: LearnerGroup = dataclasses.field(default_factory=LearnerGroup)


class Trainer:
  """Runs one stage's gradient steps, with acting where there is a collector."""

  def __init__(self, learner: StepLearner, schedule: TrainingSchedule,
               checkpoints: ManifestedCheckpoints, metrics: MetricsWriter,
               progress: StageProgress, tasks: Sequence[str], *,
               logs_dir: str,
               collector: Optional[Play] = None,
               env_steps: Optional[tf.Variable] = None,
               priorities: Optional[PriorityLedger] = None,
               task_weights: Optional[TaskWeights] = None,
               hooks: Optional[TrainerHooks] = None) -> None:
    """Initializes the trainer.

    Args:
      learner: makes the gradient steps and holds the train step.
      schedule: how many, and when.
      checkpoints: ties the learner's saves to manifests.
      metrics: where the rows of metrics go.
      progress: the stage's progress bar.
      tasks: names of the run's tasks in index order; the first is the target.
      logs_dir: where incidents are recorded.
      collector: plays the target, in lock-step; None for offline stages.
      env_steps: <int64>[T] each task's environment-step count, from which the
        data set computes ages; the target's is kept up to date here.
      priorities: saved with the learner; whoever gives rows new priorities
        keeps it up to date.
      task_weights: logged with every row, where there are offline tasks.
      hooks: what else is to be done, and when.
    """
    self._learner = learner
    self._schedule = schedule
    self._checkpoints = checkpoints
    self._metrics = metrics
    self._progress = progress
    self._tasks = list(tasks)
    self._collector = collector
    self._env_steps = env_steps
    self._hooks = hooks or TrainerHooks()
    self._group = self._hooks.group
    self._ready = collector is None
    self._priorities = priorities
    self._non_finite = NonFiniteSteps(logs_dir, self._tasks)
    self._not_applied = 0
    self._task_weights = task_weights
    self._step = int(learner.train_step.numpy())
    self._pending: List[Any] = []
    self._pending_since = time.monotonic()
    self._learning = 0.  # seconds of the pending updates, waiting included

  @property
  def step(self) -> int:
    """Gradient steps made so far."""
    return self._step

  @property
  def env_steps(self) -> int:
    """Environment steps taken so far; 0 without a collector."""
    return self._collector.env_steps if self._collector else 0

  def run(self) -> None:
    """Trains until the schedule is done; saves at intervals and at the end.

    A signal to stop is answered between two steps, by a save. The first step,
    which is traced, takes too long to be waited for, and ends unsaved.

    Raises:
      NonFiniteError: losses or gradients are NaN or infinite.
      Stopped: a signal has come.
    """
    with self._progress, self._group.leading():
      self._first_step()
      with stop_request.held():
        try:
          while self.step < self._schedule.updates:
            stop_request.check()
            self._evaluate()
            self._act()
            self._learn()
          # The environment steps that the last update has earned.
          self._act()
        except Stopped as stopped:
          self._flush()
          self.save()
          raise stopped.saved(
              f'{self.step:,} updates of {self._progress.title}') from None
        self._flush()
        self.save()

  def _first_step(self) -> None:
    if self.step < self._schedule.updates:
      self._evaluate()
      self._act()
      self._learn()

  def save(self) -> None:
    """Saves learner and manifest, unless this step is saved already."""
    latest = self._checkpoints.latest()
    if latest is not None and latest.step == self.step:
      return
    self._non_finite.check_saved(self._learner.non_finite_variables(),
                                 self.step, self._last_good())
    state: Dict[str, Any] = {}
    if self._collector is not None:
      # No manifest speaks of steps that a kill would lose.
      self._collector.flush()
      state['log_lines'] = self._collector.log_lines
    if self._priorities is not None:
      state['maximum_priority'] = self._priorities.maximum
    if self._hooks.staleness is not None:
      state['published'] = self._hooks.staleness.published
    with as_storage_error(self._checkpoints.directory,
                          self._learner.saved_bytes):
      self._learner.save()
    self._checkpoints.commit(
        self.step, (self._collector.committed_env_steps if self._collector
                    else 0), state,
        self._priorities.to_arrays() if self._priorities else None)

  def _act(self) -> None:
    """Plays until as many environment steps as the updates allow are taken."""
    if self._collector is None:
      return
    needed = self._schedule.needed_env_steps(self.step)
    # Others may have played meanwhile.
    self._log_games(self._collector.collect(0))
    while self._collector.env_steps < needed or self._lacks_data():
      stop_request.check()
      self._log_games(self._collector.collect(1))
      self._progress.update(self.step, **self._fields())
    if self._env_steps is not None:
      # The target is task 0; offline counts do not move.
      self._env_steps.scatter_update(tf.IndexedSlices(
          tf.constant([self._collector.env_steps], tf.int64), [0]))

  def _log_games(self, games: Sequence[FinishedGame]) -> None:
    for game in games:
      self._metrics.write(self.step, self.env_steps, {
          f'collect/{self._tasks[0]}/return_raw': game.raw_return,
          f'collect/{self._tasks[0]}/length': float(game.length),
          **{f'collect/{self._tasks[0]}/{name}': value for name, value in
             (self._collector.clipped_metrics() if self._collector
              else {}).items()}})

  def _lacks_data(self) -> bool:
    """Whether learning must wait for the collector; asked until it need not."""
    if not self._ready:
      self._ready = self._hooks.table_is_ready()
    if not self._ready and self.env_steps >= self._schedule.env_steps:
      raise UsageError(
          f'After all {self.env_steps} environment steps of the stage the '
          f'table of {self._tasks[0]} still has too few windows to train on. '
          'Expected more environment steps (ENV_STEPS) or fewer environments '
          '(StageSettings.num_envs).')
    return not self._ready

  def _learn(self) -> None:
    """One gradient step and what is due after it."""
    begun = time.perf_counter()
    with self._group.step(self.env_steps):
      loss_info = self._learner.run(1)
    step = self._step = int(self._learner.train_step.numpy())
    loss_info = tf.nest.map_structure(lambda t: t.numpy(), loss_info)
    self._learning += time.perf_counter() - begun
    if loss_info.extra.finite:
      self._pending.append(loss_info)
    else:
      self._not_applied += 1
      self._non_finite.note(step, loss_info, self._learner.rows,
                            self._last_good())
    if self._hooks.staleness is not None:
      self._hooks.staleness.observe(step - 1, self.env_steps,
                                    self._learner.rows)
    self._hooks.after_update(step)
    if step % self._schedule.log_interval == 0:
      self._flush()
    # The last save is made when all environment steps have been taken.
    if step % self._schedule.save_interval == 0 and (
        step < self._schedule.updates):
      self._flush()
      self.save()
    self._progress.update(step, **self._fields())

  def _evaluate(self) -> None:
    """Plays the evaluation games if they are due and not played yet."""
    interval, evaluate = (self._schedule.evaluation_interval,
                          self._hooks.evaluate)
    if evaluate is None or not interval or not self.step or (
        self.step % interval):
      return
    with stop_request.released():
      scalars = evaluate(self.step, self.env_steps)
    if scalars:
      self._metrics.write(self.step, self.env_steps, scalars)

  def _last_good(self) -> str:
    """What a message says of the newest save."""
    latest = self._checkpoints.latest()
    return (f'step {latest.step} in {self._checkpoints.directory}'
            if latest else 'none was saved yet')

  def _fields(self) -> Dict[str, float]:
    """The few live numbers that the progress bar shows."""
    fields: Dict[str, float] = {}
    if self._pending:
      fields['loss'] = float(self._pending[-1].loss)
    if self._collector is not None:
      fields['env_steps'] = self._collector.env_steps
      if self._collector.recent_return is not None:
        fields['return'] = self._collector.recent_return
    return fields

  def _flush(self) -> None:
    """Writes the means of the updates since the last row."""
    if not self._pending:
      return
    seconds = max(time.monotonic() - self._pending_since, 1e-9)
    row = training_scalars(self._pending, self._tasks, self._hooks.taught)
    row['speed/updates_per_second'] = len(self._pending) / seconds
    row['speed/waiting_for_data'] = self._learner.take_waited() / self._learning
    if self._collector is not None:
      row.update({f'search/{name}': mean for name, mean in
                  self._collector.take_search_means().items()})
    if self._task_weights is not None:
      for task, weight in zip(self._tasks[1:],
                              self._task_weights.weights.numpy()[1:]):
        row[f'transfer/weight/{task}'] = float(weight)
    if self._not_applied:
      row['optim/steps_not_applied'] = float(self._not_applied)
    if self._hooks.staleness is not None:
      row.update(self._hooks.staleness.take())
    row.update(self._hooks.scalars())
    self._metrics.write(self.step, self.env_steps, row)
    self._pending, self._not_applied = [], 0
    self._pending_since = time.monotonic()
    self._learning = 0.


def training_scalars(updates: Sequence[Any], tasks: Sequence[str],
                     taught: Sequence[str] = ()) -> Dict[str, float]:
  """Means over some updates, under the tags of the metrics files.

  Args:
    updates: LossInfo tuples of NumPy arrays, extra = TrainingMetrics.
    tasks: task names in index order.
    taught: those of them whose policy targets are a teacher's.

  Returns:
    {tag: mean}; cosines and task gradient norms only if measured, a task's loss
    only if it had rows, agreement with a teacher over all rows of its task that
    it has searched.
  """
  extras = [update.extra for update in updates]
  scalars = {
      'loss/total': np.mean([update.loss for update in updates]),
      'optim/gradient_norm': np.mean([e.gradient_norm for e in extras]),
      'optim/learning_rate': extras[-1].learning_rate,
      'replay/priority_mean': np.mean([np.mean(e.priority) for e in extras]),
      'replay/priority_max': np.max([np.max(e.priority) for e in extras]),
  }
  for name in extras[0].parts._fields:
    scalars[f'loss/{name}'] = np.mean(
        [np.mean(getattr(e.parts, name)) for e in extras])
  for index, task in enumerate(tasks):
    # A task of small weight may have no row in a batch, and then no loss.
    present = [e for e in extras if np.any(e.task == index)]
    if len(tasks) > 1:
      scalars[f'replay/{task}/rows'] = np.mean(
          [np.sum(e.task == index) for e in extras])
      if present:
        scalars[f'loss/{task}/total'] = np.mean(
            [e.task_loss[index] for e in present])
    cosines = [e.cosine[index] for e in extras if np.isfinite(e.cosine[index])]
    if cosines and index:
      scalars[f'transfer/cosine/{task}'] = np.mean(cosines)
    norms = [e.task_gradient_norm[index] for e in extras
             if np.isfinite(e.task_gradient_norm[index])]
    if norms:
      scalars[f'transfer/gradient_norm/{task}'] = np.mean(norms)
  for task in taught:
    index = list(tasks).index(task)
    for tag, name in (('agreement', 'agreement'), ('teacher_kl', 'divergence')):
      rows = np.concatenate([getattr(e, name)[e.task == index] for e in extras])
      rows = rows[~np.isnan(rows)]
      if rows.size:
        scalars[f'transfer/{tag}/{task}'] = np.mean(rows)
  return {tag: float(value) for tag, value in scalars.items()}
