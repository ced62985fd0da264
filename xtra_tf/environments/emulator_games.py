"""Atari games in any mode and difficulty, by one emulator each.

ale-py's vector environment takes neither mode nor difficulty. Here is the same
preprocessing (`atari`) over its single emulator: from a seed and actions come
the no-ops, frames, rewards and lives that the vector environment would give.
"""

from typing import List, Tuple

import numpy as np

from xtra_tf import atari_games
from xtra_tf.environments.atari import check_frames, drawn_noops
from xtra_tf.environments.game_batch import GameBatch, GameStep
from xtra_tf.numerics import frame_conversion
from xtra_tf.tasks import TaskSpec, atari_rom

_NOOP = 0


class EmulatorGame:
  """One game on an emulator of its own, with the screen as it is."""

  def __init__(self, task: TaskSpec, grayscale: bool = False):
    """Initializes the emulator; `begin` starts a game.

    Args:
      task: an Atari task; its mode and difficulty are played.
      grayscale: the screen has one channel instead of RGB.

    Raises:
      UsageError: ale-py is not installed or has no such game.
    """
    self._task = task
    self._rom = atari_games.rom_path(atari_rom(task.name))
    self._grayscale = grayscale
    self._ale = atari_games.new_emulator()

  @property
  def lives(self) -> int:
    return int(self._ale.lives())

  @property
  def over(self) -> bool:
    return bool(self._ale.game_over())

  def begin(self, seed: int, noops: int) -> np.ndarray:
    """Starts a game that depends on nothing that was played before.

    Args:
      seed: of the emulator, 0..2^31 - 1.
      noops: emulator frames without action at the start.

    Returns:
      uint8[H, 160, C], the screen after the no-ops; H is 210 in most games.
    """
    self._ale.setFloat('repeat_action_probability', self._task.sticky_actions)
    self._ale.setInt('random_seed', seed)
    # Seeds count when a ROM is loaded, and loading forgets mode and difficulty.
    self._ale.loadROM(self._rom)
    if self._task.mode is not None:
      self._ale.setMode(self._task.mode)
      self._ale.setDifficulty(self._task.difficulty)
    # Loading has reset the game once already; the vector environment does it
    # again, and some games (Assault) differ between the two.
    self._ale.reset_game()
    for _ in range(noops):
      self._ale.act(_NOOP)
    return self._screen()

  def step(self, action: int) -> Tuple[np.ndarray, float]:
    """Repeats an action for the task's frame skip, or until the game is over.

    Args:
      action: id of the family.

    Returns:
      uint8[H, 160, C], the pixelwise maximum of the last two frames, and the
      sum of the raw rewards.
    """
    reward = 0.
    screens: List[np.ndarray] = []
    for frame in range(self._task.frame_skip):
      reward += self._ale.act(action)
      over = self.over
      if over or frame >= self._task.frame_skip - 2:
        screens.append(self._screen())
      if over:
        break
    return np.maximum(screens[0], screens[-1]), reward

  def _screen(self) -> np.ndarray:
    if self._grayscale:
      grey: np.ndarray = self._ale.getScreenGrayscale()
      return grey[..., None]
    rgb: np.ndarray = self._ale.getScreenRGB()
    return rgb


class EmulatorGames(GameBatch):
  """N games of one ROM in the task's mode and difficulty, one after the other.

  An emulator of ale-py keeps Python's lock while it plays and draws, so that
  threads could do nothing at the same time but resize. Idle slots rest.
  """

  def __init__(self, task: TaskSpec, num_games: int):
    """Initializes the emulators.

    Args:
      task: an Atari task; frames [H, W, 3] in RGB or [H, W, 1] in grey.
      num_games: N.

    Raises:
      UsageError: ale-py is missing, or the task is not one of Atari.
    """
    check_frames(task)
    self._shape = task.observation_shape
    self._games = [EmulatorGame(task, grayscale=self._shape[2] == 1)
                   for _ in range(num_games)]
    self._frames = np.zeros([num_games, *self._shape], np.uint8)
    self._lives = np.zeros([num_games], np.int32)
    self._noops = np.zeros([num_games], np.int32)

  @property
  def num_games(self) -> int:
    return len(self._games)

  @property
  def noops(self) -> np.ndarray:
    """<int32>[N], emulator frames of no-op with which each game began."""
    return self._noops.copy()

  def begin(self, chosen: np.ndarray,
            seeds: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    for slot, seed in zip(np.flatnonzero(chosen), seeds):
      self._noops[slot] = drawn_noops(int(seed))
      # A refused start costs no loading of the ROM.
      if self._noops[slot]:
        screen = self._games[slot].begin(int(seed), int(self._noops[slot]))
        self._keep(slot, screen)
    return self._frames.copy(), self._lives.copy(), self._noops > 0

  def step(self, actions: np.ndarray, idle: np.ndarray) -> GameStep:
    reward = np.zeros([self.num_games], np.float32)
    terminal = np.zeros([self.num_games], bool)
    for slot in np.flatnonzero(~idle):
      game = self._games[slot]
      screen, reward[slot] = game.step(int(actions[slot]))
      terminal[slot] = game.over
      self._keep(slot, screen)
    return GameStep(self._frames.copy(), reward, terminal,
                    np.zeros([self.num_games], bool), self._lives.copy())

  def _keep(self, slot: int, screen: np.ndarray) -> None:
    self._frames[slot] = frame_conversion.convert_frame(screen, self._shape)
    self._lives[slot] = self._games[slot].lives
