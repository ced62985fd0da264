"""Atari's games: those of the paper, those of ale-py, and their flavours.

A flavour is a game in another mode or difficulty than the emulator starts it
with: `Freeway-m1-d0` is Freeway in mode 1 at difficulty 0. Both are always
named, and what the emulator starts with has the game's name alone, so that a
task has one name. It consists of letters, digits and `-`: it may be a folder, a
table or a file.
"""

import functools
import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from xtra_tf.errors import UsageError, near_names

# Minimal action set, mean raw score of random play, of a human. The games are
# those of the official code (XTRA config/atari/game_info.json). Scores are
# dopamine's (atari_100k/normalization_utils.py), and dqn_zoo's (atari_data.py)
# for games outside it; Carnival and Pooyan have none. VideoPinball's random
# score is 16256.9 in dqn_zoo.
_GAMES: Dict[str, Tuple[str, Optional[float], Optional[float]]] = {
    'Alien': ('0-17', 227.8, 7127.7),
    'Amidar': ('0-5 10-13', 5.8, 1719.5),
    'Assault': ('0-4 11 12', 222.4, 742.0),
    'Asterix': ('0 2-9', 210.0, 8503.3),
    'Atlantis': ('0 1 11 12', 12850.0, 29028.1),
    'BankHeist': ('0-17', 14.2, 753.1),
    'BattleZone': ('0-17', 2360.0, 37187.5),
    'BeamRider': ('0-4 6 7 11 12', 363.9, 16926.5),
    'Boxing': ('0-17', 0.1, 12.1),
    'Breakout': ('0 1 3 4', 1.7, 30.5),
    'Carnival': ('0 1 3 4 11 12', None, None),
    'Centipede': ('0-17', 2090.9, 12017.0),
    'ChopperCommand': ('0-17', 811.0, 7387.8),
    'CrazyClimber': ('0 2-9', 10780.5, 35829.4),
    'DemonAttack': ('0 1 3 4 11 12', 152.1, 1971.0),
    'DoubleDunk': ('0-17', -18.6, -16.4),
    'Enduro': ('0 1 3-5 8 9 11 12', 0.0, 860.5),
    'FishingDerby': ('0-17', -91.7, -38.7),
    'Freeway': ('0 2 5', 0.0, 29.6),
    'Frostbite': ('0-17', 65.2, 4334.7),
    'Gopher': ('0-4 10-12', 257.6, 2412.5),
    'Gravitar': ('0-17', 173.0, 3351.4),
    'Hero': ('0-17', 1027.0, 30826.4),
    'IceHockey': ('0-17', -11.2, 0.9),
    'Jamesbond': ('0-17', 29.0, 302.8),
    'Kangaroo': ('0-17', 52.0, 3035.0),
    'Krull': ('0-17', 1598.0, 2665.5),
    'KungFuMaster': ('0 2-5 8 9 11-17', 258.5, 22736.3),
    'MsPacman': ('0 2-9', 307.3, 6951.6),
    'NameThisGame': ('0 1 3 4 11 12', 2292.3, 8049.0),
    'Phoenix': ('0 1 3-5 11-13', 761.4, 7242.6),
    'Pong': ('0 1 3 4 11 12', -20.7, 14.6),
    'Pooyan': ('0-2 5 10 13', None, None),
    'PrivateEye': ('0-17', 24.9, 69571.3),
    'Qbert': ('0-5', 163.9, 13455.0),
    'Riverraid': ('0-17', 1338.5, 17118.0),
    'RoadRunner': ('0-17', 11.5, 7845.0),
    'Robotank': ('0-17', 2.2, 11.9),
    'Seaquest': ('0-17', 68.4, 42054.7),
    'TimePilot': ('0-5 10-13', 3568.0, 5229.2),
    'UpNDown': ('0-2 5 10 13', 533.4, 11693.2),
    'VideoPinball': ('0-5 10-12', 0.0, 17667.9),
    'WizardOfWor': ('0-5 10-13', 563.5, 4756.5),
    'YarsRevenge': ('0-17', 3092.9, 54576.9),
    'Zaxxon': ('0-17', 32.5, 9173.3),
}

_FLAVOUR = re.compile(r'(\w+)-m(0|[1-9]\d*)-d(0|[1-9]\d*)', re.ASCII)
# The switches of the console are at 0 until they are set, even in Backgammon,
# for which ale-py lists 3 alone. The mode is the first one of its list.
_FIRST_DIFFICULTY = 0


class Flavour(NamedTuple):
  """What the name of a flavour says."""
  game: str  # e.g. `Freeway`
  mode: int  # the game's number on the console, as ale-py counts
  difficulty: int  # of the console's switches


def flavour_of(name: str) -> Optional[Flavour]:
  """The parts of a flavour's name; None of any other name."""
  match = _FLAVOUR.fullmatch(name)
  if match is None:
    return None
  return Flavour(match[1], int(match[2]), int(match[3]))


def game_of(name: str) -> str:
  """`Freeway` for `Freeway-m1-d0`; any other name as it is."""
  flavour = flavour_of(name)
  return name if flavour is None else flavour.game


def listed_names() -> List[str]:
  """The 45 games that need no emulator to be known."""
  return list(_GAMES)


def listed_actions(name: str) -> Optional[Tuple[int, ...]]:
  """A listed game's minimal action set, ascending ids, or that of a flavour."""
  game = game_of(name)
  return _ids(_GAMES[game][0]) if game in _GAMES else None


