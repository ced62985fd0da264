"""TF-Agents' Learner, a gradient step a call, on one or several replicas."""

import time
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
import tensorflow as tf
from tf_agents.train import learner as tf_agents_learner

from xtra_tf.runs import wait_for
from xtra_tf.types import SampleInfo, TrainingMetrics
from xtra_tf.workers.host_batches import HostBatches
from xtra_tf.workers.learner_group import LearnerGroup

# Of TrainingMetrics, what has a number for each of a replica's rows.
_BY_ROW = ('parts', 'task', 'priority', 'agreement', 'divergence')
# (where the rows came from, their new priorities) -> None
AfterStep = Callable[[SampleInfo, tf.Tensor], None]


class StepLearner(tf_agents_learner.Learner):
  """TF-Agents' Learner, one gradient step a call.

  The original traces a step twice, once for the shape of its result and once
  as the body of a loop. A search and an unroll are large to trace, and in
  lock-step with the actor no loop is needed, so a step is traced once here (on
  several replicas: once for measured batches and once for others, as nothing
  can be exchanged inside a branch). The batch is drawn outside of it, where it
  is seen how long that takes, and priorities are given back outside as well:
  nothing in the step needs the host.
  """

  def __init__(self, root_dir: str, train_step: tf.Variable, agent: Any,
               dataset_fn: Callable[[], tf.data.Dataset], *,
               after_step: Optional[AfterStep] = None,
               from_elsewhere: bool = False,
               strategy: Optional[tf.distribute.Strategy] = None,
               group: Optional[LearnerGroup] = None, **kwargs: Any):
    """Initializes the learner; restores the save that it finds.

    Args:
      root_dir: the original's; other learners than the chief of a group only
        read in it.
      train_step: the original's.
      agent: the original's.
      dataset_fn: of (unroll, info) for one replica.
      after_step: called with the rows of each replica of this process.
      from_elsewhere: batches come from a server that may be gone; they are
        waited for where a signal is heard.
      strategy: the original's.
      group: of the learners, if there are several.
      **kwargs: the original's.
    """
    self._group = group or LearnerGroup()
    on_host = strategy is not None and (
        self._group.size > 1 or isinstance(strategy, tf.distribute.TPUStrategy))
    super().__init__(
        root_dir, train_step, agent, None if on_host else dataset_fn,
        strategy=strategy, **kwargs)
    if on_host:
      self._experience_iterator = HostBatches(strategy, dataset_fn)
    self._after_step = after_step
    self._from_elsewhere = from_elsewhere
    self._waited = 0.
    self._rows: Sequence[SampleInfo] = ()

  def run(self, iterations: int = 1, iterator: Any = None,
          parallel_iterations: int = 1) -> Any:
    """Makes `iterations` gradient steps.

    Args:
      iterations: number of steps.
      iterator: of (unroll, info); the learner's own data set if left out.
      parallel_iterations: not used.

    Returns:
      The last step's LossInfo; its `extra` has the rows of all replicas of
      this process.
    """
    del parallel_iterations
    batches = iterator or self._experience_iterator
    for _ in range(iterations):
      begun = time.perf_counter()
      unroll, info = (wait_for(lambda: next(batches))
                      if self._from_elsewhere else next(batches))
      self._waited += time.perf_counter() - begun
      with self.strategy.scope():
        loss_info = self._one_step(unroll, self._is_measured(unroll))
      self._rows = self._each(info)
      if self._after_step is not None:
        for rows, priority in zip(
            self._rows, self._each(loss_info.extra.priority), strict=True):
          self._after_step(rows, priority)
    for trigger in self.triggers:
      trigger(self.train_step_numpy)
    return self._joined(loss_info)

  @property
  def rows(self) -> Sequence[SampleInfo]:
    """Of each replica of this process, where the last step's rows came from."""
    return self._rows

  def non_finite_variables(self) -> List[str]:
    """Names of what would be saved and is not finite."""
    return [variable.name for variable in self._agent.variables
            if variable.dtype.is_floating
            and not np.isfinite(variable.numpy()).all()]

  @property
  def saved_bytes(self) -> int:
    """About what a save takes on the disk."""
    return sum(variable.dtype.size * variable.shape.num_elements()
               for variable in self._agent.variables)

  def take_waited(self) -> float:
    """Seconds that steps have waited for their batches since the last call."""
    waited, self._waited = self._waited, 0.
    return waited

  def save(self) -> None:
    """Writes a checkpoint of agent and train step now."""
    self._checkpointer.save(self.train_step)

  @tf.function(autograph=False)
  def _one_step(self, unroll: Any, measured: Optional[bool]) -> Any:
    return self.strategy.run(
        self._agent.train, (unroll,),
        {} if measured is None else {'measured': measured})

  def _is_measured(self, unroll: Any) -> Optional[bool]:
    """Of several replicas' batch; one replica's step looks for itself.

    It is measured if each replica's part was drawn as such, which those drawn
    when a window opens or closes need not have been all alike. The other parts
    are as good for a plain step.
    """
    if self.strategy.num_replicas_in_sync == 1:
      return None
    flag = all(bool(measuring[0].numpy())
               for measuring in self._each(unroll.measuring))
    return self._group.all_say(flag)

  def _each(self, nest: Any) -> Any:
    """The nests of this process's replicas, in order."""
    leaves = [self.strategy.experimental_local_results(leaf)
              for leaf in tf.nest.flatten(nest)]
    return [tf.nest.pack_sequence_as(nest, values)
            for values in zip(*leaves)] if leaves else [nest]

  def _joined(self, loss_info: Any) -> Any:
    """One LossInfo out of those of the replicas."""
    first, *others = self._each(loss_info)
    if not others:
      return first
    extra: TrainingMetrics = first.extra
    rows = {name: tf.nest.map_structure(
        lambda *x: tf.concat(x, axis=0), getattr(extra, name),
        *(getattr(other.extra, name) for other in others))
            for name in _BY_ROW}
    return first._replace(extra=extra._replace(**rows))
