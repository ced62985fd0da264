"""Plays a task with any policy and keeps the episodes: data for other tasks."""

import contextlib
import dataclasses
import datetime
import math
import os
from typing import (
  Any,
  Callable,
  Dict,
  List,
  Mapping,
  NamedTuple,
  Optional,
  Tuple,
)

import numpy as np
from tf_agents.policies import tf_policy

from xtra_tf import environments
from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  block_index,
  write_seal,
)
from xtra_tf.episodes.schema import header_path, read_header
from xtra_tf.errors import SettingsChangedError, UsageError
from xtra_tf.experiments import configuration, data_provenance, roles
from xtra_tf.experiments.checkpoint_evaluation import (
  CheckpointPlayer,
  prepare_player,
  with_task_macros,
)
from xtra_tf.planning import PriorPlanner
from xtra_tf.policies import PlanningPolicy
from xtra_tf.runs import RunLock, differences
from xtra_tf.tasks import TaskSpec, get_task
from xtra_tf.workers import Collector

MADE_BY = 'launchers.collect'
_BASE = 'base/paper.gin'
_MAX_EPISODE_STEPS = 27_000  # 108 000 emulator frames, as when training
_NOISE_FRACTION = 0.25  # EfficientZero `config/atari/__init__.py`
# What may differ between two sessions that fill one folder.
_OF_A_SESSION = ('code', 'versions', 'begun')

# (done so far, live numbers as keywords) -> None
ProgressFn = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class CollectionSettings:
  """What is to be collected; exactly one of `env_steps` and `episodes`.

  Attributes:
    task: name of what is played.
    output: folder of the episodes.
    env_steps: environment steps in all, earlier sessions' included.
    episodes: whole games in all, earlier sessions' included.
    num_envs: games played at once.
    seed: of games, noise and draws.
    checkpoint: who plays, as of `variables.resolve_checkpoint`; None: legal
      actions uniformly at random.
    greedy: the most visited action, without root noise.
    temperature: p(a) ~ visits(a)^(1 / temperature).
    num_simulations: of a search; the checkpoint's own if None.
    gin_files: settings of search and frames, later ones win.
    gin_bindings: single bindings, applied last.
  """
  task: str
  output: str
  env_steps: Optional[int] = None
  episodes: Optional[int] = None
  num_envs: int = 8
  seed: int = 0
  checkpoint: Optional[str] = None
  greedy: bool = False
  temperature: Optional[float] = None
  num_simulations: Optional[int] = None
  gin_files: Tuple[str, ...] = ()
  gin_bindings: Tuple[str, ...] = ()

  def __post_init__(self) -> None:
    if self.env_steps is None and self.episodes is None:
      raise UsageError('Neither --env_steps nor --episodes is given. Expected '
                       'exactly one of them, e.g. --env_steps=100000.')
    if self.env_steps is not None and self.episodes is not None:
      raise UsageError(
          f'--env_steps is {self.env_steps} and --episodes is {self.episodes}. '
          'Expected exactly one of them, e.g. --env_steps=100000.')
    for name in ('env_steps', 'episodes', 'num_envs'):
      value = getattr(self, name)
      if value is not None and value < 1:
        raise UsageError(f'--{name} is {value}. Expected at least 1.')
    if not 0 <= self.seed < 2**31:
      raise UsageError(f'--seed is {self.seed}. Expected 0 to 2^31 - 1.')
    if self.checkpoint is None:
      for name in ('greedy', 'temperature', 'num_simulations'):
        if getattr(self, name):
          raise UsageError(f'--{name} is about a search, but without a '
                           '--checkpoint the actions are random.')
    if self.temperature is not None:
      if not (self.temperature > 0 and math.isfinite(self.temperature)):
        raise UsageError(f'--temperature is {self.temperature}. Expected a '
                         'number above 0; --greedy is the limit 0.')
      if self.greedy:
        raise UsageError('--greedy and --temperature are both given. Expected '
                         'one of them, or none.')


