"""A reanalyzer as a process of its own: targets off the learner's devices."""

import dataclasses
from typing import Any, Callable, Iterator, Optional
import zlib

import numpy as np
import tensorflow as tf

from xtra_tf.errors import UnreachableError
from xtra_tf.experiments import roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.replay import Composition, Extras
from xtra_tf.replay.batches import SampledWindows, as_batch
from xtra_tf.replay.patience import Patience
from xtra_tf.replay.reanalyzed_queue import ReanalyzedQueue, batch_spec
from xtra_tf.replay.remote_tables import RemoteTables
from xtra_tf.replay.weights_table import Weights, WeightsChannel
from xtra_tf.runs import stop_request, wait_for

_POLL_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class ReanalyzerPlace:
  """Which reanalyzer of a run, and where its server is.

  Attributes:
    address: of the run's server.
    number: of this reanalyzer, 0 or more; decides its searches' noise.
    settings: hash of the run's settings.
    timeout_seconds: how long server, learner and collectors may be gone.
  """
  address: str
  number: int
  settings: str
  timeout_seconds: float = 300.

  def seed(self, stage_seed: int) -> int:
    """Of the searches; another one for each reanalyzer."""
    return zlib.crc32(f'{stage_seed}/reanalyzer/{self.number}'.encode()) % 2**31


class ReanalyzerRole:
  """Makes targets of the played task's rows, for a learner that asks for them.

  Rows are drawn by the server, by their priorities; the newest weights that the
  learner has published stand for its target network. Finished batches go to a
  short queue, which all reanalyzers share: who finds it full waits, so that no
  batch gets old in it.
  """

  def __init__(self, parts: RunParts, plan: TrainingPlan,
               place: ReanalyzerPlace, say: Callable[[str], None]):
    """Builds the model and traces the search; nothing is asked yet.

    Args:
      parts: of the run.
      plan: of the stage; its first task is played.
      place: see there.
      say: told what is waited for.
    """
    settings, task = parts.stages[plan.stage], plan.tasks[0]
    self._place, self._say = place, say
    self._rows = plan.rows[0]
    seed = place.seed(plan.seed(parts.seed))
    self._model = roles.build_model(
        parts, seed, roles.describe_model(parts, plan.stage, plan.tasks))
    self._targets = roles.reanalyzed_targets(
        parts, plan.stage, self._model, task, seed)
    self._window = roles.window_spec(task, settings.replay, parts.planner)
    specs = roles.table_specs(plan.tasks, settings, plan.online)
    self._tables = RemoteTables(specs[:1], self._window, place.address,
                                place.timeout_seconds, say)
    self._env_steps = tf.Variable([0], dtype=tf.int64, trainable=False)
    self._extras = Extras(roles.legal_masks(plan.tasks[:1]), self._env_steps)
    self._queue = ReanalyzedQueue(place.address, self._window, self._rows)
    self._channel = WeightsChannel(place.address)
    self._weights: Optional[Weights] = None
    self._size = 0  # windows in the table, as long as it has too few
    self._is_ready = False
    # What takes long should not begin when the learner waits for it.
    spec = batch_spec(self._window, self._rows)
    self._make(tf.nest.map_structure(
        lambda column: tf.zeros(column.shape, column.dtype), spec._replace(
            targets=(), targets_step=())))

  def run(self) -> int:
    """Makes batches until the learner has finished; how many.

    Raises:
      UnreachableError: server, learner or rows were gone for too long.
      Stopped: a signal has come.
    """
    made = 0
    try:
      with stop_request.held():
        self._queue.check()
        batches = iter(self._tables.windows(self._rows))
        patience = self._patience()
        while True:
          stop_request.check()
          obstacle = self._obstacle(patience)
          if self._weights is not None and self._weights.finished:
            return made
          if obstacle is None and self._send(batches):
            made += 1
            patience.end()
            patience = self._patience()
          elif obstacle is not None:
            patience.wait(obstacle, _POLL_SECONDS)
    finally:
      self._tables.stop()

  def _patience(self) -> Patience:
    return Patience(f'the run at {self._place.address}',
                    self._place.timeout_seconds, self._say)

  def _obstacle(self, patience: Patience) -> Optional[str]:
    """Why no batch can be made now, as the end of a sentence; None if it can.

    Args:
      patience: told of progress.
    """
    try:
      self._take_weights()
      if self._weights is None:
        return 'has published no weights'
      if not self._is_ready and not self._has_windows(patience):
        return f'has {self._size:,} windows to be sampled, too few'
      if self._queue.is_full():
        return 'takes no more reanalyzed rows'
    except UnreachableError:
      return 'cannot be asked: the replay server does not answer'
    return None

  def _has_windows(self, patience: Patience) -> bool:
    name = self._tables.names[0]
    size = self._tables.sizes()[name]
    if size > self._size:
      patience.progress()
    self._size = size
    self._is_ready = size >= self._tables.least_items(name, self._rows)
    return self._is_ready

  def _take_weights(self) -> None:
    weights = self._channel.take_into(self._model.variables)
    if weights is None:
      return
    self._env_steps.assign([sum(weights.played.values())])
    self._weights = weights

  def _send(self, batches: Iterator[SampledWindows]) -> bool:
    """Makes a batch and sends it; whether it has come there."""
    assert self._weights is not None
    try:
      windows = wait_for(lambda: next(batches))
    except tf.errors.OpError:
      if self._tables.failure is not None:
        raise self._tables.failure from None
      raise
    batch = windows._replace(
        targets=self._make(windows),
        targets_step=np.full([self._rows], self._weights.step, np.int64))
    try:
      self._queue.put(batch)
    except UnreachableError as error:
      self._say(str(error))  # the rows are drawn again
      return False
    return True

  @tf.function(autograph=False)
  def _make(self, windows: SampledWindows) -> Any:
    """Targets of sampled rows, as the learner would make them."""
    unroll, _ = as_batch(windows, self._window, self._extras,
                         Composition((self._rows,)))
    return self._targets(unroll)
