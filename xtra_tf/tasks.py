"""What a task is, and the tasks that are known by name.

A name has a family: `Alien` (an Atari 2600 game), `tiny:catch` (a tiny task of
`environments/tiny`) or `gym:CartPole-v1` (any gymnasium environment). Actions
are the family's ids everywhere above an environment adapter.
"""

import dataclasses
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from xtra_tf.errors import UsageError, near_names

FAMILIES = ('atari', 'tiny', 'gym')
# What a frame goes through before anyone sees it: nothing, or a JPEG file.
CODECS = ('lossless', 'jpeg')

ATARI_ACTIONS = (
    'NOOP', 'FIRE', 'UP', 'RIGHT', 'LEFT', 'DOWN', 'UPRIGHT', 'UPLEFT',
    'DOWNRIGHT', 'DOWNLEFT', 'UPFIRE', 'RIGHTFIRE', 'LEFTFIRE', 'DOWNFIRE',
    'UPRIGHTFIRE', 'UPLEFTFIRE', 'DOWNRIGHTFIRE', 'DOWNLEFTFIRE')
TINY_ACTIONS = ('NOOP', 'LEFT', 'UP', 'RIGHT', 'DOWN', 'FIRE')

# Minimal action set, mean raw score of random play, of a human. The games are
# those of the official code (XTRA config/atari/game_info.json). Scores are
# dopamine's (atari_100k/normalization_utils.py), and dqn_zoo's (atari_data.py)
# for games outside it; Carnival and Pooyan have none. VideoPinball's random
# score is 16256.9 in dqn_zoo.
_ATARI_GAMES: Dict[str, Tuple[str, Optional[float], Optional[float]]] = {
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

# Named groups of tasks. The first four are those of the XTRA paper, section 4
# and appendix A; `atari_100k` are the 26 games of SimPLe (arXiv 1903.00374).
TASK_SETS: Dict[str, Tuple[str, ...]] = {
    'shooter': ('Assault', 'Carnival', 'Centipede', 'DemonAttack', 'Phoenix'),
    'maze': ('Alien', 'Amidar', 'BankHeist', 'MsPacman', 'WizardOfWor'),
    'diverse_pretraining': (
        'Carnival', 'Centipede', 'Phoenix', 'Pooyan', 'Riverraid',
        'VideoPinball', 'WizardOfWor', 'YarsRevenge'),
    'diverse_targets': ('Assault', 'BattleZone', 'Hero', 'Krull', 'Seaquest'),
    'atari_100k': (
        'Alien', 'Amidar', 'Assault', 'Asterix', 'BankHeist', 'BattleZone',
        'Boxing', 'Breakout', 'ChopperCommand', 'CrazyClimber', 'DemonAttack',
        'Freeway', 'Frostbite', 'Gopher', 'Hero', 'Jamesbond', 'Kangaroo',
        'Krull', 'KungFuMaster', 'MsPacman', 'Pong', 'PrivateEye', 'Qbert',
        'RoadRunner', 'Seaquest', 'UpNDown'),
    'tiny': ('tiny:catch', 'tiny:dodge', 'tiny:collect', 'tiny:paddle',
             'tiny:cross'),
}


@dataclasses.dataclass(frozen=True)
class TaskSpec:
  """One task: what its frames, actions and rewards are like.

  Attributes:
    name: `Alien`, `tiny:catch` or `gym:CartPole-v1`.
    observation_shape: of one frame, [H, W, C], or [D] for a vector.
    observation_dtype: `uint8` (frames, 0..255) or `float32`.
    num_actions: A, actions of the family.
    legal_actions: ids of the actions that this task has, ascending.
    action_names: A names.
    stack: frames that a model sees at once.
    frame_skip: emulator frames per agent step.
    sticky_actions: probability that the previous action is repeated.
    clip_reward: the stored and learned reward is sign(raw reward).
    codec: one of `CODECS`; what is played, stored and learned has been through
      it. `jpeg` is the official code's (`numerics/jpeg_codec.py`).
    random_score: mean raw score of random play, where known.
    human_score: mean raw score of a human, or of a tiny task's scripted player.
  """
  name: str
  observation_shape: Tuple[int, ...]
  observation_dtype: str
  num_actions: int
  legal_actions: Tuple[int, ...]
  action_names: Tuple[str, ...]
  stack: int = 4
  frame_skip: int = 4
  sticky_actions: float = 0.0
  clip_reward: bool = True
  codec: str = 'lossless'
  random_score: Optional[float] = None
  human_score: Optional[float] = None

  def __post_init__(self) -> None:
    # JSON and gin hand over lists; tuples make a spec hashable.
    for field in ('observation_shape', 'legal_actions'):
      values = tuple(int(x) for x in getattr(self, field))
      object.__setattr__(self, field, values)
    object.__setattr__(self, 'action_names', tuple(self.action_names))
    self._check('observation_shape',
                len(self.observation_shape) in (1, 3)
                and min(self.observation_shape) >= 1,
                'positive sizes [H, W, C] or [D]')
    self._check('observation_dtype',
                self.observation_dtype in ('uint8', 'float32'),
                'uint8 or float32')
    legal = self.legal_actions
    self._check('legal_actions',
                legal and legal == tuple(sorted(set(legal))) and legal[0] >= 0
                and legal[-1] < self.num_actions,
                f'ascending ids in 0..{self.num_actions - 1}, at least one')
    self._check('action_names', len(self.action_names) == self.num_actions,
                f'num_actions = {self.num_actions} names')
    self._check('stack', self.stack >= 1, 'at least 1')
    self._check('frame_skip', self.frame_skip >= 1, 'at least 1')
    self._check('sticky_actions', 0 <= self.sticky_actions < 1, '0 <= p < 1')
    self._check('codec', self.codec in CODECS, ' or '.join(CODECS))
    self._check('codec', self.codec == 'lossless' or self._has_pictures(),
                f'lossless: its frames are {self.observation_dtype}'
                f'{list(self.observation_shape)}, no uint8[H, W, 3] or '
                'uint8[H, W, 1]')

  def _check(self, field: str, valid: Any, expected: str) -> None:
    if not valid:
      raise UsageError(f'TaskSpec {self.name}: {field} is '
                       f'{getattr(self, field)!r}. Expected {expected}.')

  def _has_pictures(self) -> bool:
    return (self.observation_dtype == 'uint8'
            and len(self.observation_shape) == 3
            and self.observation_shape[2] in (1, 3))

  @property
  def family(self) -> str:
    """`atari`, `tiny` or `gym`."""
    return family_of(self.name)

  def legal_mask(self) -> np.ndarray:
    """bool[A], true where an action belongs to this task."""
    mask = np.zeros([self.num_actions], bool)
    mask[list(self.legal_actions)] = True
    return mask

  def fingerprint(self) -> Dict[str, Any]:
    """All that must agree between data, model and task; scores need not."""
    description = self.to_json()
    for field in ('random_score', 'human_score', 'action_names'):
      del description[field]
    # Data and models from before there were codecs do not name theirs.
    if self.codec == 'lossless':
      del description['codec']
    return description

  def to_json(self) -> Dict[str, Any]:
    """A dictionary of plain JSON types, for `from_json`."""
    return {key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()}

  @classmethod
  def from_json(cls, description: Dict[str, Any]) -> 'TaskSpec':
    """The spec that `to_json` wrote.

    Raises:
      UsageError: a field is missing, unknown or has an impossible value.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    required = {field.name for field in dataclasses.fields(cls)
                if field.default is dataclasses.MISSING}
    unknown = sorted(set(description) - known)
    missing = sorted(required - set(description))
    if unknown or missing:
      raise UsageError(
          f'Not a TaskSpec: missing fields {missing}, unknown fields '
          f'{unknown}. Expected the fields that TaskSpec.to_json writes: '
          f'{", ".join(sorted(known))}.')
    return cls(**description)


def family_of(name: str) -> str:
  """The family of a task by its name: `atari`, `tiny` or `gym`."""
  prefix, colon, _ = name.partition(':')
  return prefix if colon and prefix in FAMILIES else 'atari'


_registered: Dict[str, TaskSpec] = {}


def register_task(spec: TaskSpec) -> None:
  """Makes `get_task(spec.name)` return a spec; its frames stay as they are.

  Raises:
    UsageError: the name is taken by another spec.
  """
  known = _registered.setdefault(spec.name, spec)
  if known != spec:
    raise UsageError(f'The task {spec.name} is registered already, as another '
                     f'spec: {known}. Expected a name of its own.')


def task_names() -> List[str]:
  """Names that need no other package: registered tasks and 45 Atari games."""
  return sorted([*_registered, *_ATARI_GAMES])


def get_task(name: str, *, resolution: int = 96, grayscale: bool = False,
             stack: int = 4, codec: str = 'lossless',
             sticky_actions: float = 0.) -> TaskSpec:
  """The spec of a task.

  `resolution`, `grayscale`, `stack` and `codec` say how an Atari game is to be
  seen. `stack` holds for the images of a gymnasium environment as well; a
  registered task (the tiny ones are) has frames of its own. Only Atari games
  have sticky actions.

  Args:
    name: see `TaskSpec.name`.
    resolution: pixels a side.
    grayscale: one channel instead of RGB.
    stack: frames that a model sees at once.
    codec: see `TaskSpec.codec`.
    sticky_actions: see `TaskSpec.sticky_actions`.

  Raises:
    UsageError: an unknown name (near ones are offered) or impossible sizes.
  """
  if sticky_actions and (name in _registered or name.startswith('gym:')):
    raise UsageError(f'sticky_actions is {sticky_actions}, but {name} is no '
                     'Atari game. Expected 0.')
  if name in _registered:
    return _registered[name]
  if name.startswith('gym:'):
    return _gym_task(name, stack)
  if ':' in name:
    raise UsageError(f'Unknown task {name!r}. '
                     + near_names(name, _registered))
  # Shrinking only: the area filter of the preprocessing is no magnifier.
  if not 8 <= resolution <= 160:
    raise UsageError(f'The resolution of {name} is {resolution}. Expected 8 to '
                     '160 pixels a side, the width of an Atari screen.')
  _, random_score, human_score = _ATARI_GAMES.get(name, ('', None, None))
  return TaskSpec(
      name=name,
      observation_shape=(resolution, resolution, 1 if grayscale else 3),
      observation_dtype='uint8',
      num_actions=len(ATARI_ACTIONS),
      legal_actions=_atari_legal_actions(name),
      action_names=ATARI_ACTIONS,
      stack=stack, codec=codec, sticky_actions=sticky_actions,
      random_score=random_score, human_score=human_score)


def atari_rom(name: str) -> str:
  """ale-py's id of a game: `ms_pacman` for `MsPacman`.

  Raises:
    UsageError: ale-py is not installed or has no such game.
  """
  try:
    import ale_py
    import gymnasium
  except ImportError as error:
    raise UsageError(
        f'The Atari game {name!r} needs ale-py, which is not installed '
        f'({error}). Expected `pip install "xtra-tf[atari]"`. '
        + near_names(name, task_names())) from error
  gymnasium.register_envs(ale_py)
  roms = {}
  for entry in list(gymnasium.registry.values()):
    if entry.namespace == 'ALE' and entry.version == 5:
      roms[entry.name] = entry.kwargs['game']
  if name not in roms:
    raise UsageError(f'Unknown task {name!r}. '
                     + near_names(name, [*roms, *_registered]))
  return roms[name]


def _ids(ranges: str) -> Tuple[int, ...]:
  """`'0 2-4'` -> (0, 2, 3, 4)."""
  ids: List[int] = []
  for part in ranges.split():
    first, _, last = part.partition('-')
    ids.extend(range(int(first), int(last or first) + 1))
  return tuple(ids)


def _atari_legal_actions(name: str) -> Tuple[int, ...]:
  """A game's minimal action set, from the table or from the emulator."""
  if name in _ATARI_GAMES:
    return _ids(_ATARI_GAMES[name][0])
  rom = atari_rom(name)
  import ale_py
  ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
  ale = ale_py.ALEInterface()
  path = ale_py.roms.get_rom_path(rom)
  assert path is not None  # `rom` comes from ale-py's own list
  ale.loadROM(path)
  return tuple(sorted(int(a.value) for a in ale.getMinimalActionSet()))


def _gym_task(name: str, stack: int) -> TaskSpec:
  """The spec of a gymnasium environment, from its two spaces.

  Rewards stay unclipped, as their unit is unknown; a vector is not stacked.
  """
  import gymnasium
  env_id = name[len('gym:'):]
  try:
    environment = gymnasium.make(env_id)
  except gymnasium.error.UnregisteredEnv as error:
    raise UsageError(f'Unknown gymnasium environment {env_id!r}. '
                     + near_names(env_id, gymnasium.registry)) from error
  except (gymnasium.error.Error, ImportError) as error:
    raise UsageError(f'gymnasium cannot make {env_id!r}: {error}') from error
  observations, actions = (environment.observation_space,
                           environment.action_space)
  environment.close()
  shape = observations.shape or ()
  if not (isinstance(actions, gymnasium.spaces.Discrete)
          and isinstance(observations, gymnasium.spaces.Box)
          and len(shape) in (1, 2, 3)):
    raise UsageError(
        f'{name} has actions {actions} and observations {observations}. '
        'Expected Discrete actions and a Box of 1 to 3 axes.')
  count = int(actions.n.item())
  return TaskSpec(
      name=name,
      observation_shape=(*shape, 1) if len(shape) == 2 else shape,
      observation_dtype=(
          'uint8' if observations.dtype == np.uint8 else 'float32'),
      num_actions=count, legal_actions=tuple(range(count)),
      action_names=tuple(f'ACTION{i}' for i in range(count)),
      stack=1 if len(shape) == 1 else stack, frame_skip=1, clip_reward=False)


def _tiny_task(name: str, legal_actions: Tuple[int, ...], random_score: float,
               scripted_score: float) -> TaskSpec:
  return TaskSpec(
      name=name, observation_shape=(10, 10, 10), observation_dtype='uint8',
      num_actions=len(TINY_ACTIONS), legal_actions=legal_actions,
      action_names=TINY_ACTIONS, stack=1, frame_skip=1,
      random_score=random_score, human_score=scripted_score)


# Scores: mean over the evaluation games 0..31 of uniformly random play and of
# each game's scripted player; a test plays both again.
for _spec in (
    _tiny_task('tiny:catch', (0, 1, 3), -1.75, 5.0),
    _tiny_task('tiny:dodge', (0, 1, 3), -5.0625, 9.0),
    _tiny_task('tiny:collect', (0, 1, 2, 3, 4), 0.375, 7.5625),
    _tiny_task('tiny:paddle', (0, 1, 3), -1.1875, 3.0),
    _tiny_task('tiny:cross', (0, 2, 4, 5), -4.78125, 9.875)):
  register_task(_spec)