class Collected(NamedTuple):
  """What a folder holds now."""
  task: TaskSpec
  episodes: int  # whole games
  cut: int  # games that were broken off
  env_steps: int
  returns: np.ndarray  # <float64>[episodes] raw
  stored_bytes: int
  new_env_steps: int  # of this session
  provenance: Mapping[str, Any]


class DataCollection:
  """Episodes that are ready to be collected; everything has been checked."""

  def __init__(self, settings: CollectionSettings):
    """Finds and checks all that is needed, before a game is played.

    Args:
      settings: what is asked for.

    Raises:
      UsageError: an unknown task or setting, or a folder of something else.
      SettingsChangedError: the folder was begun with other settings.
      CheckpointError: there is no checkpoint, or it is damaged.
      IncompatibleDataError: checkpoint or folder do not fit the task.
      DataFileError: the episodes in the folder are damaged.
    """
    self.settings = settings
    self._player: Optional[CheckpointPlayer] = None
    if settings.checkpoint is None:
      self.task = _task_of_settings(settings)
    else:
      self._player = prepare_player(
          settings.checkpoint, settings.task, gin_files=settings.gin_files,
          gin_bindings=settings.gin_bindings,
          num_simulations=settings.num_simulations)
      self.task = self._player.task
      _check_searches(self._player)
    self.provenance = self._describe()
    self.env_steps, self.episodes = self._found()

  @property
  def total(self) -> int:
    """What is asked for, in `unit`."""
    total = self.settings.episodes or self.settings.env_steps
    assert total is not None
    return total

  @property
  def unit(self) -> str:
    return 'env steps' if self.settings.episodes is None else 'episodes'

  @property
  def done(self) -> int:
    """What is there already, in `unit`."""
    return self.env_steps if self.settings.episodes is None else self.episodes

  def run(self, progress: Optional[ProgressFn] = None) -> Collected:
    """Collects what is missing.

    A kill at any moment loses at most the open block of each game, of 200
    steps; the same settings then go on. Games that are open at the end are
    kept as cut ones.

    Args:
      progress: called with what is done, in `unit`; `games` and `return` (mean
        raw one of the last games) are keywords.

    Returns:
      What the folder holds then.

    Raises:
      UsageError: another process collects into this folder.
      StorageError: the disk is full; what was committed is safe.
    """
    before = self.env_steps
    if self.done < self.total:
      with RunLock(self.settings.output), contextlib.ExitStack() as stack:
        self._play(stack, progress)
        # The collector closes the logs, but at the end of this block.
        stack.close()
        write_seal(self.settings.output)
    log = EpisodeLog(self.settings.output, expected_task=self.task)
    returns = log.returns()
    return Collected(self.task, len(returns), log.num_episodes - len(returns),
                     log.env_steps, returns, log.stored_bytes,
                     log.env_steps - before, log.header.provenance)

  def _play(self, stack: contextlib.ExitStack,
            progress: Optional[ProgressFn]) -> None:
    settings = self.settings
    environment = environments.load(
        self.task, num_envs=settings.num_envs, seed=settings.seed,
        training=True, max_episode_steps=_MAX_EPISODE_STEPS)
    stack.callback(environment.close)
    logs = [
        EpisodeLogWriter(settings.output, self.task, self._columns(),
                         writer=slot, provenance=self.provenance)
        for slot in range(settings.num_envs)]
    # Another session draws other actions than the one that it goes on from.
    state = np.random.SeedSequence([settings.seed, self.env_steps])
    policy = self._policy(int(state.generate_state(1)[0]) & 0x7fffffff)
    searching = self._player is not None
    collector = Collector(
        environment, policy, logs, (), self.task.stack,
        # What a random policy says of itself is no search.
        warm_up_policy=None if searching else policy,
        warm_up_steps=0 if searching else 2**62)
    stack.callback(collector.close)
    while self.done < self.total:
      games = collector.collect(settings.num_envs)
      self.env_steps = collector.env_steps
      self.episodes += len(games)
      if progress is not None:
        fields: Dict[str, Any] = {'games': self.episodes}
        if collector.recent_return is not None:
          fields['return'] = collector.recent_return
        progress(self.done, **fields)

  def _columns(self) -> Tuple[str, ...]:
    """A random policy has no search; its columns are declared absent."""
    return ('search', 'root_value') if self._player else ()

  def _policy(self, seed: int) -> tf_policy.TFPolicy:
    if self._player is None:
      return roles.random_policy(self.task, seed)
    time_step_spec, action_spec = roles.acting_specs(self.task)
    policy = PlanningPolicy(
        time_step_spec, action_spec, self._player.model, self._player.planner,
        self.task.stack, greedy=self.settings.greedy,
        noise_fraction=_NOISE_FRACTION, seed=seed)
    policy.temperature.assign(self.settings.temperature or 1.)
    return policy

  def _describe(self) -> Dict[str, Any]:
    """The provenance of the episodes."""
    settings, player = self.settings, self._player
    acting: Dict[str, Any] = {'policy': 'random'}
    if player is not None:
      acting = {
          'policy': 'search', 'greedy': settings.greedy,
          'temperature': None if settings.greedy else (
              settings.temperature or 1.),
          'noise_fraction': 0. if settings.greedy else _NOISE_FRACTION,
          'search': data_provenance.of_planner(player.planner),
          'checkpoint': data_provenance.of_player(player)}
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        'made_by': MADE_BY, 'seed': settings.seed, 'acting': acting,
        'environment': data_provenance.of_environment(
            self.task, settings.num_envs, _MAX_EPISODE_STEPS),
        **data_provenance.of_software(),
        'begun': now.isoformat(timespec='seconds')}

  def _found(self) -> Tuple[int, int]:
    """Environment steps and whole games that the folder has already."""
    output = self.settings.output
    if not os.path.exists(header_path(output)):
      names = _names_in(output)
      if names:
        raise UsageError(
            f'--output is {output}, which holds other things: '
            f'{", ".join(names[:5])}. Expected a new or empty folder, or one '
            'that this command has begun.')
      return 0, 0
    found = read_header(output).provenance
    lasting = {name: value for name, value in self.provenance.items()
               if name not in _OF_A_SESSION}
    phrases = differences(lasting, found)
    if phrases:
      raise SettingsChangedError(
          f'The episodes in {output} were collected otherwise. '
          f'{"; ".join(phrases)}. Expected the same command, with which it '
          'goes on, or another --output.')
    env_steps = games = 0
    # A kill may have left a torn line, which the writer puts right.
    for slot in range(self.settings.num_envs):
      steps, ended = _committed(output, slot)
      env_steps, games = env_steps + steps, games + ended
    return env_steps, games


