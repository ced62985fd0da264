"""What a set of episodes holds: one pass over it, every record verified."""

import collections
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from xtra_tf.episodes import Episode, EpisodeLog
from xtra_tf.tasks import TaskSpec

SAMPLE_FRAMES = 300


class Inspection(NamedTuple):
  """What was found; N episodes, G of them whole games, A actions."""
  directory: str
  task: TaskSpec
  provenance: Mapping[str, Any]
  columns: Dict[str, int]  # optional columns and the rows that have a value
  stored_bytes: int
  rows: int  # final observations and no-ops included
  transitions: int  # rows that can be learned from
  env_steps: int
  writers: int
  ends: Dict[str, int]  # {'terminal', 'truncated', 'cut': episodes}
  life_losses: int
  lengths: np.ndarray  # <int64>[N] transitions of each episode
  returns: np.ndarray  # <float64>[G] raw return of each whole game
  rewards: Dict[float, int]  # {learned reward: transitions}
  action_counts: np.ndarray  # <int64>[A] of the transitions
  root_values: Optional[np.ndarray]  # <float32>[3] least, mean, greatest
  sample: np.ndarray  # <task dtype>[F, *frame] from one episode's start on
  sample_number: int  # of that episode
  sealed: bool  # the set says which files it has, and has them
  faults: List[str]  # what a reader should know before using the set


class _Sums:
  """What grows while the episodes go by."""

  def __init__(self, task: TaskSpec):
    self.actions = np.zeros([task.num_actions], np.int64)
    self.rewards: Dict[float, int] = collections.Counter()
    self.ends: Dict[str, int] = collections.Counter()
    self.lengths: List[int] = []
    self.life_losses = 0
    self.searched = 0
    self.values: List[np.ndarray] = []  # (least, sum, greatest, count)
    self.illegal = 0
    self.mismatched = 0
    self.sample: Optional[Episode] = None

  def add(self, episode: Episode, task: TaskSpec) -> None:
    real = episode.real.astype(bool)
    actions = episode.action[real]
    self.actions += np.bincount(actions, minlength=task.num_actions)
    self.illegal += int((~task.legal_mask()[actions]).sum())
    values, counts = np.unique(episode.reward[real], return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist()):
      self.rewards[value] += count
    if task.clip_reward:
      raw = np.sign(episode.raw_reward[real])
      self.mismatched += int((raw != episode.reward[real]).sum())
    self.ends[episode.end] += 1
    self.lengths.append(int(real.sum()))
    self.life_losses += int(episode.life_loss.sum())
    searched = episode.has_search.astype(bool) & real
    self.searched += int(searched.sum())
    if episode.root_value is not None and searched.any():
      found = episode.root_value[searched].astype(np.float64)
      self.values.append(np.array(
          [found.min(), found.sum(), found.max(), len(found)]))
    # The first whole game, else the first episode: what comes first is seen.
    if self.sample is None or (self.sample.end == 'cut'
                               and episode.end != 'cut'):
      self.sample = episode

  def root_values(self) -> Optional[np.ndarray]:
    if not self.values:
      return None
    table = np.stack(self.values)
    return np.array([table[:, 0].min(), table[:, 1].sum() / table[:, 3].sum(),
                     table[:, 2].max()], np.float32)


def stored_rows(directory: str) -> int:
  """How many rows `inspect` will read, by the index alone.

  Args:
    directory: of the episodes.

  Raises:
    DataFileError: as of `inspect`, as far as header and index tell.
  """
  return EpisodeLog(directory).num_rows


def inspect(directory: str, progress: Optional[Callable[[int], None]] = None,
            targets: Optional[str] = None) -> Inspection:
  """Reads all of a set, one episode in memory at a time.

  Args:
    directory: of the episodes.
    progress: called with the rows read so far.
    targets: folder of a teacher's targets for it, which are verified too.

  Returns:
    What was found.

  Raises:
    DataFileError: it is not a set of episodes, is empty, damaged, or of an
      unknown version; names file and record.
    IncompatibleDataError: the targets are of another task.
  """
  log = EpisodeLog(directory)
  log.require_observed_steps()
  if targets is not None:
    log = log.with_overlay(targets)
  sums, rows, writers = _Sums(log.task), 0, set()
  numbers: Dict[int, int] = {}
  gaps = 0
  for episode in log.episodes():
    sums.add(episode, log.task)
    writers.add(episode.writer)
    before = numbers.get(episode.writer, episode.writer * 2**32 - 1)
    gaps += episode.number - before - 1
    numbers[episode.writer] = episode.number
    rows += len(episode.real)
    if progress is not None:
      progress(rows)
  assert sums.sample is not None and sums.sample.observation is not None
  columns = {name: sums.searched if name != 'bootstrap_value' else rows
             for name in log.columns}
  return Inspection(
      directory=directory, task=log.task, provenance=log.header.provenance,
      columns=columns, stored_bytes=log.stored_bytes, rows=rows,
      transitions=sum(sums.lengths), env_steps=log.env_steps,
      writers=len(writers), ends=dict(sums.ends), life_losses=sums.life_losses,
      lengths=np.array(sums.lengths, np.int64), returns=log.returns(),
      rewards=dict(sorted(sums.rewards.items())), action_counts=sums.actions,
      root_values=sums.root_values(),
      sample=sums.sample.observation[:SAMPLE_FRAMES],
      sample_number=sums.sample.number, sealed=log.sealed,
      faults=_faults(log, sums, gaps))


def _faults(log: EpisodeLog, sums: _Sums, gaps: int) -> List[str]:
  """Gaps and oddities, one sentence each; none of them stops a reader."""
  task, faults = log.task, []
  if gaps:
    faults.append(f'{gaps:,} episode numbers are left out: these episodes were '
                  'never written, or were taken away.')
  if sums.ends['cut']:
    faults.append(f'{sums.ends["cut"]:,} of {log.num_episodes:,} episodes '
                  'break off before their game ended; their returns are not '
                  'counted.')
  empty = sums.lengths.count(0)
  if empty:
    faults.append(f'Episodes without a transition to learn from: {empty:,}.')
  if not log.sealed:
    faults.append('The set has no seal, which says how many files there are: '
                  'if some of them were never copied, nobody can tell. A '
                  'finished launchers.collect or import writes one.')
  if sums.illegal:
    faults.append(f'{sums.illegal:,} actions are not among the legal ones of '
                  f'{task.name}.')
  if sums.mismatched:
    faults.append(f'{sums.mismatched:,} learned rewards are not the sign of '
                  'the raw ones, though the task says so.')
  unused = [task.action_names[a] for a in task.legal_actions
            if not sums.actions[a]]
  if unused:
    faults.append(f'Legal actions that were never played: {", ".join(unused)}.')
  if list(sums.rewards) == [0.]:
    faults.append('Every reward is 0.')
  if not log.header.provenance:
    faults.append('Nothing is known of how the data came about.')
  return faults
