"""Task specs, the table of games, and what is said about wrong names."""

import dataclasses
import json
import sys
from unittest import mock

from absl.testing import parameterized
import ale_py
import numpy as np

from xtra_tf import tasks
from xtra_tf.errors import UsageError


class AtariTableTest(parameterized.TestCase):

  def test_action_names_are_the_emulators(self):
    self.assertEqual(tasks.ATARI_ACTIONS,
                     tuple(ale_py.Action(i).name for i in range(18)))

  def test_task_sets_name_known_tasks(self):
    sizes = {name: len(members) for name, members in tasks.TASK_SETS.items()}
    self.assertEqual(sizes, {
        'shooter': 5, 'maze': 5, 'diverse_pretraining': 8,
        'diverse_targets': 5, 'atari_100k': 26, 'flavours': 19, 'tiny': 5})
    for name, members in tasks.TASK_SETS.items():
      if name == 'flavours':  # only the emulator knows those
        members = [tasks.get_task(member).name for member in members]
        self.assertEqual(tuple(members), tasks.TASK_SETS[name])
      else:
        self.assertContainsSubset(members, tasks.task_names())

  def test_scores_give_the_papers_normalised_ones(self):
    # XTRA, table 2: 1742.2 on Assault is 2.925 of the human score.
    task = tasks.get_task('Assault')
    normalised = (1742.2 - task.random_score) / (
        task.human_score - task.random_score)
    self.assertAlmostEqual(normalised, 2.925, places=3)
    self.assertIsNone(tasks.get_task('Pooyan').human_score)

  def test_other_games_come_from_the_emulator(self):
    task = tasks.get_task('Skiing')
    self.assertEqual(task.legal_actions, (0, 3, 4))
    self.assertIsNone(task.human_score)


class GetTaskTest(parameterized.TestCase):

  def test_resolution_colour_and_stack(self):
    self.assertEqual(tasks.get_task('Alien').observation_shape, (96, 96, 3))
    task = tasks.get_task('Alien', resolution=48, grayscale=True, stack=2)
    self.assertEqual(task.observation_shape, (48, 48, 1))
    self.assertEqual(task.stack, 2)

  def test_sticky_actions_are_of_atari_games_only(self):
    self.assertEqual(tasks.get_task('Alien').sticky_actions, 0)
    self.assertEqual(
        tasks.get_task('Alien', sticky_actions=0.25).sticky_actions, 0.25)
    for name in ('tiny:catch', 'gym:CartPole-v1'):
      with self.assertRaisesRegex(UsageError, f'{name} is no Atari game'):
        tasks.get_task(name, sticky_actions=0.25)

  @parameterized.parameters(
      ('alien', 'Did you mean Alien'),
      ('MsPackman', 'Did you mean MsPacman'),
      ('ChopperComand', 'Did you mean ChopperCommand'),
      ('tiny:catsh', 'Did you mean tiny:catch'),
      ('gym:CartPol-v1', 'Did you mean CartPole'),
      ('xyz', 'Known are: '))
  def test_unknown_names_are_answered_with_near_ones(self, name, answer):
    with self.assertRaisesRegex(UsageError, f'Unknown .*{answer}'):
      tasks.get_task(name)

  def test_impossible_sizes_are_refused(self):
    for resolution in (4, 200):
      with self.assertRaisesRegex(UsageError, f'Alien is {resolution}. Expect'):
        tasks.get_task('Alien', resolution=resolution)
    with self.assertRaisesRegex(UsageError, 'stack is 0. Expected at least 1'):
      tasks.get_task('Alien', stack=0)

  def test_without_ale_py_the_table_works_and_the_rest_says_what_is_missing(
      self):
    with mock.patch.dict(sys.modules, {'ale_py': None}):
      self.assertEqual(tasks.get_task('Qbert').legal_actions,
                       (0, 1, 2, 3, 4, 5))
      with self.assertRaisesRegex(UsageError,
                                  r'pip install "xtra-tf\[atari\]".*Qbert'):
        tasks.get_task('Qberts')

  def test_a_gymnasium_task_is_made_of_its_spaces(self):
    task = tasks.get_task('gym:CartPole-v1')
    self.assertEqual(task.family, 'gym')
    self.assertEqual((task.observation_shape, task.observation_dtype),
                     ((4,), 'float32'))
    self.assertEqual((task.num_actions, task.legal_actions), (2, (0, 1)))
    self.assertEqual((task.stack, task.frame_skip, task.clip_reward),
                     (1, 1, False))

  @parameterized.parameters(
      ('gym:Pendulum-v1', 'actions Box.*Expected Discrete'),
      ('gym:FrozenLake-v1', 'observations Discrete.*Expected Discrete actions'),
      ('gym:no_such_module:X-v0', 'no_such_module'))
  def test_gymnasium_environments_that_do_not_fit(self, name, answer):
    with self.assertRaisesRegex(UsageError, answer):
      tasks.get_task(name)

  def test_a_registered_task_is_found_and_keeps_its_name(self):
    spec = dataclasses.replace(tasks.get_task('gym:CartPole-v1'),
                               name='gym:CartPole-v0', stack=3)
    with mock.patch.dict(tasks._registered):
      tasks.register_task(spec)
      tasks.register_task(spec)
      self.assertIs(tasks.get_task('gym:CartPole-v0', stack=4), spec)
      self.assertIn('gym:CartPole-v0', tasks.task_names())
      with self.assertRaisesRegex(UsageError, 'is registered already'):
        tasks.register_task(dataclasses.replace(spec, stack=2))
    self.assertNotIn('gym:CartPole-v0', tasks.task_names())


