"""Columns that are laid over the rows of another log."""

from absl.testing import parameterized
import numpy as np

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import DataFileError
from xtra_tf.tasks import TaskSpec

TASK = TaskSpec(name='tiny:fake', observation_shape=(6, 5, 2),
                observation_dtype='uint8', num_actions=4,
                legal_actions=(0, 1, 3), action_names=('N', 'L', 'U', 'R'))


def make_rows(kinds):
  """A letter per row: r real, l life loss, t terminal (all real), 0 not."""
  return [
      StepRow(observation=np.full([6, 5, 2], step, np.uint8),
              action=int(kind in 'rlt'), search=np.ones(4), reward=1.,
              raw_reward=1., terminal=kind == 't', truncated=False,
              life_loss=kind == 'l', real=kind in 'rlt', root_value=0.5,
              bootstrap_value=None, has_search=False, env_step=step)
      for step, kind in enumerate(kinds)]


class OverlayTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.base = self.create_tempdir().full_path
    self.overlay = self.create_tempdir().full_path
    for slot, kinds in ((1, ('rrl0rt0', 'rrrr')), (0, ('rrt0',))):
      writer = EpisodeLogWriter(self.base, TASK, ('search', 'root_value'),
                                writer=slot, block_steps=3)
      for game in kinds:
        for row in make_rows(game):
          writer.append(row)
        writer.end_episode('terminal' if game.endswith('0') else 'cut')
      writer.close()

  def write_overlay(self, change=lambda row: row, skip=()):
    writer = EpisodeLogWriter(
        self.overlay, TASK, ('search', 'root_value', 'bootstrap_value'),
        overlay=True)
    for episode in EpisodeLog(self.base).episodes():
      if episode.number in skip:
        continue
      writer.begin_episode(episode.number)
      self.assertEqual(writer.next_episode, episode.number)
      for index in range(len(episode.real)):
        row = episode.row(index)._replace(
            observation=None, root_value=100. + index, bootstrap_value=-index,
            search=np.full([4], index, np.float32), has_search=True)
        writer.append(change(row))
      writer.end_episode(episode.end)
    writer.close()

  def test_columns_are_those_of_the_overlay(self):
    self.write_overlay()
    base = EpisodeLog(self.base)
    log = base.with_overlay(self.overlay)
    self.assertEqual(base.columns, ('search', 'root_value'))
    self.assertEqual(log.columns, ('search', 'root_value', 'bootstrap_value'))
    for plain, episode in zip(base.episodes(), log.episodes()):
      count = np.arange(len(plain.real))
      np.testing.assert_array_equal(episode.observation, plain.observation)
      np.testing.assert_array_equal(episode.reward, plain.reward)
      np.testing.assert_array_equal(episode.root_value, 100. + count)
      np.testing.assert_array_equal(episode.bootstrap_value, -count)
      np.testing.assert_array_equal(episode.search[:, 2], count)
      self.assertTrue(episode.has_search.all())
      self.assertIsNone(plain.bootstrap_value)
    self.assertEqual(log.num_steps, base.num_steps)
    log.verify()

  def test_episode_numbers_must_ascend(self):
    self.write_overlay()
    writer = EpisodeLogWriter(
        self.overlay, TASK, ('search', 'root_value', 'bootstrap_value'),
        overlay=True)
    with self.assertRaisesRegex(ValueError, 'above 4294967297, got 5'):
      writer.begin_episode(5)

  def test_missing_episode(self):
    self.write_overlay(skip=(2**32,))
    with self.assertRaisesRegex(
        DataFileError, 'expected 3 episodes with 15 rows, found 2 .*'
        'episode 4294967296.*anew'):
      EpisodeLog(self.base).with_overlay(self.overlay)

  def test_other_values(self):
    self.write_overlay(change=lambda row: row._replace(action=3))
    with self.assertRaisesRegex(DataFileError, 'other values of action'):
      EpisodeLog(self.base).with_overlay(self.overlay).verify()

  def test_not_an_overlay(self):
    with self.assertRaisesRegex(DataFileError, 'is no overlay'):
      EpisodeLog(self.base).with_overlay(self.base)
