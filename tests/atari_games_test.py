"""Flavours of games: their names, and what is said about wrong ones."""

import sys
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf import atari_games, tasks
from xtra_tf.errors import UsageError
from xtra_tf.runs import stage_directory


class NameTest(parameterized.TestCase):

  def test_a_name_and_its_parts(self):
    self.assertEqual(atari_games.flavour_of('SpaceInvaders-m12-d1'),
                     ('SpaceInvaders', 12, 1))
    self.assertEqual(atari_games.game_of('SpaceInvaders-m12-d1'),
                     'SpaceInvaders')

  @parameterized.parameters(
      'Freeway', 'tiny:catch', 'gym:CartPole-v1', 'Freeway-m1', 'Freeway-d1',
      'Freeway-m01-d0', 'Freeway-m1-d0-', 'Freeway-m1-d0\n', 'Fréeway-m1-d0',
      'gym:A-m1-d0', 'Freeway-m-1-d0', 'Freeway-d0-m1')
  def test_other_names_are_none_of_a_flavour(self, name):
    self.assertIsNone(atari_games.flavour_of(name))
    self.assertEqual(atari_games.game_of(name), name)

  def test_a_folder_has_the_name_of_its_flavour(self):
    self.assertEqual(stage_directory.folder_name('Freeway-m1-d0'),
                     'Freeway-m1-d0')


class RefusalTest(parameterized.TestCase):

  @parameterized.parameters(
      ('Freeway-m8-d0', 'Freeway has no mode 8. Expected one of its modes '
       '0, 1, 2, 3, 4, 5, 6, 7 and of its difficulties 0, 1'),
      ('Freeway-m1-d2', 'Freeway has no difficulty 2. Expected one of'),
      ('Assault-m0-d1', 'no difficulty 1. .*modes 0 and of its difficulties 0'),
      ('Freeway-m0-d0', 'Freeway as the emulator starts it. Expected that '
       'name, Freeway:'),
      ('DemonAttack-m1-d0', 'Expected that name, DemonAttack:'),
      ('Freeway-m1', "'Freeway-m1'. Expected GAME-mMODE-dDIFFICULTY"),
      ('Freeway-m01-d0', 'Expected GAME-mMODE-dDIFFICULTY'),
      ('Freway-m1-d0', 'Did you mean Freeway'))
  def test_what_no_game_has(self, name, answer):
    for function in (tasks.get_task, tasks.atari_rom):
      if function is tasks.atari_rom and 'Expected GAME' not in answer and (
          'mean' not in answer):
        continue  # a ROM knows nothing of modes
      with self.assertRaisesRegex(UsageError, answer):
        function(name)

  def test_without_ale_py(self):
    with mock.patch.dict(sys.modules, {'ale_py': None}):
      with self.assertRaisesRegex(
          UsageError, r"'Freeway-m1-d0' needs ale-py.*\[atari\]"):
        tasks.get_task('Freeway-m1-d0')

  def test_backgammon_starts_with_a_difficulty_that_is_not_listed(self):
    self.assertEqual(atari_games.modes_and_difficulties('backgammon'),
                     ((0,), (3,)))
    self.assertEqual(tasks.get_task('Backgammon-m0-d3').difficulty, 3)


class StartTest(parameterized.TestCase):

  @parameterized.parameters('freeway', 'demon_attack', 'pooyan', 'battle_zone')
  def test_the_emulator_starts_with_the_first_mode_and_difficulty_0(self, rom):
    # So that a flavour which is the game itself can be told by its numbers.
    modes, difficulties = atari_games.modes_and_difficulties(rom)
    self.assertEqual(difficulties[0], 0)
    plain = self.play(rom, None)
    np.testing.assert_array_equal(self.play(rom, modes[0]), plain)
    if len(modes) > 1:
      others = [self.play(rom, mode) for mode in modes[1:]]
      self.assertTrue(any((other != plain).any() for other in others))

  def play(self, rom, mode):
    emulator = atari_games.new_emulator()
    emulator.setInt('random_seed', 1)
    emulator.loadROM(atari_games.rom_path(rom))
    if mode is not None:
      emulator.setMode(mode)
      emulator.setDifficulty(0)
    emulator.reset_game()
    for number in range(60):
      emulator.act(number % 3)
    return emulator.getRAM()


if __name__ == '__main__':
  absltest.main()
