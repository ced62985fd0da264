"""Plays evaluation games with a model and a planner."""

import copy
import time
from typing import (
  Any,
  Callable,
  Dict,
  List,
  NamedTuple,
  Optional,
  Sequence,
  Tuple,
)

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf import environments
from xtra_tf.evaluation.protocol import EvaluationSettings, search_sizes
from xtra_tf.evaluation.results import Recording, ResultRecord
from xtra_tf.policies import PlanningPolicy, RandomPolicy
from xtra_tf.tasks import TaskSpec

# (games that have ended, live numbers as keywords) -> None
ProgressFn = Callable[..., None]


class EvaluationResult(NamedTuple):
  """What an evaluation has seen; one entry per game, in order of the seeds."""
  seeds: Tuple[int, ...]  # environment seed of each game
  returns: Tuple[float, ...]  # raw undiscounted scores
  lengths: Tuple[int, ...]  # agent steps
  truncated: Tuple[bool, ...]  # the step limit ended the game
  statistics: Dict[str, float]  # means over all searches
  recording: Recording  # the game with the (lower) median return
  searches: int  # states that were searched
  seconds: float  # wall clock, tracing included
  step_limit: int  # agent steps after which a game is truncated

  def record(self, *, run: str, stage: str, task: str, step: int,
             env_steps: int, profile: str = 'fixed',
             codec: str = 'lossless') -> ResultRecord:
    """The line of results.jsonl that tells of this evaluation."""
    return ResultRecord(
        run=run, stage=stage, task=task, step=step, env_steps=env_steps,
        profile=profile, codec=codec, seeds=self.seeds, returns=self.returns,
        lengths=self.lengths, truncated=self.truncated,
        statistics=self.statistics, seconds=round(self.seconds, 3),
        step_limit=self.step_limit)


class _Game:
  """One game while it is played."""

  def __init__(self, index: int, seed: int):
    self.index = index
    self.seed = seed
    self.actions: List[int] = []
    self.raw_rewards: List[float] = []
    self.over = False
    self.truncated = False

  def recording(self) -> Recording:
    return Recording(self.index, tuple(self.actions), tuple(self.raw_rewards),
                     self.truncated)

  @property
  def raw_return(self) -> float:
    return float(np.sum(self.raw_rewards))


class _Means:
  """Running means of the searches' statistics."""

  def __init__(self) -> None:
    self.count = 0
    self._sums: Dict[str, float] = {}

  def add(self, info: Dict[str, Any], rows: int) -> None:
    """Adds the first `rows` rows; the others are padding."""
    self.count += rows
    columns = {'root_value': info['root_value'],
               **info['statistics']._asdict()}
    for name, values in columns.items():
      total = float(np.sum(values.numpy()[:rows], dtype=np.float64))
      self._sums[name] = self._sums.get(name, 0.) + total

  def result(self) -> Dict[str, float]:
    return {name: total / self.count for name, total in self._sums.items()}


