"""From a task to its environments."""

from xtra_tf.environments import seeding
from xtra_tf.environments.atari import AtariGames
from xtra_tf.environments.emulator_games import EmulatorGames
from xtra_tf.environments.game_batch import GameBatch
from xtra_tf.environments.game_environment import GameEnvironment
from xtra_tf.environments.gymnasium_adapter import GymnasiumGames
from xtra_tf.environments.tiny import TinyGames
from xtra_tf.errors import UsageError
from xtra_tf.tasks import TaskSpec


def load(task: TaskSpec, *, num_envs: int, seed: int, training: bool,
         max_episode_steps: int = 27_000, first_index: int = 0,
         restarts: bool = True) -> GameEnvironment:
  """Environments that play one task, batched.

  In training, slot i plays games 0, 1, ... of its own, with seeds that are a
  function of `seed`, slot and game, and a lost life ends an episode. Otherwise
  slot i plays the evaluation games first_index + i, first_index + i + N, ...,
  whole and with the same seeds in every run.

  Args:
    task: what to play.
    num_envs: N, games played at once.
    seed: of the run; evaluation games do not depend on it.
    training: see above.
    max_episode_steps: agent steps after which a game is truncated; the default
      is 108 000 emulator frames.
    first_index: index of the first evaluation game.
    restarts: a slot whose game is over plays the next one; False, for
      evaluations: it rests, and costs nothing any more.

  Raises:
    UsageError: what is needed to play the task is not installed, or the numbers
      are impossible.
  """
  for name, value, least in (('num_envs', num_envs, 1), ('seed', seed, 0),
                             ('max_episode_steps', max_episode_steps, 1),
                             ('first_index', first_index, 0)):
    if value < least:
      raise UsageError(f'environments.load({task.name}): {name} is {value}. '
                       f'Expected at least {least}.')

  def training_seed(slot: int, episode: int, attempt: int) -> int:
    return seeding.episode_seed(seed, slot, episode, attempt)

  def evaluation_seed(slot: int, episode: int, attempt: int) -> int:
    index = first_index + slot + num_envs * episode
    return seeding.evaluation_seed(index, attempt)

  return GameEnvironment(
      task, load_games(task, num_envs, separate=not restarts),
      training_seed if training else evaluation_seed,
      life_loss_ends=training, max_episode_steps=max_episode_steps,
      restarts=restarts)


def load_games(task: TaskSpec, num_games: int,
               separate: bool = False) -> GameBatch:
  """The games of a task without time steps; see `load`.

  Args:
    task: what to play.
    num_games: N.
    separate: games whose slot is idle must not go on by themselves.
  """
  if task.family == 'tiny':
    return TinyGames(task, num_games)
  if task.family == 'gym':
    return GymnasiumGames(task, num_games)
  if task.mode is not None:
    return EmulatorGames(task, num_games)
  return AtariGames(task, num_games, separate)
