"""The page about a set of episodes: complete, self-contained, inert."""

import os
import re

from absl.testing import absltest, parameterized
import numpy as np

from xtra_tf.episodes import EpisodeLogWriter, StepRow
from xtra_tf.evaluation import data_page
from xtra_tf.offline_data import inspection
from xtra_tf.tasks import TaskSpec


def _found(folder, whole=True, shape=(12, 8, 3), dtype='uint8', steps=9):
  task = TaskSpec(name='<b>game</b>', observation_shape=shape,
                  observation_dtype=dtype, num_actions=3,
                  legal_actions=(0, 2), action_names=('NOOP', 'UP', 'FIRE'),
                  random_score=1.5, human_score=30.5)
  writer = EpisodeLogWriter(folder, task, (), provenance={
      'who': '<script>alert(1)</script>'})
  for step in range(steps):
    last = step == steps - 1
    writer.append(StepRow(
        observation=np.full(shape, 20 * step, dtype), action=0, search=None,
        reward=1., raw_reward=4., terminal=whole and step == steps - 2,
        truncated=False, life_loss=False, real=not last, root_value=None,
        bootstrap_value=None, has_search=False, env_step=step))
  writer.end_episode('terminal' if whole else 'cut')
  writer.close()
  return inspection.inspect(folder)


class DataPageTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path

  def page(self, **options):
    found = _found(os.path.join(self.folder, 'data'), **options)
    path = data_page.write(found, os.path.join(self.folder, 'page'))
    self.assertEqual(path, os.path.join(self.folder, 'page', 'index.html'))
    with open(path, encoding='utf-8') as file:
      return file.read()

  def test_everything_is_there(self):
    page = self.page()
    self.assertLen(re.findall('data:image/png', page), 2)
    self.assertLen(re.findall('data:image/gif', page), 1)
    for text in ('that end terminal', 'Mean return of random play', '30.5',
                 'never played: FIRE', 'Column search', 'absent',
                 'nobody knows', 'has no seal'):
      self.assertIn(text, page)

  def test_lines_of_random_and_human_play(self):
    found = _found(os.path.join(self.folder, 'data'))
    near = data_page.returns_figure(found).axes[0].lines
    self.assertEqual([line.get_label() for line in near], [
        'these games, 36.0', 'random play, 1.5 (far to the left)',
        'human play, 30.5 (far to the left)'])
    found = found._replace(returns=np.array([2., 20.]))
    lines = data_page.returns_figure(found).axes[0].lines
    self.assertEqual([list(line.get_xdata()) for line in lines],
                     [[11., 11.], [1.5, 1.5], [30.5, 30.5]])

  @parameterized.parameters(
      ({}, 'nobody knows'), ({'acting': 3, 'policy': [1]}, '[1]'),
      ({'acting': {'policy': 'random'}}, 'random actions'),
      ({'who_acted': 'DQN'}, 'DQN'),
      ({'acting': {'checkpoint': {'run': 'r', 'stage': 's', 'step': 7}}},
       's of r, step 7'))
  def test_who_played(self, provenance, expected):
    self.assertEqual(data_page.who_played(provenance), expected)

  def test_it_is_inert_and_needs_nothing_from_outside(self):
    page = self.page()
    self.assertNotRegex(page, r'<script|<b>game|https?://|src="(?!data:)')
    self.assertIn('&lt;script&gt;', page)

  def test_without_whole_games_and_pictures_it_says_so(self):
    page = self.page(whole=False, shape=(4,), dtype='float32')
    self.assertIn('No game was played to its end', page)
    self.assertIn('The observations are no images', page)
    self.assertIn('break off before', page)


if __name__ == '__main__':
  absltest.main()