def _check_searches(player: CheckpointPlayer) -> None:
  """The columns of a collection are those of a search."""
  if isinstance(player.planner, PriorPlanner):
    raise UsageError(
        f'--checkpoint names {player.checkpoint.path}, which was made by '
        'behaviour cloning and plays without search. Expected a model that '
        'searches.')


def _names_in(folder: str) -> List[str]:
  if not os.path.exists(folder):
    return []
  if not os.path.isdir(folder):
    raise UsageError(f'--output is the file {folder}. Expected a folder.')
  # What a session leaves that was killed before its first game.
  return sorted(n for n in os.listdir(folder)
                if n not in ('run.lock', 'run.pid')
                and not n.startswith('dataset.json.'))


def _committed(folder: str, writer: int) -> Tuple[int, int]:
  """Environment steps and whole games of a writer, whatever a kill left."""
  place = os.path.join(folder, str(writer))
  if not os.path.exists(os.path.join(place, block_index.INDEX_NAME)):
    return 0, 0
  entries, _ = block_index.read_index(place)
  ended = sum(entry.end in ('terminal', 'truncated') for entry in entries)
  return (entries[-1].env_steps if entries else 0), ended


def _task_of_settings(settings: CollectionSettings) -> TaskSpec:
  """A task with the frames that the gin files ask for, the paper's if none."""
  get_task(settings.task)  # A misspelt name is the likeliest mistake.
  configuration.parse([_BASE, *settings.gin_files],
                      with_task_macros(settings.task, settings.gin_bindings))
  frames = configuration.resolve(configuration.TaskSettings)
  configuration.resolve(configuration.ExecutionSettings).apply()
  return frames.spec(settings.task)