class _Player:
  """Plays evaluation games by a policy; see `Evaluator` for the batches."""

  def __init__(self, task: TaskSpec, settings: EvaluationSettings,
               build_policy: Callable[[ts.TimeStep, Any], Any]):
    """Initializes the player; nothing is played or traced yet.

    Args:
      task: what is played.
      settings: the protocol.
      build_policy: (time step spec, action spec) -> a TFPolicy that has
        `restart()`.
    """
    self._task = task
    self._settings = settings
    self._policies = _Policies(build_policy)

  def run(self, progress: Optional[ProgressFn] = None) -> EvaluationResult:
    """Plays all games with the policy's present weights.

    Equal weights give equal results: the policy's seeds start anew.

    Args:
      progress: called after every step with the number of games that have
        ended, and `steps` and `return` (mean of the ended games) as keywords.

    Returns:
      The scores and what the searches were like.
    """
    begun = time.monotonic()
    games: List[_Game] = []
    means = _Means()
    while len(games) < self._settings.episodes:
      count = min(self._settings.batch_size,
                  self._settings.episodes - len(games))
      games.extend(self._play(len(games), count, means, progress, games))
    by_return = sorted(games, key=lambda game: (game.raw_return, game.index))
    return EvaluationResult(
        seeds=tuple(game.seed for game in games),
        returns=tuple(game.raw_return for game in games),
        lengths=tuple(len(game.actions) for game in games),
        truncated=tuple(game.truncated for game in games),
        statistics=means.result(),
        recording=by_return[(len(games) - 1) // 2].recording(),
        searches=means.count, seconds=time.monotonic() - begun,
        step_limit=self._settings.max_episode_steps)

  def _play(self, first_index: int, count: int, means: _Means,
            progress: Optional[ProgressFn], before: List[_Game]
            ) -> List[_Game]:
    """Plays `count` games from evaluation seed `first_index` on."""
    environment = environments.load(
        self._task, num_envs=count, seed=0, training=False,
        max_episode_steps=self._settings.max_episode_steps,
        first_index=first_index, restarts=False)
    try:
      time_step = environment.reset()
      policy, act = self._policies.prepare(environment)
      games = [_Game(first_index + slot, int(seed)) for slot, seed in
               enumerate(environment.episode_seeds())]
      batch = _Batch(np.arange(count), search_sizes(count))
      state = policy.get_initial_state(batch.size)
      actions = np.full([count], self._task.legal_actions[0], np.int32)
      while batch.playing.size:
        step = act(
            _rows(time_step, batch.padded(batch.playing)), state)
        means.add(step.info, batch.playing.size)
        # Slots whose game is over rest, whatever is asked of them.
        chosen = step.action.numpy()[:batch.playing.size]
        actions[batch.playing] = chosen
        time_step = environment.step(actions)
        ended = _note(games, batch.playing, actions, environment.get_info())
        batch, state = batch.without(ended, step.state)
        if progress is not None:
          _report(progress, [*before, *games])
    finally:
      environment.close()
    return games


class Evaluator(_Player):
  """Evaluates a model again and again, e.g. while it is trained.

  Games of one batch are played side by side. Where one ends its row leaves the
  search: the batch shrinks to the next power of two, padded with copies of a
  row that is still playing. Each size is traced once. The game itself rests.
  A game does not depend on those beside it, unless its searches draw between
  equal scores: these draws go by the row.
  """

  def __init__(self, task: TaskSpec, world_model: Any, planner: Any,
               settings: EvaluationSettings, seed: int = 0):
    """Initializes the evaluator; nothing is played or traced yet.

    Args:
      task: what is played.
      world_model: a WorldModel; its weights are read at each run.
      planner: a Planner.
      settings: the protocol.
      seed: decides how the search breaks ties; games do not depend on it.

    Raises:
      IncompatibleDataError: the model does not know the task's actions.
    """
    world_model.check_plays(task.name, task.legal_actions)
    super().__init__(task, settings, lambda time_steps, actions: PlanningPolicy(
        time_steps, actions, world_model, planner, task.stack, greedy=True,
        seed=seed))
    self._world_model = world_model

  def of_task(self, task: TaskSpec) -> 'Evaluator':
    """The same for another task; what is traced serves both.

    Args:
      task: of the same frames and action family.

    Raises:
      IncompatibleDataError: the model does not know the task's actions.
    """
    self._world_model.check_plays(task.name, task.legal_actions)
    other = copy.copy(self)
    other._task = task
    return other


class _Policies:
  """The policy, built when the first environment is there."""

  def __init__(self, build: Callable[[ts.TimeStep, Any], Any]):
    self._build = build
    self._policy: Any = None
    self._act: Any = None

  def prepare(self, environment: Any) -> Tuple[Any, Any]:
    """The policy, its random numbers anew, and its compiled action."""
    if self._policy is None:
      self._policy = self._build(
          tensor_spec.from_spec(environment.time_step_spec()),
          tensor_spec.from_spec(environment.action_spec()))
      self._act = tf.function(self._policy.action, autograph=False)
    self._policy.restart()
    return self._policy, self._act


class _Batch:
  """The slots in the search: those still playing, padded to a traced size.

  Attributes:
    playing: <int64>[P] slots, ascending.
    size: the smallest traced size that they all fit in.
  """

  def __init__(self, playing: np.ndarray, sizes: Tuple[int, ...]):
    self.playing = playing
    self.size = min(size for size in sizes if size >= playing.size)
    self._sizes = sizes

  def padded(self, rows: np.ndarray) -> np.ndarray:
    """<int64>[size], one entry per playing slot, then copies of the first."""
    return np.concatenate([rows, np.full([self.size - rows.size], rows[0])])

  def without(self, ended: np.ndarray, state: Any) -> Tuple['_Batch', Any]:
    """Leaves out slots whose game is over, with the policy's state.

    Args:
      ended: <bool>[P].
      state: nest of tensors [size, ...].

    Returns:
      The smaller batch and its state [new size, ...].
    """
    rows = np.flatnonzero(~ended)
    smaller = _Batch(self.playing[rows], self._sizes)
    if not ended.any() or not rows.size:
      return smaller, state
    kept = smaller.padded(rows)
    return smaller, tf.nest.map_structure(lambda t: tf.gather(t, kept), state)


def _rows(time_step: ts.TimeStep, slots: np.ndarray) -> ts.TimeStep:
  return tf.nest.map_structure(lambda x: tf.constant(x[slots]), time_step)


def _note(games: List[_Game], playing: np.ndarray, actions: np.ndarray,
          info: environments.EpisodeInfo) -> np.ndarray:
  """Writes a step into the games; returns which of `playing` have ended."""
  ended = info.terminal | info.truncated
  for slot in playing:
    game = games[slot]
    game.actions.append(int(actions[slot]))
    game.raw_rewards.append(float(info.raw_reward[slot]))
    game.over, game.truncated = bool(ended[slot]), bool(info.truncated[slot])
  return ended[playing]


def _report(progress: ProgressFn, games: List[_Game]) -> None:
  over = [game.raw_return for game in games if game.over]
  fields = {'steps': float(sum(len(game.actions) for game in games))}
  if over:
    fields['return'] = float(np.mean(over))
  progress(len(over), **fields)


def evaluate(task: TaskSpec, world_model: Any, planner: Any,
             settings: Optional[EvaluationSettings] = None, *, seed: int = 0,
             progress: Optional[ProgressFn] = None) -> EvaluationResult:
  """Evaluates a model once; see `Evaluator`.

  Args:
    task: what is played.
    world_model: a WorldModel.
    planner: a Planner.
    settings: the protocol, that of the paper if not given.
    seed: decides how the search breaks ties; games do not depend on it.
    progress: see `Evaluator.run`.
  """
  evaluator = Evaluator(task, world_model, planner,
                        settings or EvaluationSettings(), seed)
  return evaluator.run(progress)


def play_at_random(task: TaskSpec, settings: EvaluationSettings, *,
                   actions: Optional[Sequence[int]] = None, seed: int = 0,
                   progress: Optional[ProgressFn] = None) -> EvaluationResult:
  """Plays legal actions uniformly at random, by the protocol of evaluations.

  What a model is compared with where its games are shorter than those that
  published scores are of.

  Args:
    task: what is played.
    settings: the protocol.
    actions: ids of those that are played; None: all legal ones.
    seed: of the draws.
    progress: see `Evaluator.run`.

  Returns:
    The scores; nothing was searched, so there are no statistics.
  """
  player = _Player(task, settings,
                   lambda time_steps, action_spec: RandomPolicy(
                       time_steps, action_spec, seed=seed, actions=actions))
  return player.run(progress)._replace(statistics={}, searches=0)
