"""Pictures of a recorded evaluation game, played again from its actions."""

from typing import Callable, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.environments import seeding
from xtra_tf.environments.atari import AtariGames
from xtra_tf.environments.game_batch import GameBatch
from xtra_tf.environments.gymnasium_adapter import GymnasiumGames
from xtra_tf.environments.loading import load
from xtra_tf.environments.tiny import TinyGames
from xtra_tf.errors import IncompatibleDataError
from xtra_tf.tasks import TaskSpec, atari_rom

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
    the emulator's screen, 210 x 160 (the maximum of two frames, as the agent
    sees it, so that nothing flickers). Tiny: the board in colours, 160 x 160.
    gymnasium: enlarged observations where they are images, else the
    environment's own picture.

  Raises:
    IncompatibleDataError: another reward than the recorded one, or the game
      ends before the actions do: they belong to another game, seed or version.
    UsageError: what is needed to play or to draw the task is missing.
  """
  actions = [int(a) for a in actions]
  if raw_rewards is not None and len(raw_rewards) != len(actions):
    raise ValueError('`raw_rewards` must have one entry per action, got '
                     f'{len(raw_rewards)} for {len(actions)} actions.')
  if task.family == 'atari':
    frames, rewards = _replay_atari(task, seed_index, actions)
  elif task.family == 'tiny':
    tiny = TinyGames(task, 1)
    frames, rewards = _replay(task, tiny, seed_index, actions, tiny_picture)
  elif len(task.observation_shape) == 3:
    images = GymnasiumGames(task, 1)
    frames, rewards = _replay(task, images, seed_index, actions, _image_picture)
  else:
    vectors = GymnasiumGames(task, 1, render_mode='rgb_array')
    frames, rewards = _replay(task, vectors, seed_index, actions,
                              lambda _: vectors.render(0))
  if raw_rewards is not None:
    expected = np.asarray(raw_rewards, np.float32)
    for step in np.flatnonzero(expected != rewards)[:1]:
      raise IncompatibleDataError(
          f'{task.name}, evaluation game {seed_index}: replayed step {step} '
          f'gave the raw reward {rewards[step]}, recorded is '
          f'{expected[step]}. Expected the same game: same seeds, actions, '
          'frame skip and emulator version.')
  return frames


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
            picture: Callable[[np.ndarray], np.ndarray]
            ) -> Tuple[np.ndarray, np.ndarray]:
  """Frames and raw rewards of one game, of a batch of one."""
  slot = np.ones([1], bool)
  try:
    frame, _, _ = games.begin(
        slot, np.array([seeding.evaluation_seed(seed_index, attempt=0)]))
    pictures, rewards = [picture(frame[0])], []
    for number, action in enumerate(actions):
      step = games.step(np.array([action], np.int32), ~slot)
      pictures.append(picture(step.frames[0]))
      rewards.append(step.raw_reward[0])
      if step.terminal[0] or step.truncated[0]:
        _check_end(task, seed_index, number + 1, len(actions))
  finally:
    games.close()
  return np.stack(pictures), np.array(rewards, np.float32)


def _replay_atari(task: TaskSpec, seed_index: int, actions: Sequence[int]
                  ) -> Tuple[np.ndarray, np.ndarray]:
  """The same by an emulator of its own, with its full screen."""
  import ale_py
  environment = load(task, num_envs=1, seed=0, training=False,
                     first_index=seed_index)
  environment.reset()
  games, seed = environment.games, int(environment.episode_seeds()[0])
  assert isinstance(games, AtariGames)
  noops = int(games.noops[0])
  environment.close()

  ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
  emulator = ale_py.ALEInterface()
  emulator.setFloat('repeat_action_probability', task.sticky_actions)
  emulator.setInt('random_seed', seed)
  rom = ale_py.roms.get_rom_path(atari_rom(task.name))
  assert rom is not None  # its name comes from ale-py's own list
  emulator.loadROM(rom)
  # Loading has reset the game once already; the vector environment does it
  # again, and some games (Assault) differ between the two.
  emulator.reset_game()
  for _ in range(noops):
    emulator.act(0)
  screen = emulator.getScreenRGB()
  pictures, rewards = [screen], []
  for number, action in enumerate(actions):
    reward = 0
    for _ in range(task.frame_skip):
      before = screen
      reward += emulator.act(action)
      screen = emulator.getScreenRGB()
      if emulator.game_over():
        _check_end(task, seed_index, number + 1, len(actions))
        break
    pictures.append(np.maximum(before, screen))
    rewards.append(reward)
  return np.stack(pictures), np.array(rewards, np.float32)


def _check_end(task: TaskSpec, seed_index: int, played: int,
               actions: int) -> None:
  if played < actions:
    raise IncompatibleDataError(
        f'{task.name}, evaluation game {seed_index}: the game ends after '
        f'{played} of {actions} actions. Expected the actions of this very '
        'game.')
