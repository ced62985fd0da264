"""Pictures of a recorded evaluation game, played again from its actions."""

from typing import Callable, Iterator, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.environments import seeding
from xtra_tf.environments.atari import AtariGames
from xtra_tf.environments.emulator_games import EmulatorGame, EmulatorGames
from xtra_tf.environments.game_batch import GameBatch
from xtra_tf.environments.gymnasium_adapter import GymnasiumGames
from xtra_tf.environments.loading import load
from xtra_tf.environments.tiny import TinyGames
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.tasks import TaskSpec

# A picture uint8[H, W, 3] and the raw reward that came with it, None at first.
_Step = Tuple[np.ndarray, Optional[np.float32]]

_MIN_PIXELS = 160  # of an enlarged picture's longer side
# RGB of each plane of a tiny frame; later planes are painted over earlier ones.
_TINY_COLORS = {
    6: (60, 60, 70), 9: (90, 90, 90), 4: (110, 40, 40), 2: (40, 90, 40),
    5: (230, 200, 60), 3: (230, 70, 60), 1: (90, 210, 90), 0: (80, 140, 250)}


def render_game(task: TaskSpec, seed_index: int, actions: Sequence[int],
                raw_rewards: Optional[Sequence[float]] = None) -> np.ndarray:
  """Plays an evaluation game again and keeps what a human would see.

  Args:
    task: as it was evaluated.
    seed_index: number of the evaluation game (`load(..., first_index)`).
    actions: T actions of the family, from the game's start.
    raw_rewards: T raw rewards that were recorded with them, to be compared.

  Returns:
    uint8[T + 1, H, W, 3]: the start and the picture after each action. Atari:
    the emulator's screen, mostly 210 x 160 (the maximum of two frames, as the
    agent sees it, so that nothing flickers). Tiny: the board in colours,
    160 x 160. gymnasium: enlarged observations where they are images, else the
    environment's own picture.

  Raises:
    IncompatibleDataError: another reward than the recorded one, or the game
      ends before the actions do: they belong to another game, seed or version.
    UsageError: what is needed to play or to draw the task is missing.
  """
  return np.stack(list(play_again(task, seed_index, actions, raw_rewards)))


def play_again(task: TaskSpec, seed_index: int, actions: Sequence[int],
               raw_rewards: Optional[Sequence[float]] = None
               ) -> Iterator[np.ndarray]:
  """The pictures of `render_game` one by one, for long games.

  Args:
    task: as of `render_game`, like all the others.
    seed_index: see there.
    actions: see there.
    raw_rewards: see there.

  Returns:
    T + 1 pictures uint8[H, W, 3]; errors as of `render_game` come where they
    are noticed.
  """
  actions = [int(a) for a in actions]
  if raw_rewards is not None and len(raw_rewards) != len(actions):
    raise ValueError('`raw_rewards` must have one entry per action, got '
                     f'{len(raw_rewards)} for {len(actions)} actions.')
  if task.family == 'atari':
    steps = _replay_atari(task, seed_index, actions)
  elif task.family == 'tiny':
    tiny = TinyGames(task, 1)
    steps = _replay(task, tiny, seed_index, actions, tiny_picture)
  elif len(task.observation_shape) == 3:
    images = GymnasiumGames(task, 1)
    steps = _replay(task, images, seed_index, actions, _image_picture)
  else:
    vectors = GymnasiumGames(task, 1, render_mode='rgb_array')
    steps = _replay(task, vectors, seed_index, actions,
                    lambda _: vectors.render(0))
  return _compared(task, seed_index, steps, raw_rewards)


def _compared(task: TaskSpec, seed_index: int, steps: Iterator[_Step],
              raw_rewards: Optional[Sequence[float]]) -> Iterator[np.ndarray]:
  """The pictures of steps whose rewards are the recorded ones."""
  for number, (picture, reward) in enumerate(steps, start=-1):
    if raw_rewards is not None and reward is not None and (
        np.float32(raw_rewards[number]) != reward):
      raise IncompatibleDataError(
          f'{task.name}, evaluation game {seed_index}: replayed step {number} '
          f'gave the raw reward {reward}, recorded is '
          f'{raw_rewards[number]}. Expected the same game: same seeds, '
          'actions, frame skip and emulator version.')
    yield picture


def frame_picture(task: TaskSpec, frame: np.ndarray) -> Optional[np.ndarray]:
  """uint8[H, W, 3] of a stored observation; None of one that is no image."""
  if frame.ndim != 3:
    return None
  return tiny_picture(frame) if task.family == 'tiny' else _image_picture(frame)


def tiny_picture(frame: np.ndarray) -> np.ndarray:
  """uint8[160, 160, 3] of a tiny game's frame uint8[10, 10, 10]."""
  picture = np.zeros([*frame.shape[:2], 3], np.uint8)
  for plane, color in _TINY_COLORS.items():
    picture[frame[..., plane] > 0] = color
  return _enlarged(picture)


def _image_picture(frame: np.ndarray) -> np.ndarray:
  """uint8[H, W, 3] of an image observation with 1, 3 or more channels."""
  if frame.dtype != np.uint8:
    frame = (np.clip(frame, 0, 1) * 255).astype(np.uint8)
  if frame.shape[-1] < 3:
    frame = np.repeat(frame[..., :1], 3, axis=-1)
  return _enlarged(frame[..., :3])


def _enlarged(picture: np.ndarray) -> np.ndarray:
  """Each pixel as a square, so that the picture is large enough to look at."""
  factor = -(-_MIN_PIXELS // max(picture.shape[:2]))
  return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _replay(task: TaskSpec, games: GameBatch, seed_index: int,
            actions: Sequence[int],
            picture: Callable[[np.ndarray], np.ndarray]) -> Iterator[_Step]:
  """Pictures and raw rewards of one game, of a batch of one."""
  slot = np.ones([1], bool)
  try:
    frame, _, _ = games.begin(
        slot, np.array([seeding.evaluation_seed(seed_index, attempt=0)]))
    yield picture(frame[0]), None
    for number, action in enumerate(actions):
      step = games.step(np.array([action], np.int32), ~slot)
      yield picture(step.frames[0]), np.float32(step.raw_reward[0])
      if step.terminal[0] or step.truncated[0]:
        _check_end(task, seed_index, number + 1, len(actions))
  finally:
    games.close()


def _replay_atari(task: TaskSpec, seed_index: int, actions: Sequence[int]
                  ) -> Iterator[_Step]:
  """The same by an emulator of its own, with its full screen."""
  environment = load(task, num_envs=1, seed=0, training=False,
                     first_index=seed_index)
  environment.reset()
  games, seed = environment.games, int(environment.episode_seeds()[0])
  assert isinstance(games, (AtariGames, EmulatorGames))
  noops = int(games.noops[0])
  environment.close()

  game = EmulatorGame(task)
  yield game.begin(seed, noops), None
  for number, action in enumerate(actions):
    picture, reward = game.step(action)
    if game.over:
      _check_end(task, seed_index, number + 1, len(actions))
    yield picture, np.float32(reward)


def _check_end(task: TaskSpec, seed_index: int, played: int,
               actions: int) -> None:
  if played < actions:
    raise IncompatibleDataError(
        f'{task.name}, evaluation game {seed_index}: the game ends after '
        f'{played} of {actions} actions. Expected the actions of this very '
        'game.')
