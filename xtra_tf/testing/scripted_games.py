"""Games whose every step is written down, for tests of what is around them."""

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from xtra_tf.environments.game_batch import GameBatch, GameStep
from xtra_tf.tasks import TaskSpec


class Event(NamedTuple):
  """What one step of a scripted game brings."""
  raw_reward: float = 0.0
  terminal: bool = False
  truncated: bool = False
  lives: int = 3


class ScriptedGames(GameBatch):
  """N games that follow scripts; whatever is played changes nothing.

  Slot i follows `scripts[i]`, from its start in every game. A frame is filled
  with the number of steps taken in the game, so that a test can read from it
  where the game is.

  Attributes:
    actions: list of the <int32>[N] that were played.
    seeds: list of the seeds, one list per call of `begin`.
    refused: seeds that are not accepted.
  """

  def __init__(self, task: TaskSpec, scripts: Sequence[Sequence[Event]],
               lives: int = 3, refused: Sequence[int] = ()):
    self._shape = task.observation_shape
    self._dtype = task.observation_dtype
    self._scripts = [list(script) for script in scripts]
    self._lives = np.full([len(scripts)], lives, np.int32)
    self._time = np.zeros([len(scripts)], np.int64)
    self.actions: List[np.ndarray] = []
    self.seeds: List[List[int]] = []
    self.refused = set(refused)
    self.closed = False

  @property
  def num_games(self) -> int:
    return len(self._scripts)

  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    self.seeds.append([int(seed) for seed in seeds])
    self._time[chosen] = 0
    accepted = np.ones([self.num_games], bool)
    accepted[chosen] = [int(seed) not in self.refused for seed in seeds]
    return self._frames(), self._lives, accepted

  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    self.actions.append(actions.copy())
    events = [script[time] if not resting else Event()
              for script, time, resting in zip(self._scripts, self._time, idle)]
    self._time += 1
    return GameStep(
        self._frames(), np.array([e.raw_reward for e in events], np.float32),
        np.array([e.terminal for e in events]),
        np.array([e.truncated for e in events]),
        np.array([e.lives for e in events], np.int32))

  def close(self) -> None:
    self.closed = True

  def _frames(self) -> np.ndarray:
    frames = np.zeros([self.num_games, *self._shape], self._dtype)
    frames += self._time.reshape([-1] + [1] * len(self._shape)).astype(
        self._dtype)
    return frames
