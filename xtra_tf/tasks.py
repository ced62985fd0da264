"""What a task is, and the tasks that are known by name.

A name has a family: `Alien` (an Atari 2600 game; `Alien-m2-d1` in another mode
and difficulty), `tiny:catch` (a tiny task of `environments/tiny`) or
`gym:CartPole-v1` (any gymnasium environment). Actions are the family's ids
everywhere above an environment adapter.
"""

import dataclasses
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from xtra_tf import atari_games
from xtra_tf.errors import UsageError, near_names

FAMILIES = ('atari', 'tiny', 'gym')
# What a frame goes through before anyone sees it: nothing, or a JPEG file.
CODECS = ('lossless', 'jpeg')

ATARI_ACTIONS = (
    'NOOP', 'FIRE', 'UP', 'RIGHT', 'LEFT', 'DOWN', 'UPRIGHT', 'UPLEFT',
    'DOWNRIGHT', 'DOWNLEFT', 'UPFIRE', 'RIGHTFIRE', 'LEFTFIRE', 'DOWNFIRE',
    'UPRIGHTFIRE', 'UPLEFTFIRE', 'DOWNRIGHTFIRE', 'DOWNLEFTFIRE')
TINY_ACTIONS = ('NOOP', 'LEFT', 'UP', 'RIGHT', 'DOWN', 'FIRE')

# Named groups of tasks. The first four are those of the XTRA paper, section 4
# and appendix A; `atari_100k` are the 26 games of SimPLe (arXiv 1903.00374);
# `flavours` are four games, each followed by others of its flavours.
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
    'flavours': (
        'Breakout', 'Breakout-m0-d1', 'Breakout-m4-d0', 'Breakout-m12-d0',
        'Breakout-m16-d0',
        'CrazyClimber', 'CrazyClimber-m1-d0', 'CrazyClimber-m2-d0',
        'CrazyClimber-m3-d0',
        'Freeway', 'Freeway-m0-d1', 'Freeway-m1-d0', 'Freeway-m2-d0',
        'Freeway-m3-d0',
        'SpaceInvaders', 'SpaceInvaders-m0-d1', 'SpaceInvaders-m1-d0',
        'SpaceInvaders-m2-d0', 'SpaceInvaders-m8-d0'),
    'tiny': ('tiny:catch', 'tiny:dodge', 'tiny:collect', 'tiny:paddle',
             'tiny:cross'),
}


@dataclasses.dataclass(frozen=True)
class TaskSpec:
  """One task: what its frames, actions and rewards are like.

  Attributes:
    name: `Alien`, `Alien-m2-d1`, `tiny:catch` or `gym:CartPole-v1`.
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
    mode: of a flavour (see `atari_games`), as its name says; None where the
      emulator's own start is played.
    difficulty: likewise.
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
  mode: Optional[int] = None
  difficulty: Optional[int] = None

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
    flavour = atari_games.flavour_of(self.name)  # None of other families
    for field in ('mode', 'difficulty'):
      value = getattr(flavour, field, None)
      self._check(field, getattr(self, field) == value,
                  f'{value}, as its name has it')

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
    fields = dataclasses.asdict(self)
    # Data and models from before there were flavours do not name theirs.
    for field in ('mode', 'difficulty'):
      if fields[field] is None:
        del fields[field]
    return {key: list(value) if isinstance(value, tuple) else value
            for key, value in fields.items()}

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
  return sorted([*_registered, *atari_games.listed_names()])


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
  flavour = atari_games.flavour_of(name)
  if flavour is not None:
    atari_games.check_flavour(name, flavour, atari_rom(name))
  random_score, human_score = atari_games.published_scores(name)
  return TaskSpec(
      name=name,
      observation_shape=(resolution, resolution, 1 if grayscale else 3),
      observation_dtype='uint8',
      num_actions=len(ATARI_ACTIONS),
      legal_actions=(atari_games.listed_actions(name)
                     or atari_games.minimal_actions(atari_rom(name))),
      action_names=ATARI_ACTIONS,
      stack=stack, codec=codec, sticky_actions=sticky_actions,
      random_score=random_score, human_score=human_score,
      mode=flavour.mode if flavour else None,
      difficulty=flavour.difficulty if flavour else None)


def atari_rom(name: str) -> str:
  """ale-py's id of a game, `ms_pacman` for `MsPacman`; of its flavours, too.

  Raises:
    UsageError: ale-py is not installed or has no such game.
  """
  return atari_games.rom_of(name, _registered)


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
