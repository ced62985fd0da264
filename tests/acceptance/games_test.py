"""Acceptance checks 14 and 16: the games are the paper's."""

from absl.testing import absltest, parameterized
import ale_py
import numpy as np
import pytest

from xtra_tf import environments, tasks
from xtra_tf.evaluation import aggregates, reference_scores

_ALL = tuple(range(18))
# The official table of XTRA, config/atari/game_info.json: `action_id` of every
# game, in its order.
MINIMAL_ACTIONS = {
    'Alien': _ALL,
    'Amidar': (0, 1, 2, 3, 4, 5, 10, 11, 12, 13),
    'Assault': (0, 1, 2, 3, 4, 11, 12),
    'Asterix': (0, 2, 3, 4, 5, 6, 7, 8, 9),
    'Atlantis': (0, 1, 11, 12),
    'BankHeist': _ALL,
    'BattleZone': _ALL,
    'BeamRider': (0, 1, 2, 3, 4, 6, 7, 11, 12),
    'Boxing': _ALL,
    'Breakout': (0, 1, 3, 4),
    'Carnival': (0, 1, 3, 4, 11, 12),
    'Centipede': _ALL,
    'ChopperCommand': _ALL,
    'CrazyClimber': (0, 2, 3, 4, 5, 6, 7, 8, 9),
    'DemonAttack': (0, 1, 3, 4, 11, 12),
    'DoubleDunk': _ALL,
    'Enduro': (0, 1, 3, 4, 5, 8, 9, 11, 12),
    'FishingDerby': _ALL,
    'Freeway': (0, 2, 5),
    'Frostbite': _ALL,
    'Gopher': (0, 1, 2, 3, 4, 10, 11, 12),
    'Gravitar': _ALL,
    'Hero': _ALL,
    'IceHockey': _ALL,
    'Jamesbond': _ALL,
    'Kangaroo': _ALL,
    'Krull': _ALL,
    'KungFuMaster': (0, 2, 3, 4, 5, 8, 9, 11, 12, 13, 14, 15, 16, 17),
    'MsPacman': (0, 2, 3, 4, 5, 6, 7, 8, 9),
    'NameThisGame': (0, 1, 3, 4, 11, 12),
    'Phoenix': (0, 1, 3, 4, 5, 11, 12, 13),
    'Pong': (0, 1, 3, 4, 11, 12),
    'Pooyan': (0, 1, 2, 5, 10, 13),
    'PrivateEye': _ALL,
    'Qbert': (0, 1, 2, 3, 4, 5),
    'Riverraid': _ALL,
    'RoadRunner': _ALL,
    'Robotank': _ALL,
    'Seaquest': _ALL,
    'TimePilot': (0, 1, 2, 3, 4, 5, 10, 11, 12, 13),
    'UpNDown': (0, 1, 2, 5, 10, 13),
    'VideoPinball': (0, 1, 2, 3, 4, 5, 10, 11, 12),
    'WizardOfWor': (0, 1, 2, 3, 4, 5, 10, 11, 12, 13),
    'YarsRevenge': _ALL,
    'Zaxxon': _ALL,
}
_EPISODES = 32


class ActionTablesTest(parameterized.TestCase):
  """Check 14: the official action tables, the emulator's and ours are one."""

  def test_14_there_are_45_games(self):
    self.assertLen(MINIMAL_ACTIONS, 45)
    self.assertCountEqual(
        MINIMAL_ACTIONS, [n for n in tasks.task_names() if ':' not in n])

  @parameterized.parameters(*MINIMAL_ACTIONS)
  def test_14_minimal_actions(self, name):
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.loadROM(ale_py.roms.get_rom_path(tasks.atari_rom(name)))
    emulator = tuple(int(a.value) for a in ale.getMinimalActionSet())
    self.assertEqual(emulator, MINIMAL_ACTIONS[name])
    self.assertEqual(tasks.get_task(name).legal_actions, MINIMAL_ACTIONS[name])


def random_returns(name, seed=0):
  """Raw returns of the 32 evaluation games under uniformly random play.

  No frame is looked at, so that the smallest will do.
  """
  task = tasks.get_task(name, resolution=8, grayscale=True)
  environment = environments.load(task, num_envs=_EPISODES, seed=0,
                                  training=False)
  random = np.random.default_rng(seed)
  returns = np.zeros([_EPISODES])
  over = np.zeros([_EPISODES], bool)
  environment.reset()
  while not over.all():
    environment.step(
        random.choice(task.legal_actions, _EPISODES).astype(np.int32))
    info = environment.get_info()
    returns += np.where(over, 0., info.raw_reward)
    over |= info.terminal | info.truncated
  environment.close()
  return returns


@pytest.mark.slow
class RandomPlayTest(parameterized.TestCase):
  """Check 16: random play scores what was published for it.

  Published: the random column of the standard table (dopamine
  labs/atari_100k/normalization_utils.py). How it was played is not said there,
  and it has noise of its own. So the 99 % bootstrap interval of our mean, on
  the scale on which 0 is random and 1 is human and widened by 0.02 at both
  ends, must hold 0.
  """

  # Quick games, of negative, tiny, small and middling random scores.
  @parameterized.parameters('Pong', 'Breakout', 'DemonAttack', 'Assault')
  @pytest.mark.timeout(1800)
  def test_16_random_play(self, name):
    returns = random_returns(name)
    published = {who: reference_scores.score(
        reference_scores.RANDOM_HUMAN, name, who)
                 for who in ('random', 'human')}
    found = aggregates.bootstrap_interval(
        aggregates.human_normalised(returns, **published), np.mean, seed=0,
        confidence=0.99)
    text = f'{name}: mean {returns.mean():.2f}, published {published}, {found}'
    self.assertLess(found.low - 0.02, 0., text)
    self.assertGreater(found.high + 0.02, 0., text)
    # A band that everything fits into would say nothing.
    self.assertLess(found.high - found.low, 0.15, text)


if __name__ == '__main__':
  absltest.main()
