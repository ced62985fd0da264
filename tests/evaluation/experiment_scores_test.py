"""What scores, curves and tables of an experiment say, on small results."""

import dataclasses
import os

from absl.testing import absltest, parameterized
import numpy as np

from tests.evaluation import synthetic_experiment as synthetic
from xtra_tf.evaluation import (
  experiment_curves,
  experiment_tables,
  experiment_text,
  heat_maps,
  paper_comparison,
  reference_scores,
)
from xtra_tf.evaluation.experiment_records import (
  ExperimentResult,
  RunCost,
  RunKey,
)
from xtra_tf.evaluation.experiment_results import ExperimentResults
from xtra_tf.evaluation.experiment_runs import read_experiment
from xtra_tf.evaluation.experiment_scores import Scores
from xtra_tf.evaluation.experiment_statistics import Draws

_DRAWS = Draws(resamples=1000)


class ScoresTestCase(parameterized.TestCase):

  def scores(self, values, curves=None, others=None, inherited=None,
             targets=None):
    """An experiment with these scores.

    Args:
      values: {method: {target: [score of each seed; None: not run]}}.
      curves: {(method, target): [{env_steps: score} of each seed]}.
      others: {(method, target): [(stage, task, [score of each seed])]}.
      inherited: {method: [{stage: hash} of each seed]}.
      targets: {target: sources}; no sources if not given.
    """
    names = list(dict.fromkeys(t for of in values.values() for t in of))
    seeds = max(len(x) for of in values.values() for x in of.values())
    folder = ExperimentResults(os.path.join(
        self.create_tempdir().full_path, 'results'))
    folder.begin(synthetic.record(
        tuple(values), targets or dict.fromkeys(names, ()), range(seeds)))
    for method, by_target in values.items():
      stage = synthetic.METHODS[method][1]
      for target, scores in by_target.items():
        for seed, score in enumerate(scores):
          if score is None:
            continue
          key = RunKey(method, target, seed)
          points = {4000: score}
          if curves and (method, target) in curves:
            points.update(curves[method, target][seed])
          for step, value in points.items():
            folder.append_result(ExperimentResult(
                *key, step == max(points), synthetic.evaluation(
                    key, stage, target, step, [value - 1., value + 1.])))
          for other, task, found in (others or {}).get((method, target), ()):
            folder.append_result(ExperimentResult(
                *key, False, synthetic.evaluation(
                    key, other, task, 0, [found[seed]])))
          folder.append_cost(RunCost(
              *key, {stage: 60.}, 1200, 4000,
              inherited[method][seed] if inherited and method in inherited
              else {}))
    return Scores(read_experiment([folder.path]), _DRAWS)

  def row(self, table, **cells):
    """The row of a table with these cells, as {column: cell}."""
    rows = [dict(zip(table.columns, row)) for row in table.rows]
    (found,) = [row for row in rows
                if all(row[name] == value for name, value in cells.items())]
    return found


