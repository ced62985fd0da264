"""Replays as the official code saves them, whole and broken."""

import dataclasses
import os
import shutil

from absl.testing import parameterized
import cv2
import numpy as np

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import DataFileError, IncompatibleDataError, UsageError
from xtra_tf.numerics import jpeg_codec
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.importing import import_dataset

LEGAL = (0, 1, 3, 4, 11, 12)  # Pong's minimal set, by ALE's ids
SIZE = 16


@dataclasses.dataclass
class Life:
  """What one life looked like; T actions."""
  frames: np.ndarray  # <uint8>[T + 1, SIZE, SIZE, C]
  actions: np.ndarray
  rewards: np.ndarray
  visits: np.ndarray
  roots: np.ndarray


def play(length, seed, actions=6, channels=3, size=SIZE):
  random = np.random.default_rng(seed)
  visits = random.integers(0, 9, [length, actions]) + np.eye(actions)[0]
  return Life(
      frames=random.integers(0, 256, [length + 1, size, size, channels],
                             np.uint8),
      actions=random.integers(0, actions, [length]),
      rewards=random.integers(-1, 2, [length]).astype(np.float64),
      visits=visits / visits.sum(1, keepdims=True),
      roots=random.normal(size=[length]))


def as_jpeg(frame):
  return cv2.imencode('.jpg', frame)[1].tobytes()


def blocks_of(life, length):
  """The histories of a life, as GameHistory and put_last_trajectory do it."""
  shown = [life.frames[0]] * 4 + list(life.frames[1:])
  begins = range(0, len(life.actions), length)
  histories = []
  for begin in begins:
    end = min(begin + length, len(life.actions))
    histories.append({
        'actions': life.actions[begin:end],
        'obs': [as_jpeg(f) for f in shown[begin:end + 4]],
        'reward': list(life.rewards[begin:end]),
        'visits': list(life.visits[begin:end]),
        'root': list(life.roots[begin:end])})
  whole = [{key: list(value) for key, value in h.items()} for h in histories]
  for history, following in zip(histories, whole[1:]):
    history['obs'] += following['obs'][4:9]
    history['visits'] += following['visits'][4:9]
    history['reward'] += following['reward'][:9]
    history['root'] += following['root'][:10]
  return histories


def write_memory(folder, histories, first=0):
  os.makedirs(folder)
  positions = [(first + i, step) for i, history in enumerate(histories)
               for step in range(len(history['actions']))]
  np.save(os.path.join(folder, 'prior.npy'), np.ones([len(positions)]))
  np.save(os.path.join(folder, 'game_look_up.npy'), np.array(positions))
  np.save(os.path.join(folder, 'utils.npy'),
          np.array([first, len(histories)]))
  for number, history in enumerate(histories):
    os.makedirs(os.path.join(folder, str(number)))
    for key, values in history.items():
      np.save(os.path.join(folder, str(number), f'{key}.npy'),
              np.array(values))


class EfficientZeroReplayTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.source = os.path.join(self.folder, 'PongNoFrameskip-v4', 'seed_0')
    self.output = os.path.join(self.folder, 'data')

  def memory(self, number=0):
    return os.path.join(self.source, 'replay', str(number))

  def path(self, name, history=None):
    parts = [] if history is None else [str(history)]
    return os.path.join(self.memory(), *parts, f'{name}.npy')

  def write(self, lives, length=6, **arguments):
    write_memory(self.memory(), [b for life in lives
                                 for b in blocks_of(life, length)], **arguments)

  def run_import(self, task='Pong', source=None, **arguments):
    return import_dataset(
        open_source('efficientzero', source or self.source, task), self.output,
        **arguments)

  def refused(self, error_type, *texts, **arguments):
    with self.assertRaises(error_type) as caught:
      self.run_import(**arguments)
    for text in texts:
      self.assertIn(text, str(caught.exception))
    self.assertFalse(os.path.exists(self.output))
    self.assertFalse(os.path.exists(self.output + '.partial'))

  def assert_is_life(self, episodes, life, ids):
    """The episodes, joined, are the life."""
    begin = 0
    for episode in episodes:
      length = len(episode.real) - 1
      steps = slice(begin, begin + length)
      np.testing.assert_array_equal(
          episode.observation,
          jpeg_codec.round_trip(life.frames[begin:begin + length + 1]))
      np.testing.assert_array_equal(
          episode.action[:-1], np.array(ids)[life.actions[steps]])
      np.testing.assert_array_equal(episode.reward[:-1], life.rewards[steps])
      np.testing.assert_allclose(episode.root_value[:-1], life.roots[steps],
                                 rtol=1e-6)
      np.testing.assert_allclose(episode.search[:-1][:, list(ids)],
                                 life.visits[steps], rtol=1e-6)
      self.assertAlmostEqual(float(episode.search[:-1].sum()), length, 4)
      np.testing.assert_array_equal(episode.has_search, episode.real)
      np.testing.assert_array_equal(episode.real, [1] * length + [0])
      self.assertFalse(episode.terminal.any() or episode.truncated.any())
      begin += length
    self.assertEqual(begin, len(life.actions))

  @parameterized.parameters((len(LEGAL), LEGAL, 3), (18, tuple(range(18)), 3),
                            (len(LEGAL), LEGAL, 1))
  def test_a_life_comes_back(self, actions, ids, channels):
    life = play(15, 0, actions, channels)
    self.write([life])
    summary = self.run_import()
    episodes = list(EpisodeLog(self.output).episodes())
    self.assertEqual([len(e.real) for e in episodes], [7, 7, 4])
    self.assertEqual((summary.ends['cut'], summary.steps, summary.rows),
                     (3, 15, 18))
    self.assert_is_life(episodes, life, ids)
    # Only the last action of the last block has cost the life.
    lost = np.concatenate([e.life_loss[:-1] for e in episodes])
    np.testing.assert_array_equal(np.flatnonzero(lost), [14])
    np.testing.assert_array_equal(
        np.concatenate([e.env_step[:-1] for e in episodes]), range(15))

  def test_memories_and_lives_in_order(self):
    lives = [play(n, seed=n) for n in (3, 13, 2)]
    self.write(lives[:2], first=40)
    write_memory(self.memory(10), blocks_of(lives[2], 6))
    self.run_import()
    episodes = list(EpisodeLog(self.output).episodes())
    for chosen, life in zip((episodes[:1], episodes[1:4], episodes[4:]),
                            lives):
      self.assert_is_life(chosen, life, LEGAL)

  def test_one_memory_alone(self):
    self.write([play(3, 0)])
    self.assertEqual(self.run_import(source=self.memory()).steps, 3)

  def test_task_and_provenance(self):
    self.write([play(3, 0)])
    self.run_import()
    log = EpisodeLog(self.output)
    self.assertEqual(log.task.observation_shape, (SIZE, SIZE, 3))
    self.assertEqual((log.task.codec, log.task.sticky_actions), ('jpeg', 0.))
    self.assertEqual(log.columns, ('search', 'root_value'))
    self.assertEqual(log.header.provenance['actions'], list(LEGAL))

  # Bad input.

  def test_another_game_by_its_folder(self):
    self.write([play(3, 0)])
    self.refused(IncompatibleDataError, 'data of Pong', 'Expected data of Alie',
                 task='Alien')

  def test_another_game_by_its_number_of_actions(self):
    self.write([play(3, 0, actions=9)])
    self.refused(IncompatibleDataError, self.path('visits', 0), '[3, 9]',
                 '6 or 18')

  def test_another_games_action(self):
    life = play(8, 0)
    life.actions[7] = 6
    self.write([life])
    self.refused(IncompatibleDataError, f'{self.path("actions", 1)}, record 1',
                 'the action is 6')

  def test_mixed_resolutions(self):
    self.write([play(3, 0), play(3, 1, size=24)])
    self.refused(IncompatibleDataError, f'{self.path("obs", 1)}, record 3',
                 '[24, 24, 3], expected [16, 16, 3]')

  def test_mixed_numbers_of_actions(self):
    self.write([play(3, 0), play(3, 1, actions=18)])
    self.refused(IncompatibleDataError, 'different numbers of actions')

  @parameterized.parameters('prior', 'game_look_up', 'utils')
  def test_missing_file_of_a_memory(self, name):
    self.write([play(3, 0)])
    os.unlink(self.path(name))
    self.refused(DataFileError, self.path(name), 'missing')

  @parameterized.parameters('actions', 'obs', 'reward', 'visits', 'root')
  def test_missing_file_of_a_history(self, name):
    self.write([play(8, 0)])
    os.unlink(self.path(name, 1))
    self.refused(DataFileError, self.path(name, 1), 'missing')

  def test_missing_history(self):
    self.write([play(8, 0)])
    shutil.rmtree(os.path.join(self.memory(), '1'))
    self.refused(DataFileError, self.path('actions', 1), 'missing')

  @parameterized.parameters('actions', 'obs', 'reward', 'visits', 'root')
  def test_truncated_anywhere(self, name):
    self.write([play(5, 0)])
    with open(self.path(name, 0), 'rb') as file:
      content = file.read()
    for size in np.linspace(0, len(content) - 1, 12).astype(int):
      with open(self.path(name, 0), 'wb') as file:
        file.write(content[:size])
      self.refused(DataFileError, self.path(name, 0))

  def test_flipped_bits_never_crash(self):
    # A .npy has no checksum: what is possible may be accepted.
    self.write([play(5, 0)])
    random = np.random.default_rng(0)
    for name in ('actions', 'obs', 'reward', 'visits', 'root'):
      with open(self.path(name, 0), 'rb') as file:
        content = file.read()
      for _ in range(12):
        damaged = bytearray(content)
        damaged[random.integers(len(content))] ^= 1 << random.integers(8)
        with open(self.path(name, 0), 'wb') as file:
          file.write(damaged)
        try:
          self.run_import()
          shutil.rmtree(self.output)
        except (DataFileError, IncompatibleDataError) as error:
          self.assertIn(self.source, str(error))
      with open(self.path(name, 0), 'wb') as file:
        file.write(content)

  @parameterized.parameters('actions', 'obs', 'utils')
  def test_hostile_pickle_is_not_run(self, name):
    touched = os.path.join(self.folder, 'touched')

    class Hostile:
      def __reduce__(self):
        return (os.mkdir, (touched,))

    self.write([play(3, 0)])
    path = self.path(name, None if name == 'utils' else 0)
    np.save(path, np.array([Hostile()] * 3, object), allow_pickle=True)
    self.refused(DataFileError, path, 'Nothing of it was run')
    self.assertFalse(os.path.exists(touched))

  @parameterized.parameters(
      ('obs', lambda v: v[:-1], 'Expected 1 axes, 7 to 12 rows'),
      ('reward', lambda v: v[:-1], '3 to 12 rows'),
      ('root', lambda v: np.tile(v, 9), '3 to 13 rows'),
      ('reward', lambda v: v * np.nan, 'record 0: a value is not finite'),
      ('visits', lambda v: -v, 'negative'),
      ('obs', lambda v: np.array([b'x' * 99] * len(v)), 'record 0: the picture '
       'is damaged'))
  def test_impossible_arrays(self, name, change, text):
    self.write([play(3, 0)])
    values = np.load(self.path(name, 0), allow_pickle=False)
    np.save(self.path(name, 0), change(values))
    self.refused(DataFileError, self.path(name, 0), text)

  def test_picture_that_claims_to_be_huge(self):
    self.write([play(3, 0)])
    pictures = list(np.load(self.path('obs', 0), allow_pickle=False))
    data = bytearray(pictures[0])
    place = data.index(b'\xff\xc0') + 5
    data[place:place + 4] = b'\xff\xff\xff\xff'
    pictures[0] = bytes(data)
    np.save(self.path('obs', 0), np.array(pictures))
    self.refused(DataFileError, self.path('obs', 0), 'record 0',
                 '[65535, 65535, 3]', '8 to 512')

  def test_look_up_of_another_memory(self):
    self.write([play(3, 0)])
    np.save(self.path('utils'), np.array([7, 1]))
    self.refused(DataFileError, self.path('game_look_up'), 'in history 7')
    np.save(self.path('prior'), np.ones([9]))
    self.refused(DataFileError, 'has 3 positions, but prior.npy has 9')

  def test_empty_set(self):
    os.makedirs(self.memory())
    np.save(self.path('prior'), np.zeros([0]))
    np.save(self.path('game_look_up'), np.zeros([0]))
    np.save(self.path('utils'), np.array([0, 0]))
    self.refused(DataFileError, self.source, 'the data set is empty')

  def test_no_memories(self):
    os.makedirs(self.source)
    self.refused(DataFileError, self.source, 'no data set here')

  def test_output_that_exists(self):
    self.write([play(3, 0)])
    os.makedirs(self.output)
    with self.assertRaisesRegex(UsageError, 'exists already'):
      self.run_import()
