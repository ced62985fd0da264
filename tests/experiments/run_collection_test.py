"""What a finished run gives to the results of its experiment."""

import dataclasses
import os

from absl.testing import absltest

from xtra_tf.evaluation import results
from xtra_tf.evaluation.experiment_results import ExperimentResults, RunKey
from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.experiments import run_collection
from xtra_tf.experiments.experiment_costs import Cost
from xtra_tf.experiments.experiment_plan import Job
from xtra_tf.runs import MetricsWriter, RunDirectory

_TARGET, _SOURCE = 'tiny:catch', 'tiny:cross'
_KEY = RunKey('xtra', _TARGET, 3)
_RUN = Job('xtra/tiny.catch/seed-3', f'finetune/{_TARGET}', (), (), 3,
           (('shared/t', 'teacher'), ('shared/s', 'student')), 4, Cost(), _KEY)
_SHARED = Job('shared/s', 'student', (), (), 3, (), 4, Cost(),
              source_games={_SOURCE: 2})


def _record(stage, task, step=4, games=2, **fields):
  return ResultRecord(
      'a-run', stage, task, step, 0, 'fixed', 'lossless', range(games),
      [7.] * games, [5] * games, [False] * games, **fields)


class RunCollectionTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.root = self.create_tempdir().full_path
    self.results = ExperimentResults(os.path.join(self.root, 'results'))

  def stage(self, job, facts, rows=(), inherited=()):
    """A run with one stage that is done."""
    directory = RunDirectory(os.path.join(self.root, job.name))
    directory.inherit(dict(inherited))
    directory.begin({}, seed=3, command='')
    kind, _, task = job.stage.partition('/')
    stage = directory.stage(kind, task or None)
    with MetricsWriter(stage.metrics_file('learner')) as writer:
      for step, row in rows:
        writer.write(step, 0, row)
    stage.write_done(facts)
    directory.record_stage(job.stage, 'done')
    return directory, stage

  def collected(self, teacher_facts):
    """A run that has taken over a teacher and the student."""
    teacher = dataclasses.replace(_SHARED, name='shared/t',
                                  stage=f'teacher/{_SOURCE}')
    self.stage(teacher, {'updates': 4, **teacher_facts})
    self.stage(_SHARED, {'updates': 4}, [(step, {
        f'transfer/agreement/{_SOURCE}': step / 1000,
        f'transfer/teacher_kl/{_SOURCE}': 2. - step / 1000,
        'loss/total': 1.}) for step in range(1, 1001)])
    inherited = {
        name: {'folder': os.path.join('..', '..', '..', *folder),
               'digest': 'd', 'run': 'p'}
        for name, folder in (
            (f'teacher/{_SOURCE}', ('shared', 't', 'teacher', 'tiny.cross')),
            ('student', ('shared', 's', 'student')))}
    directory, _ = self.stage(
        _RUN, {'updates': 4}, [(2, {f'transfer/agreement/{_SOURCE}': .25})],
        inherited)
    for record in (_record('teacher', _SOURCE), _record('student', _SOURCE),
                   _record('finetune', _TARGET, recording='recordings/x.json'),
                   _record('finetune', _SOURCE)):
      results.append(directory.results, record)
    for _ in range(2):  # a second time adds nothing
      run_collection.collect(_RUN, self.root, self.results)
    return self.results.metrics(_KEY)

  def test_scores_on_source_tasks_come_along(self):
    self.collected({})
    self.assertEqual(
        [(line.final, line.result.stage, line.result.task)
         for line in self.results.results()],
        [(False, 'teacher', _SOURCE), (False, 'student', _SOURCE),
         (False, 'finetune', _SOURCE), (True, 'finetune', _TARGET)])
    self.assertEqual({line.result.recording
                      for line in self.results.results()}, {''})

  def test_the_students_agreement_has_names_and_steps_of_its_own(self):
    rows = self.collected({})
    agreement = [(row['step'], row[f'student/agreement/{_SOURCE}'])
                 for row in rows if f'student/agreement/{_SOURCE}' in row]
    self.assertBetween(len(agreement), 50, 101)
    for step, value in agreement:
      self.assertAlmostEqual(value, step / 1000)
    self.assertEqual([row['step'] for row in rows
                      if f'transfer/agreement/{_SOURCE}' in row], [2])
    self.assertFalse([row for row in rows if 'loss/total' in row])

  def test_what_is_known_of_teacher_and_data_comes_along(self):
    rows = self.collected({'teacher_agreement': .5, 'data_mean_return': -3.25,
                           'teacher_root_value': 9.})
    self.assertEqual(
        [row for row in rows if f'data/mean_return/{_SOURCE}' in row],
        [{'step': 0, 'env_steps': 0, 'time': 0.,
          f'teacher/action_played/{_SOURCE}': .5,
          f'data/mean_return/{_SOURCE}': -3.25}])

  def test_data_without_a_whole_game_have_no_return(self):
    rows = self.collected({'teacher_agreement': .5, 'data_mean_return': None})
    self.assertFalse([row for row in rows
                      if f'data/mean_return/{_SOURCE}' in row])

  def test_a_shared_stage_is_made_once_it_is_scored(self):
    self.assertFalse(run_collection.is_made(_SHARED, self.root))
    _, stage = self.stage(_SHARED, {'updates': 4})
    self.assertFalse(run_collection.is_made(_SHARED, self.root))
    for other in (_record('student', _TARGET),
                  _record('student', _SOURCE, step=2),
                  _record('student', _SOURCE, games=1)):
      results.append(stage.evaluations, other)
    self.assertFalse(run_collection.is_made(_SHARED, self.root))
    self.assertTrue(run_collection.is_made(
        dataclasses.replace(_SHARED, source_games={}), self.root))
    results.append(stage.evaluations, _record('student', _SOURCE))
    self.assertTrue(run_collection.is_made(_SHARED, self.root))


if __name__ == '__main__':
  absltest.main()
