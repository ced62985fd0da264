"""The loop of a learner that is not the chief."""

import contextlib
from typing import Callable, Optional, Sequence

import tensorflow as tf

from xtra_tf.errors import NonFiniteError
from xtra_tf.runs import StageProgress, stop_request
from xtra_tf.workers.learner_group import LearnerGroup
from xtra_tf.workers.non_finite_steps import NonFiniteSteps
from xtra_tf.workers.step_learner import StepLearner


class Follower:
  """Makes the gradient steps that the chief's trainer makes, and nothing else.

  It neither plays, nor evaluates, nor saves, nor logs; only incidents are
  written, which name rows that nobody else knows.
  """

  def __init__(self, learner: StepLearner, group: LearnerGroup,
               progress: StageProgress, tasks: Sequence[str], *,
               logs_dir: str, env_steps: Optional[tf.Variable] = None,
               after_update: Callable[[int], None] = lambda step: None):
    """Initializes the loop.

    Args:
      learner: makes this process's part of the steps.
      group: of the learners.
      progress: the stage's progress bar.
      tasks: names of the run's tasks in index order; the first is the target.
      logs_dir: where incidents are recorded.
      env_steps: <int64>[T] each task's environment-step count, where the first
        task is played.
      after_update: called with the step after each update.
    """
    self._learner = learner
    self._group = group
    self._progress = progress
    self._env_steps = env_steps
    self._after_update = after_update
    self._non_finite = NonFiniteSteps(logs_dir, tasks)

  def run(self) -> int:
    """Trains until the chief says that the stage is complete.

    Returns:
      The gradient steps made, in all sessions.

    Raises:
      Stopped: this learner or another one was asked to end.
      UnreachableError: the chief has ended with an error.
    """
    with self._progress, stop_request.held():
      env_steps = self._group.follow()
      while env_steps is not None:
        if self._env_steps is not None:
          self._env_steps.scatter_update(tf.IndexedSlices(
              tf.constant([env_steps], tf.int64), [0]))
        self._step()
        env_steps = self._group.follow()
    return int(self._learner.train_step.numpy())

  def _step(self) -> None:
    loss_info = tf.nest.map_structure(
        lambda t: t.numpy(), self._learner.run(1))
    step = int(self._learner.train_step.numpy())
    if not loss_info.extra.finite:
      # Whether the run ends is the chief's to say; it counts the same steps.
      with contextlib.suppress(NonFiniteError):
        self._non_finite.note(step, loss_info, self._learner.rows,
                              'see what the chief says')
    self._after_update(step)
    self._progress.update(step, loss=float(loss_info.loss))
