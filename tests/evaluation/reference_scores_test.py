"""Tests of the reference scores and their reader."""

import os

from absl.testing import absltest, parameterized

from xtra_tf import tasks
from xtra_tf.errors import DataFileError, UsageError
from xtra_tf.evaluation import reference_scores


class ReferenceScoresTest(parameterized.TestCase):

  @parameterized.parameters(
      ('xtra_table_1', 'Assault', 'EfficientZero', 1027.1),
      ('xtra_table_2', 'Assault', 'EfficientZero', 1263.1),
      ('efficientzero_published', 'Assault', 'EfficientZero', 1263.1),
      ('xtra_table_1', 'Assault', 'XTRA', 1294.6),
      ('xtra_table_2', 'Assault', 'XTRA', 1742.2),
      ('xtra_table_1', 'DemonAttack', 'XTRA without task weights', 51045.9),
      ('xtra_table_1', 'Carnival', 'Behavioral cloning, zero-shot', 93.75),
      ('xtra_table_2', 'Seaquest', 'MuZero', 208.0),
      ('random_human', 'Pong', 'random', -20.7),
      ('random_human', 'YarsRevenge', 'human', 54576.9))
  def test_printed_numbers(self, table, task, method, value):
    self.assertEqual(reference_scores.score(table, task, method), value)

  def test_a_number_is_printed_once_per_table(self):
    keys = [(r.table, r.group, r.task, r.method, r.statistic)
            for r in reference_scores.read()]
    self.assertLen(set(keys), len(keys))

  def test_every_row_has_a_source(self):
    for row in reference_scores.read():
      self.assertNotEmpty(row.source)
      self.assertNotEmpty(row.protocol)

  def test_same_random_and_human_scores_as_the_tasks(self):
    table = reference_scores.RANDOM_HUMAN
    for game in reference_scores.games(table):
      spec = tasks.get_task(game)
      self.assertEqual(
          (spec.random_score, spec.human_score),
          (reference_scores.score(table, game, 'random'),
           reference_scores.score(table, game, 'human')), msg=game)

  def test_tables_have_the_paper_s_games(self):
    table_1 = reference_scores.XTRA_TABLE_1
    self.assertCountEqual(reference_scores.games(table_1, 'Shooter'),
                          tasks.TASK_SETS['shooter'])
    self.assertCountEqual(reference_scores.games(table_1, 'Maze'),
                          tasks.TASK_SETS['maze'])
    self.assertCountEqual(
        reference_scores.games(reference_scores.XTRA_TABLE_2),
        tasks.TASK_SETS['diverse_targets'])
    self.assertCountEqual(
        reference_scores.games(reference_scores.EFFICIENTZERO_PUBLISHED),
        tasks.TASK_SETS['atari_100k'])

  def test_what_is_not_printed_is_none(self):
    self.assertIsNone(reference_scores.score('random_human', 'Carnival',
                                             'human'))

  def test_unknown_table_names_near_ones(self):
    with self.assertRaisesRegex(UsageError, 'Did you mean xtra_table_1'):
      reference_scores.table('xtra_table1')

  def test_other_columns_are_refused(self):
    path = self.create_tempfile(content='game,score\nPong,1\n').full_path
    with self.assertRaisesRegex(DataFileError, 'expected the columns table, '
                                'group.*found game, score'):
      reference_scores.read(path)

  def test_a_word_instead_of_a_number_names_the_record(self):
    with open(reference_scores.PATH, encoding='utf-8') as file:
      lines = file.read().split('\n')[:3]
    lines[2] = lines[2].replace('7127.7', 'many')
    path = self.create_tempfile(content='\n'.join(lines)).full_path
    with self.assertRaisesRegex(DataFileError, 'record 1: not a reference'):
      reference_scores.read(path)

  def test_file_is_package_data(self):
    self.assertEqual(os.path.basename(reference_scores.PATH),
                     'reference_scores.csv')
    self.assertTrue(os.path.exists(reference_scores.PATH))


if __name__ == '__main__':
  absltest.main()
