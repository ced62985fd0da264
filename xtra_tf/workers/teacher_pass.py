"""A trained teacher goes over its task's data once and stores its targets."""

from typing import Callable, Iterator, List, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from xtra_tf.episodes import Episode, EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import DataFileError
from xtra_tf.numerics import observations
from xtra_tf.tasks import TaskSpec
from xtra_tf.types import ModelOutput, SearchOutput
from xtra_tf.workers import frame_stacks


class TeacherTargets(NamedTuple):
  """What the teacher says of each row of an episode."""
  search: np.ndarray  # <float32>[R, A] visit counts
  root_value: np.ndarray  # <float32>[R] of the search
  bootstrap_value: np.ndarray  # <float32>[R] the value head's


class TeacherPassSummary(NamedTuple):
  """What a pass has seen."""
  rows: int
  agreement: float  # share of real rows whose most visited action was played
  mean_root_value: float


class TeacherPass:
  """Searches every observation of a log with a teacher, batch after batch."""

  def __init__(self, encode: Callable[[tf.Tensor], ModelOutput],
               search: Callable[..., SearchOutput], task: TaskSpec,
               batch_size: int, noise_fraction: float, seed: int):
    """Initializes the pass.

    Args:
      encode: the teacher's initial inference on <float32>[B, H, W, S * C].
      search: the planner's search, bound to the teacher.
      task: whose data are gone over.
      batch_size: B, observations searched at once.
      noise_fraction: root noise of the searches.
      seed: of noise and ties.
    """
    self._task = task
    self._batch_size = batch_size
    self._seed = seed
    self._batches = 0
    legal_actions = tf.tile(
        tf.constant(task.legal_mask())[None], [batch_size, 1])

    @tf.function(autograph=False)
    def look(frames: tf.Tensor, seed: tf.Tensor) -> TeacherTargets:
      root = encode(observations.stack_frames(frames))
      result = search(root, legal_actions,
                      tf.constant(noise_fraction, tf.float32), seed)
      return TeacherTargets(result.target, result.root_value, root.value)

    self._look = look

  def run(self, log: EpisodeLog, writer: EpisodeLogWriter,
          progress: Optional[Callable[[int], None]] = None,
          done: Optional[EpisodeLog] = None) -> TeacherPassSummary:
    """Writes the targets of all episodes.

    What is written does not depend on whether, or where, a pass was broken off:
    the searches' seeds count the batches of the episodes that were done.

    Args:
      log: the task's data.
      writer: of the overlay log.
      progress: called with the rows done so far.
      done: the overlay as an interrupted pass has left it, of whole episodes
        (`EpisodeLogWriter(drop_open=True)`); None: it is new.

    Returns:
      What was seen, in this session and before it.

    Raises:
      DataFileError: `done` is damaged, or of other episodes.
    """
    self._batches = 0
    rows, agreed, real_rows, values = 0, 0.0, 0, 0.0
    for episode, targets, is_new in self._episodes(log, done):
      if is_new:
        writer.begin_episode(episode.number)
        for row in range(len(episode.real)):
          writer.append(_overlay_row(episode, targets, row))
        writer.end_episode(episode.end)
      real = episode.real.astype(bool)
      rows += len(real)
      real_rows += int(real.sum())
      agreed += float(np.sum(
          targets.search[real].argmax(-1) == episode.action[real]))
      values += float(np.sum(targets.root_value[real]))
      if progress is not None:
        progress(rows)
    return TeacherPassSummary(rows, agreed / max(real_rows, 1),
                              values / max(real_rows, 1))

  def _episodes(self, log: EpisodeLog, done: Optional[EpisodeLog]
                ) -> Iterator[tuple[Episode, TeacherTargets, bool]]:
    """Each episode, its targets, and whether they are yet to be written."""
    earlier = 0
    if done is not None:
      for episode, found in zip(log.episodes(), done.episodes()):
        earlier += 1
        self._batches += -(-len(episode.real) // self._batch_size)
        yield episode, _found_targets(episode, found, done), False
    for episode in log.episodes(start=earlier):
      frames = frame_stacks.stacks_of(episode, self._task.stack)
      parts: List[TeacherTargets] = []
      for begin in range(0, len(frames), self._batch_size):
        parts.append(self._search(frames[begin:begin + self._batch_size]))
      yield episode, TeacherTargets(
          *(np.concatenate(columns) for columns in zip(*parts))), True

  def _search(self, frames: np.ndarray) -> TeacherTargets:
    """One batch; the last one is filled up, and the filling thrown away."""
    count = len(frames)
    fill = np.repeat(frames[-1:], self._batch_size - count, axis=0)
    seed = tf.constant([self._seed, self._batches], tf.int32)
    self._batches += 1
    found = self._look(tf.constant(np.concatenate([frames, fill])), seed)
    return TeacherTargets(*(column.numpy()[:count] for column in found))


def _found_targets(episode: Episode, found: Episode,
                   done: EpisodeLog) -> TeacherTargets:
  """An earlier session's word on an episode."""
  if found.number != episode.number or not np.array_equal(
      found.action, episode.action):
    raise DataFileError(
        done.directory, f'expected targets for episode {episode.number} of '
        f'{len(episode.action)} rows, found episode {found.number} of '
        f'{len(found.action)}, or other actions in it.',
        hint='Delete the folder; the teacher then goes over its data anew.')
  assert found.search is not None and found.root_value is not None
  assert found.bootstrap_value is not None
  return TeacherTargets(found.search, found.root_value, found.bootstrap_value)


def _overlay_row(episode: Episode, targets: TeacherTargets,
                 row: int) -> StepRow:
  """The teacher's word on one row; the data's own columns stay."""
  return episode._replace(observation=None).row(row)._replace(
      search=targets.search[row], root_value=float(targets.root_value[row]),
      bootstrap_value=float(targets.bootstrap_value[row]), has_search=True)
