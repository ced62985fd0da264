"""Tests of an experiment's folder of results."""

import dataclasses
import json
import os

from absl.testing import absltest, parameterized

from xtra_tf.errors import DataFileError, SettingsChangedError
from xtra_tf.evaluation import experiment_results as lib
from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.evaluation.thinning import thin_metrics

_RUN = lib.RunKey('xtra', 'tiny:catch', 0)


def make_record(**changes) -> lib.ExperimentRecord:
  fields = dict(
      name='smoke', gin_files=('protocols/smoke.gin',), gin_bindings=(),
      methods=(
          lib.MethodRecord('xtra', 'XTRA', ('methods/xtra.gin',), 'finetune'),
          lib.MethodRecord('efficientzero', 'EfficientZero',
                           ('methods/efficientzero.gin',), 'scratch',
                           {'BATCH_SIZE': '8'})),
      targets=(lib.TargetRecord('tiny:catch', '', ('tiny:cross',)),),
      seeds=(0, 1), settings={'BATCH_SIZE': '16'}, settings_hash='h',
      command='python -m launchers.experiment')
  return lib.ExperimentRecord(**{**fields, **changes})


def make_result(run=_RUN, final=True,
                **changes) -> lib.ExperimentResult:
  fields = dict(run='r1', stage='finetune', task='tiny:catch', step=40,
                env_steps=200, profile='fixed', codec='lossless', seeds=(0, 1),
                returns=(1., 2.), lengths=(3, 4), truncated=(False, False))
  return lib.ExperimentResult(*run, final, ResultRecord(
      **{**fields, **changes}))


def _row(step, **tags):
  return {'step': step, 'env_steps': 2 * step, 'time': 0., **tags}


class ExperimentResultsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.results = lib.ExperimentResults(os.path.join(self.folder, 'results'))

  def test_round_trip_of_the_record(self):
    self.assertFalse(self.results.exists())
    self.results.begin(make_record())
    self.assertTrue(self.results.exists())
    self.assertEqual(self.results.record(), make_record())

  def test_runs_are_methods_by_targets_by_seeds(self):
    runs = make_record().runs()
    self.assertLen(runs, 4)
    self.assertEqual(str(runs[1]), 'xtra, tiny:catch, seed 1')

  def test_other_settings_are_refused_with_the_difference(self):
    self.results.begin(make_record())
    with self.assertRaisesRegex(
        SettingsChangedError, r'(?s)BATCH_SIZE: 16 -> 32.*--results_dir'):
      self.results.begin(make_record(settings={'BATCH_SIZE': '32'}))
    self.assertEqual(self.results.record(), make_record())

  def test_a_method_that_became_another_is_refused(self):
    self.results.begin(make_record())
    xtra, other = make_record().methods
    changed = dataclasses.replace(other, differences={'BATCH_SIZE': '4'})
    with self.assertRaisesRegex(SettingsChangedError, 'method efficientzero'):
      self.results.begin(make_record(methods=(xtra, changed)))
    with self.assertRaisesRegex(SettingsChangedError, 'method efficientzero'):
      self.results.begin(make_record(methods=(xtra,)))

  def test_methods_targets_and_seeds_can_be_added(self):
    self.results.begin(make_record())
    more = lib.MethodRecord('zero_shot', 'Zero-shot', (), 'student')
    record = make_record(
        methods=(*make_record().methods, more), seeds=(0, 1, 2))
    self.results.begin(record)
    self.assertEqual(self.results.record(), record)

  def test_lines_round_trip(self):
    curve, judged = make_result(final=False, step=20), make_result()
    self.assertTrue(self.results.append_result(curve))
    self.assertTrue(self.results.append_result(judged))
    self.assertFalse(self.results.append_result(judged))
    self.assertEqual(self.results.results(), [curve, judged])
    with open(os.path.join(self.results.path, 'results.jsonl'),
              encoding='utf-8') as file:
      line = json.loads(file.readline())
    self.assertEqual((line['method'], line['returns'], line['final']),
                     ('xtra', [1., 2.], False))

  def test_other_scores_of_the_same_evaluation_are_refused(self):
    self.results.append_result(make_result())
    with self.assertRaisesRegex(DataFileError, 'with other scores'):
      self.results.append_result(make_result(returns=(0., 0.)))

  def test_a_run_is_finished_with_its_judged_result_and_its_cost(self):
    run = lib.RunKey('xtra', 'tiny:catch', 0)
    cost = lib.RunCost(*run, {'finetune': 3.5}, 40, 200, {'student': 'abc'})
    self.results.append_result(make_result(final=False))
    self.results.append_cost(cost)
    self.assertEqual(self.results.finished(), [])
    self.results.append_result(make_result())
    self.results.append_cost(cost)
    self.assertEqual(self.results.finished(), [run])
    self.assertEqual(self.results.costs(), [cost])

  def test_failures_are_kept_until_the_run_succeeds(self):
    run = lib.RunKey('xtra', 'tiny:catch', 0)
    first = lib.RunFailure(*run, 70, 'loss is NaN')
    second = lib.RunFailure(*run, -9, '')
    self.results.append_failure(first)
    self.results.append_failure(second)
    self.assertEqual(self.results.failures(), [first, second])
    self.assertEqual(self.results.unfinished_failures(), [second])
    self.results.append_result(make_result())
    self.results.append_cost(lib.RunCost(*run, {}, 40, 200))
    self.assertEqual(self.results.unfinished_failures(), [])
    self.assertEqual(self.results.failures(), [first, second])

  def test_a_torn_line_is_cut_and_a_damaged_one_is_named(self):
    self.results.append_result(make_result())
    path = os.path.join(self.results.path, 'results.jsonl')
    with open(path, 'ab') as file:
      file.write(b'{"method": "xt')
    self.assertLen(self.results.results(), 1)
    self.results.append_result(make_result(step=60))
    self.assertLen(self.results.results(), 2)
    with open(path, 'ab') as file:
      file.write(b'{}\n')
    with self.assertRaisesRegex(DataFileError, 'record 2'):
      self.results.results()

  def test_metrics_are_kept_under_the_task_s_folder_name(self):
    run = lib.RunKey('xtra', 'tiny:catch', 1)
    rows = [_row(2, **{'loss/value': 1.}), _row(1, **{'loss/value': 2.})]
    self.results.write_metrics(run, rows)
    self.assertTrue(os.path.exists(os.path.join(
        self.results.path, 'metrics', 'xtra.tiny.catch.1.jsonl')))
    self.assertEqual([row['step'] for row in self.results.metrics(run)], [1, 2])


class ThinningTest(absltest.TestCase):

  def test_keeps_evaluations_and_changes_of_weights(self):
    rows = []
    for step in range(10_000):
      tags = {'loss/value': 0., 'time/whatever': 1.,
              'transfer/weight/a': 1. if step < 7_777 else .5}
      if step % 1000 == 13:
        tags['eval/tiny:catch/return_mean'] = 1.
      rows.append(_row(step, **tags))
    kept = thin_metrics(rows)
    steps = [row['step'] for row in kept]
    self.assertLess(len(kept), 530)
    self.assertContainsSubset(range(13, 10_000, 1000), steps)
    self.assertIn(7_777, steps)
    self.assertNotIn('time/whatever', kept[0])

  def test_short_series_are_whole(self):
    rows = [_row(step, **{'loss/value': 0.}) for step in range(100)]
    self.assertLen(thin_metrics(rows), 100)
    self.assertEmpty(thin_metrics([_row(1, **{'time/x': 0.})]))


if __name__ == '__main__':
  absltest.main()