class TargetScoresTest(ScoresTestCase):

  def test_equal_scores_improve_by_one(self):
    scores = self.scores({
        'efficientzero': {'Assault': [700., 800., 900.]},
        'xtra': {'Assault': [900., 700., 800.]}})
    row = self.row(experiment_tables.results(scores), Method='XTRA')
    self.assertEqual(row['Improvement'], '1.00')
    self.assertEqual(row['Runs'], '3 of 3')
    self.assertEqual(row['95 % interval over runs'], '700.0 to 900.0')
    self.assertEqual(row['Paper'], '1,294.6')  # of table 1
    improvement, _ = scores.aggregate(
        scores.experiment.methods[1]).improvement
    self.assertEqual(improvement.estimate, 1.)

  def test_the_order_of_seeds_changes_nothing(self):
    tables = [experiment_tables.improvements(self.scores({
        'efficientzero': {'Assault': [700., 750., 900.]},
        'xtra': {'Assault': order}})) for order in (
            [900., 1000., 1100.], [1100., 900., 1000.])]
    self.assertEqual(*tables)

  def test_two_runs_have_no_interval(self):
    scores = self.scores({
        'efficientzero': {'Assault': [700., 750., 900.]},
        'xtra': {'Assault': [800., None, 900.]}})
    row = self.row(experiment_tables.results(scores), Method='XTRA')
    self.assertEqual(row['Runs'], '2 of 3')
    self.assertEqual(row['95 % interval over runs'], '2 runs, no interval')
    self.assertEqual(row['Minus EfficientZero (95 % interval)'], '–')
    self.assertEqual(
        self.row(experiment_tables.improvements(scores),
                 Method='XTRA')['Mean improvement'], '1.09')
    self.assertIn('Assault lacks seed 1', experiment_text.left_out(scores)[0])

  def test_a_shared_model_is_one_model(self):
    scores = self.scores(
        {'zero_shot': {'Assault': [80., 80., 80.]}},
        inherited={'zero_shot': [{'student': 'abc'}] * 3})
    row = self.row(experiment_tables.results(scores), Target='Assault')
    self.assertEqual(row['95 % interval over runs'], '1 model, no interval')
    self.assertIn('take over the same student', ' '.join(
        experiment_text.cautions(scores, [])))

  def test_a_baseline_of_zero_makes_no_ratio(self):
    scores = self.scores({'efficientzero': {'Freeway': [0., 0., 0.]},
                          'xtra': {'Freeway': [3., 4., 5.]}})
    row = self.row(experiment_tables.results(scores), Method='XTRA')
    self.assertEqual(row['Improvement'], '–')
    self.assertEqual(row['Minus EfficientZero (95 % interval)'],
                     '+4.0 (3.0 to 5.0)')
    self.assertIn('no improvement can be', ' '.join(
        experiment_text.cautions(scores, [])))

  def test_only_seeds_of_all_targets_count_and_the_others_are_told(self):
    scores = self.scores({'efficientzero': {
        'Assault': [700., 750., 900., 800.],
        'Phoenix': [700., None, 900., 800.]}})
    (method,) = scores.experiment.methods
    found = scores.aggregate(method)
    self.assertEqual(found.seeds, (0, 2, 3))
    self.assertEqual(found.missing, ('seed 1 of Assault left out',
                                     'Phoenix lacks seed 1'))

  def test_headline_says_whether_the_interval_holds_zero(self):
    base = {'Assault': [700., 710., 720.]}
    for xtra, words in (([650., 715., 800.], 'do not tell the two apart'),
                        ([950., 915., 900.], 'which does not hold 0')):
      scores = self.scores({'efficientzero': base, 'xtra': {'Assault': xtra}})
      self.assertIn(words, ' '.join(experiment_text.headline(scores)))

  def test_games_of_unequal_number_are_told(self):
    scores = self.scores({'efficientzero': {'Assault': [1., 2., 3.]}})
    folder = ExperimentResults(scores.experiment.paths[0])
    key = RunKey('efficientzero', 'Phoenix', 0)
    record = synthetic.record(('efficientzero',), {'Assault': (),
                                                   'Phoenix': ()})
    folder.begin(record)
    folder.append_result(ExperimentResult(*key, True, synthetic.evaluation(
        key, 'scratch', 'Phoenix', 4000, [1.] * 5)))
    scores = Scores(read_experiment(scores.experiment.paths), _DRAWS)
    self.assertIn('The judged evaluations differ in length: 2 and 5 games.',
                  experiment_text.cautions(scores, []))