class TaskSpecTest(parameterized.TestCase):

  def test_families(self):
    self.assertEqual([tasks.get_task(name).family for name in
                      ('Alien', 'tiny:catch', 'gym:CartPole-v1')],
                     ['atari', 'tiny', 'gym'])

  def test_mask_has_the_legal_actions(self):
    mask = tasks.get_task('Freeway').legal_mask()
    self.assertEqual((mask.shape, mask.dtype), ((18,), np.dtype(bool)))
    self.assertEqual(np.flatnonzero(mask).tolist(), [0, 2, 5])

  @parameterized.parameters('Alien', 'Alien-m2-d1', 'tiny:cross',
                            'gym:CartPole-v1')
  def test_json_round_trip(self, name):
    task = tasks.get_task(name)
    text = json.dumps(task.to_json())
    self.assertEqual(tasks.TaskSpec.from_json(json.loads(text)), task)
    self.assertEqual(hash(tasks.TaskSpec.from_json(json.loads(text))),
                     hash(task))

  def test_fingerprint_ignores_scores_only(self):
    task = tasks.get_task('Alien')
    json.dumps(task.fingerprint())
    self.assertEqual(
        dataclasses.replace(task, human_score=1.0).fingerprint(),
        task.fingerprint())
    for field, value in (
        ('name', 'Hero'), ('observation_shape', (96, 96, 1)),
        ('observation_dtype', 'float32'), ('legal_actions', (0, 1)),
        ('stack', 1), ('frame_skip', 2), ('sticky_actions', 0.25),
        ('clip_reward', False), ('codec', 'jpeg')):
      self.assertNotEqual(
          dataclasses.replace(task, **{field: value}).fingerprint(),
          task.fingerprint(), field)

  @parameterized.parameters(
      ('observation_shape', (96, 96), 'positive sizes'),
      ('observation_shape', (96, 0, 3), 'positive sizes'),
      ('observation_dtype', 'int64', 'uint8 or float32'),
      ('legal_actions', (), 'at least one'),
      ('legal_actions', (1, 0), 'ascending'),
      ('legal_actions', (0, 18), r'0\.\.17'),
      ('action_names', ('NOOP',), '18 names'),
      ('frame_skip', 0, 'at least 1'),
      ('sticky_actions', 1.0, '0 <= p < 1'),
      ('codec', 'png', 'lossless or jpeg'))
  def test_impossible_fields_are_refused(self, field, value, expected):
    with self.assertRaisesRegex(
        UsageError, f'TaskSpec Alien: {field} is .*{expected}'):
      dataclasses.replace(tasks.get_task('Alien'), **{field: value})

  def test_codec_is_for_pictures(self):
    self.assertEqual(tasks.get_task('Alien').codec, 'lossless')
    task = tasks.get_task('Alien', codec='jpeg', grayscale=True)
    self.assertEqual(task.codec, 'jpeg')
    with self.assertRaisesRegex(
        UsageError, r"codec is 'jpeg'. Expected lossless: its frames are "
        r'uint8\[10, 10, 10\]'):
      dataclasses.replace(tasks.get_task('tiny:catch'), codec='jpeg')

  def test_descriptions_from_before_codecs_are_lossless(self):
    task = tasks.get_task('Alien')
    self.assertNotIn('codec', task.fingerprint())
    description = task.to_json()
    del description['codec']
    self.assertEqual(tasks.TaskSpec.from_json(description), task)

  def test_a_flavour_is_a_task_of_its_own(self):
    game, flavour = map(tasks.get_task, ('Freeway', 'Freeway-m1-d0'))
    self.assertEqual((flavour.mode, flavour.difficulty), (1, 0))
    self.assertEqual(flavour.legal_actions, game.legal_actions)
    self.assertEqual(flavour.family, 'atari')
    # Published scores are of the game as the emulator starts it.
    self.assertEqual((game.random_score, game.human_score), (0.0, 29.6))
    self.assertIsNone(flavour.random_score)
    self.assertIsNone(flavour.human_score)
    differing = {k for k, v in flavour.fingerprint().items()
                 if game.fingerprint().get(k) != v}
    self.assertEqual(differing, {'name', 'mode', 'difficulty'})

  def test_a_game_as_it_starts_is_described_as_before_there_were_flavours(
      self):
    task = tasks.get_task('Freeway')
    for description in (task.fingerprint(), task.to_json()):
      self.assertNoCommonElements(description, ('mode', 'difficulty'))

  @parameterized.parameters(
      ('Freeway-m1-d0', 'mode', 2, 'mode is 2. Expected 1'),
      ('Freeway-m1-d0', 'difficulty', None, 'difficulty is None. Expected 0'),
      ('Freeway', 'mode', 1, 'mode is 1. Expected None'),
      ('tiny:catch', 'mode', 1, 'mode is 1. Expected None'))
  def test_a_name_says_what_is_played(self, name, field, value, answer):
    with self.assertRaisesRegex(UsageError, f'{answer}, as its name has it'):
      dataclasses.replace(tasks.get_task(name), **{field: value})

  def test_json_of_something_else_is_refused(self):
    description = tasks.get_task('Alien').to_json()
    del description['num_actions']
    description['colour'] = True
    with self.assertRaisesRegex(
        UsageError, r"missing fields \['num_actions'\].*\['colour'\]"):
      tasks.TaskSpec.from_json(description)
