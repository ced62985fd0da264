"""Turns a driver's transitions into rows of the episode log and the table."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import tensorflow as tf

from xtra_tf.episodes import Episode, EpisodeLogWriter, StepRow
from xtra_tf.errors import UnreachableError
from xtra_tf.replay import SegmentWriter
from xtra_tf.workers import frame_stacks


class FinishedGame(NamedTuple):
  """One game that has just ended."""
  slot: int
  raw_return: float  # of the whole game, no-op steps included
  length: int  # agent steps, no-op steps included
  truncated: bool


class EpisodeRecorder:
  """Writes each slot's steps to its log first and then to its table.

  The driver tells a transition and then the environment's info about it, so
  this object is both a transition observer and an info observer. One log and
  one writer per slot: the blocks of a log belong to one episode at a time, and
  Reverb's writers are not thread-safe.

  A life loss is a step flag: the no-op after it is stored with real = 0, and
  the log's episode goes on until the game is over.
  """

  def __init__(self, logs: Sequence[EpisodeLogWriter],
               tables: Sequence[SegmentWriter], stack: int, env_steps: int,
               on_game: Optional[Callable[[FinishedGame], None]] = None,
               outlives_tables: bool = False,
               steps_of_task: Callable[[int], int] = int):
    """Initializes the recorder.

    Args:
      logs: one episode log writer per slot.
      tables: one replay writer per slot, in the same order; none: the log is
        all that is written.
      stack: number of stacked frames, for `frames`.
      env_steps: real environment steps that the log holds already.
      on_game: called with every game that ends.
      outlives_tables: a server that is gone is no error: what is played goes to
        the logs alone, `table_failure` says why, until `replace_tables`.
      steps_of_task: environment steps of all who play the task, by those of
        this recorder; the same if nobody else does.
    """
    if tables and len(logs) != len(tables):
      raise ValueError(f'One table writer per log, got {len(logs)} logs and '
                       f'{len(tables)} table writers.')
    self._logs = list(logs)
    self._tables = list(tables)
    self._on_game = on_game
    self._outlives_tables = outlives_tables
    self._steps_of_task = steps_of_task
    self.table_failure: Optional[UnreachableError] = None
    self.env_steps = env_steps
    # Whether the policy at work searches; one at random does not.
    self.searching = True
    # Whether its visits are stored as a policy target; without a search they
    # are those of a policy that is known, e.g. the uniform one.
    self.has_targets = True
    self._transition: Any = None
    slots = len(logs)
    self._row = [0] * slots
    self._raw_return = [0.0] * slots
    # What ended a slot's previous step: '', 'life_loss', 'terminal' or
    # 'truncated'. The next transition of that slot is a boundary.
    self._ended = [''] * slots
    self._search_sums: Dict[str, float] = {}
    self._searches = 0
    self._stack = stack
    self._frames: Optional[np.ndarray] = None

  @property
  def has_frames(self) -> bool:
    """Whether anything was observed yet."""
    return self._frames is not None

  @property
  def frames(self) -> np.ndarray:
    """[slots, S, *frame], each slot's last S observations that were acted on.

    It lets a planning policy take over from another one in mid-game.
    """
    if self._frames is None:
      raise ValueError('No transition has been observed yet.')
    return self._frames

  def observe_transition(self, transition: Any) -> None:
    """Keeps (time_step, action_step, next_time_step) until its info comes."""
    self._transition = tf.nest.map_structure(np.asarray, transition)
    time_step = self._transition[0]
    frame = time_step.observation['frame']
    before = (np.repeat(frame[:, None], self._stack, axis=1)
              if self._frames is None else self._frames)
    frames = np.concatenate([before[:, 1:], frame[:, None]], axis=1)
    first = time_step.is_first()
    frames[first] = frame[first][:, None]
    self._frames = frames

  def observe_info(self, info: Any) -> None:
    """Writes one row per slot of the transition observed last."""
    self._note_searches()
    for slot in range(len(self._logs)):
      self._write(slot, info)
    self._transition = None

  def resume(self, slot: int, episode: Episode) -> None:
    """Goes on with a game of which an earlier session wrote some rows.

    Args:
      slot: that plays it.
      episode: its rows, none of them a cut's.
    """
    rows = len(episode.real)
    self._row[slot] = rows
    self._raw_return[slot] = float(episode.raw_reward.sum())
    for name in ('terminal', 'truncated', 'life_loss'):
      if getattr(episode, name)[-1]:
        self._ended[slot] = name
        break
    last = frame_stacks.stacks_of(episode, self._stack)[-1]
    if self._frames is None:
      self._frames = np.zeros([len(self._logs), *last.shape], last.dtype)
    self._frames[slot] = last

  def take_search_means(self) -> Dict[str, float]:
    """Means over the searches since the last call; empty if there were none.

    Returns:
      {'root_value', 'max_depth', ...: mean}, the fields of SearchStatistics.
    """
    means = {name: total / self._searches
             for name, total in self._search_sums.items()}
    self._search_sums, self._searches = {}, 0
    return means

  def _note_searches(self) -> None:
    info = self._transition[1].info
    # Not the boundaries: their action is not played.
    searched = np.array([self.searching and not e for e in self._ended])
    self._searches += int(searched.sum())
    columns = {'root_value': info['root_value'], **info['statistics']._asdict()}
    if not searched.any():
      return
    for name, values in columns.items():
      self._search_sums[name] = (self._search_sums.get(name, 0.)
                                 + float(np.sum(values[searched])))

  def _write(self, slot: int, info: Any) -> None:
    time_step, action_step, next_time_step = self._transition
    ended = self._ended[slot]
    # The reset's own transition (game over before it) has no reward; the
    # no-op after a lost life has one, which counts in the score.
    raw_reward = float(info.raw_reward[slot])
    real = not ended
    row = StepRow(
        observation=time_step.observation['frame'][slot],
        action=int(action_step.action[slot]) if real else 0,
        search=action_step.info['search'][slot],
        reward=float(next_time_step.reward[slot]) if real else 0.0,
        raw_reward=raw_reward if ended in ('', 'life_loss') else 0.0,
        terminal=bool(info.terminal[slot]) and ended in ('', 'life_loss'),
        truncated=bool(info.truncated[slot]) and ended in ('', 'life_loss'),
        life_loss=bool(info.life_loss[slot]) and real,
        real=real,
        root_value=float(action_step.info['root_value'][slot]),
        bootstrap_value=0.0,
        has_search=self.has_targets and real,
        env_step=self._steps_of_task(self.env_steps))
    self._append(slot, row)
    if real:
      self.env_steps += 1
    if ended in ('terminal', 'truncated'):
      self._end_game(slot, ended)
      self._ended[slot] = ''
      return
    self._raw_return[slot] += row.raw_reward
    if row.terminal or row.truncated:
      kind = 'terminal' if row.terminal else 'truncated'
      if real:
        # Its final observation arrives with the next transition.
        self._ended[slot] = kind
      else:
        # The no-op ended the game: the environment has already begun the next
        # one, and the no-op's own row is the final observation.
        self._end_game(slot, kind)
        self._ended[slot] = ''
    else:
      self._ended[slot] = 'life_loss' if row.life_loss else ''

  def _append(self, slot: int, row: StepRow) -> None:
    number = self._logs[slot].next_episode
    self._logs[slot].append(row)
    if self._tables:
      self._feed(slot, row, number)
    self._row[slot] += 1

  def _feed(self, slot: int, row: StepRow, number: int) -> None:
    """Hands a row to its table; it is in the log already, whatever happens."""
    try:
      self._tables[slot].append(row, number, self._row[slot])
    except UnreachableError as error:
      if not self._outlives_tables:
        raise
      # The rows of the other slots must not be lost on account of it.
      self._tables, self.table_failure = [], error

  def replace_tables(self, tables: Sequence[SegmentWriter]) -> None:
    """Goes on with other table writers, which have all rows so far.

    Args:
      tables: one per slot.
    """
    self._tables, self.table_failure = list(tables), None

  def _end_game(self, slot: int, kind: str) -> None:
    self._logs[slot].end_episode(kind)
    if self._on_game is not None:
      self._on_game(FinishedGame(
          slot=slot, raw_return=self._raw_return[slot],
          length=self._row[slot] - 1, truncated=kind == 'truncated'))
    self._row[slot] = 0
    self._raw_return[slot] = 0.0

  def flush(self) -> None:
    """Commits the rows of the open games to their logs."""
    for log in self._logs:
      log.flush()

  def close(self) -> None:
    """Commits what is open; the logs decide what becomes of open games."""
    for log in self._logs:
      log.close()
    for table in self._tables:
      try:
        table.close()
      except UnreachableError as error:
        if not self._outlives_tables:
          raise
        self.table_failure = error
        break


def env_steps_of(logs: List[EpisodeLogWriter]) -> int:
  """Real environment steps committed in the logs of all slots."""
  return sum(log.env_steps for log in logs)