class PaperTest(ScoresTestCase):

  def test_ours_stand_below_the_printed_ones(self):
    printed = {method: {game: [reference_scores.score(
        'xtra_table_1', game, name)] * 3 for game in ('Assault', 'Phoenix')}
               for method, name in (('efficientzero', 'EfficientZero'),
                                    ('xtra', 'XTRA'))}
    scores = self.scores(printed)
    table = paper_comparison.beside_paper(scores, 'xtra_table_1')
    for game in printed['xtra']:
      paper, ours = (self.row(table, Game=game, Whose=whose)
                     for whose in ('paper', 'ours, n = 3'))
      for name in ('EfficientZero', 'XTRA'):
        self.assertEqual(paper[name], ours[name])
      self.assertEqual(ours['EfficientZero-L'], '–')
    # Equal scores make equal aggregates over the games that were run.
    paper, ours = (self.row(
        table, Category='Overall', Game='Mean improvement',
        Whose=f'{whose}, 2 games') for whose in ('paper', 'ours'))
    self.assertEqual(paper['XTRA'], '1.30')
    self.assertEqual(ours['XTRA'], '1.30')

  def test_every_printed_number_is_there(self):
    scores = self.scores({'efficientzero': {'tiny:catch': [1.]}})
    for name in paper_comparison.TABLES:
      table = paper_comparison.beside_paper(scores, name)
      cells = sum(len(row) - 3 for row in table.rows)
      self.assertLen(reference_scores.table(name), cells)
      self.assertNotIn('ours', {row[2] for row in table.rows})

  def test_diverse_sources_make_it_table_2(self):
    scores = self.scores(
        {'xtra': {'Assault': [1742.2] * 3}},
        targets={'Assault': ('Carnival', 'Pooyan')})
    table = paper_comparison.beside_paper(scores, 'xtra_table_2')
    self.assertEqual(self.row(table, Game='Assault',
                              Whose='ours, n = 3')['XTRA'], '1,742.2')
    self.assertEqual(self.row(
        table, Game='Human-normalised mean', Whose='ours, 1 game')['XTRA'],
                     '2.92')
    self.assertEmpty(paper_comparison.targets_in(scores, 'xtra_table_1'))


class CurvesTest(ScoresTestCase):

  def curve(self, seeds, final=4.):
    scores = self.scores(
        {'xtra': {'Assault': [final] * len(seeds)}},
        curves={('xtra', 'Assault'): seeds})
    (method,) = scores.experiment.methods
    return experiment_curves.evaluation_curve(
        scores.experiment, method, 'Assault', _DRAWS)

  def test_band_of_three_runs_is_their_range(self):
    curve = self.curve([{0: 1.}, {0: 5.}, {0: 3.}])
    np.testing.assert_array_equal(curve.steps, [0., 4000.])
    np.testing.assert_array_equal(curve.mean, [3., 4.])
    self.assertEqual((curve.low[0], curve.high[0]), (1., 5.))
    self.assertFalse(curve.interpolated)

  def test_two_runs_have_no_band(self):
    self.assertIsNone(self.curve([{0: 1.}, {0: 5.}]).low)

  def test_unequal_steps_are_interpolated_and_it_is_said(self):
    curve = self.curve([{0: 0., 2000: 2.}, {1000: 7.}], final=4.)
    np.testing.assert_array_equal(curve.steps, [1000., 2000., 4000.])
    np.testing.assert_allclose(curve.mean, [(1. + 7.) / 2, (2. + 6.) / 2, 4.])
    self.assertTrue(curve.interpolated)

  def test_jump_start_and_time_to_threshold(self):
    scores = self.scores(
        {'efficientzero': {'Assault': [10., 12.]},
         'xtra': {'Assault': [20., 22.]}},
        curves={('efficientzero', 'Assault'): [{0: 1.}, {0: 3.}],
                ('xtra', 'Assault'): [{0: 6., 1000: 11., 2000: 9.},
                                      {0: 4., 1000: 6., 2000: 15.}]})
    curves = [experiment_curves.evaluation_curve(
        scores.experiment, method, 'Assault', _DRAWS)
              for method in scores.experiment.methods]
    base, xtra = experiment_curves.transfer(scores, curves, 'Assault')
    self.assertEqual(base.jump_start, 0.)
    self.assertEqual(xtra.jump_start, 5. - 2.)
    self.assertEqual(xtra.threshold, 11.)
    self.assertEqual(xtra.reached_after, 2000.)  # (9 + 15) / 2 = 12
    self.assertEqual((xtra.reached_by, xtra.runs), (2, 2))

  def test_a_threshold_that_is_not_reached(self):
    self.assertIsNone(experiment_curves.first_reach(
        np.array([0., 1.]), np.array([3., 4.]), 5.))


