"""The learners that share each batch, and what they agree upon."""

import contextlib
import enum
import hashlib
import signal
from typing import Callable, Iterator, Optional, Tuple, TypeVar

import numpy as np
import tensorflow as tf

from xtra_tf.errors import Stopped, UnreachableError, UsageError, UserError
from xtra_tf.numerics import replicas
from xtra_tf.runs import stop_request
from xtra_tf.types import SampleInfo

_T = TypeVar('_T')
# What collectives end with when another process is gone.
_BROKEN = (tf.errors.UnavailableError, tf.errors.AbortedError,
           tf.errors.InternalError, tf.errors.CancelledError,
           tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError,
           tf.errors.UnknownError)


class _Turn(enum.IntEnum):
  """What the chief says that comes next."""
  STEP = 0
  DONE = 1
  STOPPED = 2
  FAILED = 3


class LearnerGroup:
  """The processes of a strategy, each a learner: one, or those of TF_CONFIG.

  All make the same gradient steps, each on rows of its own. One of them, the
  chief, plays and evaluates where that is due, decides when a step begins, and
  alone writes to the run's folder; the others follow. What they tell each other
  are whole numbers, exchanged between the steps. Every exchange waits for all,
  so that all must ask for the same ones in the same order.

  With one process nothing is exchanged.

  Attributes:
    size: processes.
    index: of this one, the chief's being 0.
  """

  def __init__(self, strategy: Optional[tf.distribute.Strategy] = None):
    """Finds this process's place.

    Args:
      strategy: of the learner; one device if left out.
    """
    self._strategy = strategy or tf.distribute.get_strategy()
    self.size, self.index = 1, 0
    if isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy):
      own = len(self._strategy.extended.worker_devices)
      self.size = self._strategy.num_replicas_in_sync // own
      first = self._strategy.experimental_distribute_values_from_function(
          lambda context: tf.constant(context.replica_id_in_sync_group))
      self.index = int(
          self._strategy.experimental_local_results(first)[0].numpy()) // own
    self._is_stepping = False  # the others may be in the step
    self._is_told = False  # the others know that there is no further step

  @property
  def is_chief(self) -> bool:
    """Whether this process writes."""
    return self.index == 0

  def gather(self, numbers: np.ndarray) -> np.ndarray:
    """What each has.

    Args:
      numbers: <int64>[...], of equal shape everywhere.

    Returns:
      <int64>[size, ...].
    """
    own = np.asarray(numbers, np.int64)
    if self.size == 1:
      return own[np.newaxis]
    found = self._strategy.experimental_local_results(
        self._gather(tf.constant(own)))[0].numpy()
    # Each has the same from all replicas of a process.
    return found[::len(found) // self.size]

  @tf.function(autograph=False)
  def _gather(self, own: tf.Tensor) -> tf.Tensor:
    def on_a_replica(own: tf.Tensor) -> tf.Tensor:
      place = tf.one_hot(replicas.index(), replicas.number(), dtype=tf.int64)
      return replicas.total(
          own * tf.reshape(place, [-1] + [1] * own.shape.rank))

    return self._strategy.run(on_a_replica, args=(own,))

  def wait(self) -> None:
    """Until all are here."""
    self.gather(np.zeros([1]))

  def chief_says(self, flag: bool) -> bool:
    """The chief's flag: others may see files of its later or earlier."""
    return bool(self.gather(np.array([flag]))[0, 0])

  def all_say(self, flag: bool) -> bool:
    """Whether all have a flag set."""
    return bool(self.gather(np.array([flag])).all())

  def check_same(self, what: str, text: str) -> None:
    """Refuses to go on where the others have something else.

    Args:
      what: for the message, e.g. `settings`.
      text: of it.

    Raises:
      UsageError: names the learners that differ from the chief.
    """
    digest = hashlib.sha256(text.encode()).digest()
    found = self.gather(np.array([int.from_bytes(digest[:7], 'big')]))[:, 0]
    others = [index for index in range(self.size) if found[index] != found[0]]
    if others:
      raise UsageError(
          f'The learners do not have the same {what}: '
          f'{", ".join(map(str, others))} of 0 to {self.size - 1} differ from '
          f'the chief, which is 0. Found by {self.index}: {text}. Expected '
          'the same command, files and --root_dir for all of TF_CONFIG.')

  def after_chief(self, chief: Callable[[], _T],
                  others: Callable[[], _T]) -> _T:
    """Lets the chief do something before the others look at it.

    Args:
      chief: what the chief does.
      others: what the others do when it has.

    Returns:
      What the function of this process returned.
    """
    if self.is_chief:
      made = chief()
      self.wait()
      return made
    self.wait()
    return others()

  def rows_of_all(self, info: SampleInfo, priority: tf.Tensor
                  ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of all processes and their new priorities.

    Args:
      info: of this process's rows; as many everywhere.
      priority: <float32>[B].

    Returns:
      task <int64>[N], position <int64>[N, 2] and priority <float32>[N], the
      chief's first.
    """
    # A float's bits are a whole number.
    rows = np.concatenate([
        info.task.numpy()[:, np.newaxis], info.position.numpy(),
        priority.numpy().view(np.int32)[:, np.newaxis]], axis=1)
    found = self.gather(rows).reshape([-1, rows.shape[1]])
    return (found[:, 0], found[:, 1:3],
            found[:, 3].astype(np.int32).view(np.float32))

  @contextlib.contextmanager
  def leading(self) -> Iterator[None]:
    """What the chief does while others follow; they are told how it ended.

    Not where an error comes out of a step: the others are in it then, and find
    out by themselves that the chief is gone.
    """
    self._is_stepping = self._is_told = False
    try:
      yield
    except Stopped:
      self._tell(_Turn.STOPPED)
      raise
    except UserError:
      self._tell(_Turn.FAILED)
      raise
    self._tell(_Turn.DONE)

  @contextlib.contextmanager
  def step(self, env_steps: int) -> Iterator[None]:
    """The chief's part of a step that all make.

    Args:
      env_steps: taken so far in the task that is played.

    Raises:
      Stopped: another learner was asked to end.
    """
    turns = self._turns(_Turn.STEP, env_steps)
    if self._others_stop(turns):
      self._is_told = True
      raise Stopped(signal.SIGTERM)
    self._is_stepping = True
    yield
    self._is_stepping = False

  def follow(self) -> Optional[int]:
    """Waits for what the chief says.

    Returns:
      The environment steps before the next step; None: there is none, the stage
      is complete.

    Raises:
      Stopped: this learner or another one was asked to end.
      UnreachableError: the chief has ended with an error.
    """
    turns = self._turns(_Turn.STEP, 0)
    turn = int(turns[0, 0])
    if turn == _Turn.DONE:
      return None
    if turn == _Turn.FAILED:
      raise UnreachableError(
          'The chief of the learners has ended with an error, which it shows. '
          'Start all learners again; they go on from the last save.')
    if turn == _Turn.STOPPED or self._others_stop(turns):
      stop_request.check()
      raise Stopped(signal.SIGTERM)
    return int(turns[0, 1])

  @contextlib.contextmanager
  def watched(self) -> Iterator[None]:
    """Says what it means where an exchange breaks off.

    Raises:
      UnreachableError: another learner is gone.
      Stopped: it is, and this one was asked to end meanwhile.
    """
    try:
      yield
    except _BROKEN as error:
      if self.size == 1:
        raise
      stop_request.check()
      # Of an error in a graph, the reason stands behind a stack.
      reason = error.message.split('\n\n')[-1].split('\n')[0][:300]
      raise UnreachableError(
          f'Learner {self.index} of {self.size} has lost the others: '
          f'{reason.rstrip(".")}. Expected all learners of TF_CONFIG to run '
          'until the end. Look at what the others say, then start all of them '
          'again; they go on from the last save.') from error

  def _turns(self, turn: _Turn, env_steps: int) -> np.ndarray:
    """<int64>[size, 3]: turn, environment steps, asked to end."""
    return self.gather(np.array([turn, env_steps, stop_request.is_made]))

  def _others_stop(self, turns: np.ndarray) -> bool:
    # The chief looks for itself between two steps.
    return bool(turns[1:, 2].any())

  def _tell(self, turn: _Turn) -> None:
    if self.size > 1 and not self._is_stepping and not self._is_told:
      self._is_told = True
      self._turns(turn, 0)