def published_scores(name: str) -> Tuple[Optional[float], Optional[float]]:
  """Mean raw scores of random play and of a human, None where unknown.

  They are of games as the emulator starts them: flavours have none.
  """
  _, random_score, human_score = _GAMES.get(name, ('', None, None))
  return random_score, human_score


def rom_of(name: str, other_names: Iterable[str] = ()) -> str:
  """ale-py's id of a game, `ms_pacman` for `MsPacman`; of its flavours, too.

  Args:
    name: of a game or a flavour.
    other_names: what else the user may have meant.

  Raises:
    UsageError: ale-py is not installed or has no such game.
  """
  game, dash, _ = name.partition('-')
  if dash and flavour_of(name) is None:
    raise UsageError(f'Unknown task {name!r}. Expected GAME-mMODE-dDIFFICULTY '
                     'for a game in another mode, e.g. Freeway-m1-d0.')
  try:
    roms = installed_roms()
  except ImportError as error:
    # Where it is no game at all, another name was meant.
    hint = ('' if game in _GAMES
            else ' ' + near_names(game, [*other_names, *_GAMES]))
    raise UsageError(
        f'The Atari game {name!r} needs ale-py, which is not installed '
        f'({error}). Expected `pip install "xtra-tf[atari]"`.{hint}'
        ) from error
  if game not in roms:
    raise UsageError(f'Unknown task {name!r}. '
                     + near_names(game, [*roms, *other_names]))
  return roms[game]


def installed_roms() -> Dict[str, str]:
  """{name of a game: ale-py's id of it}, e.g. `ms_pacman` for `MsPacman`.

  Raises:
    ImportError: ale-py is not installed.
  """
  import ale_py
  import gymnasium
  gymnasium.register_envs(ale_py)
  return {entry.name: entry.kwargs['game']
          for entry in list(gymnasium.registry.values())
          if entry.namespace == 'ALE' and entry.version == 5}


def rom_path(rom: str) -> str:
  """The file of one of the `installed_roms`, by its id."""
  import ale_py
  path = ale_py.roms.get_rom_path(rom)
  assert path is not None  # the id comes from ale-py's own list
  return str(path)


def new_emulator() -> Any:
  """An ale_py.ALEInterface that keeps its banner and its warnings to itself."""
  import ale_py
  ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
  return ale_py.ALEInterface()


@functools.lru_cache(maxsize=None)
def minimal_actions(rom: str) -> Tuple[int, ...]:
  """Ids of the actions that do something in a game, ascending."""
  return tuple(sorted(int(action.value) for action
                      in _loaded(rom).getMinimalActionSet()))


@functools.lru_cache(maxsize=None)
def modes_and_difficulties(rom: str) -> Tuple[Tuple[int, ...],
                                              Tuple[int, ...]]:
  """The modes (for one player) and the difficulties that a ROM has."""
  emulator = _loaded(rom)
  return (tuple(map(int, emulator.getAvailableModes())),
          tuple(map(int, emulator.getAvailableDifficulties())))


def check_flavour(name: str, flavour: Flavour, rom: str) -> None:
  """Refuses a flavour that a game does not have.

  Args:
    name: of the task.
    flavour: its parts.
    rom: ale-py's id of the game.

  Raises:
    UsageError: the ROM has no such mode or difficulty, or the emulator starts
      with both of them anyway.
  """
  modes, difficulties = modes_and_difficulties(rom)
  for what, value, known in (('mode', flavour.mode, modes),
                             ('difficulty', flavour.difficulty, difficulties)):
    if value not in known:
      raise UsageError(
          f'Unknown task {name!r}: {flavour.game} has no {what} {value}. '
          f'Expected one of its modes {_listed(modes)} and of its difficulties '
          f'{_listed(difficulties)}.')
  if (flavour.mode, flavour.difficulty) == (modes[0], _FIRST_DIFFICULTY):
    raise UsageError(
        f'{name} is {flavour.game} as the emulator starts it. Expected that '
        f'name, {flavour.game}: a task has one name, in data and in runs.')


def name_of(game: str, mode: Optional[int], difficulty: Optional[int]) -> str:
  """The task of a game whose mode or difficulty were set by their numbers.

  Args:
    game: as ale-py names it.
    mode: None for the one that the emulator starts with.
    difficulty: likewise.

  Returns:
    The game's own name or that of a flavour, whether there is one or not.

  Raises:
    TypeError: a mode or difficulty is no integer.
    UsageError: ale-py has no such game, or is needed and not installed.
  """
  for number in (mode, difficulty):
    if number is not None and type(number) is not int:
      raise TypeError(f'the mode or difficulty {number!r}')
  if mode is None and difficulty is None:
    return game
  first_mode = modes_and_difficulties(rom_of(game))[0][0]
  mode = first_mode if mode is None else mode
  difficulty = _FIRST_DIFFICULTY if difficulty is None else difficulty
  if (mode, difficulty) == (first_mode, _FIRST_DIFFICULTY):
    return game
  return f'{game}-m{mode}-d{difficulty}'


def _listed(numbers: Tuple[int, ...]) -> str:
  return ', '.join(map(str, numbers))


def _loaded(rom: str) -> Any:
  emulator = new_emulator()
  emulator.loadROM(rom_path(rom))
  return emulator


def _ids(ranges: str) -> Tuple[int, ...]:
  """`'0 2-4'` -> (0, 2, 3, 4)."""
  ids: List[int] = []
  for part in ranges.split():
    first, _, last = part.partition('-')
    ids.extend(range(int(first), int(last or first) + 1))
  return tuple(ids)