class SourceTasksTest(ScoresTestCase):

  def test_forgetting_pairs_seeds(self):
    scores = self.scores(
        {'xtra': {'Assault': [9.] * 3}},
        others={('xtra', 'Assault'): [
            ('student', 'Phoenix', [10., 20., 30.]),
            ('finetune', 'Phoenix', [9., 18., 27.])]},
        targets={'Assault': ('Phoenix',)})
    (row,) = experiment_curves.forgetting(scores.experiment, _DRAWS)
    self.assertEqual((row.before, row.after), ((20., 3), (18., 3)))
    self.assertEqual(row.change, (-2., -3., -1.))

  def test_teachers_that_were_not_evaluated_are_told(self):
    scores = self.scores({'xtra': {'Assault': [9.] * 3}},
                         targets={'Assault': ('Phoenix',)})
    (row,) = experiment_tables.teachers(scores.experiment).rows
    self.assertEqual(row, [
        'Phoenix', '761.4', 'not recorded', 'not evaluated', 'not evaluated',
        '7,242.6', 'not recorded', 'not recorded'])

  def test_a_model_that_runs_share_counts_once(self):
    scores = self.scores({'xtra': {'Assault': [9.] * 2},
                          'efficientzero': {'Assault': [9.]}},
                         targets={'Assault': ('Phoenix',)})
    folder = ExperimentResults(scores.experiment.paths[0])
    # Two runs have taken over the teacher of one, a third has its own.
    for method, seed, maker, score in (
        ('xtra', 0, 'first', 10.), ('xtra', 1, 'second', 40.),
        ('efficientzero', 0, 'first', 10.)):
      key = RunKey(method, 'Assault', seed)
      folder.append_result(ExperimentResult(
          *key, False, dataclasses.replace(synthetic.evaluation(
              key, 'teacher', 'Phoenix', 0, [score] * 4), run=maker)))
      folder.write_metrics(key, [
          {'step': 0, 'env_steps': 0, 'time': 0., 'data/mean_return/Phoenix':
           250., 'teacher/action_played/Phoenix': .4},
          *({'step': step, 'env_steps': 0, 'time': 0.,
             'student/agreement/Phoenix': share}
            for step, share in ((5, .1), (9, .6)))])
    experiment = read_experiment(scores.experiment.paths)
    (row,) = experiment_tables.teachers(experiment).rows
    self.assertEqual(row, ['Phoenix', '761.4', '250.0', '25.0 (n = 2)',
                           'not evaluated', '7,242.6', '40 %', '60 %'])

  def test_forgetting_is_of_a_methods_own_student(self):
    scores = self.scores(
        {'xtra': {'Assault': [9.] * 3},
         'without_cross_task': {'Assault': [9.] * 3}},
        others={('xtra', 'Assault'): [('student', 'Phoenix', [10.] * 3)],
                ('without_cross_task', 'Assault'): [
                    ('finetune', 'Phoenix', [8.] * 3)]},
        targets={'Assault': ('Phoenix',)})
    (row,) = experiment_curves.forgetting(scores.experiment, _DRAWS)
    self.assertEqual((row.before, row.after, row.change),
                     (None, (8., 3), None))

  def test_weights_hold_until_the_next(self):
    scores = self.scores({'xtra': {'Assault': [9.] * 2}},
                         targets={'Assault': ('Phoenix',)})
    folder = ExperimentResults(scores.experiment.paths[0])
    for seed, level in ((0, 1.), (1, 0.)):
      folder.write_metrics(RunKey('xtra', 'Assault', seed), [
          {'step': step, 'env_steps': step, 'time': 0.,
           'transfer/weight/Phoenix': weight}
          for step, weight in ((0, level), (50, 0.5), (100, 0.5))])
    experiment = read_experiment(scores.experiment.paths)
    edges, grid = heat_maps.series_grid(
        experiment, 'xtra', experiment.targets[0], 'transfer/weight/', 4)
    np.testing.assert_array_equal(edges, [0., 25., 50., 75., 100.])
    np.testing.assert_array_equal(grid, [[0.5, 0.5, 0.5, 0.5]])
    (row,) = experiment_tables.task_weights(experiment).rows
    self.assertEqual(row[3:], ['2', '0.50 (0.50 to 0.50)', '–'])


if __name__ == '__main__':
  absltest.main()
