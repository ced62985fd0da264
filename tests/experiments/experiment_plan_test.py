"""Which runs an experiment has, and what they share."""

from absl.testing import absltest, parameterized
import gin

from xtra_tf.errors import UsageError
from xtra_tf.experiments import experiment_plan, experiment_view
from xtra_tf.experiments.experiment_costs import Cost

_METHODS = 'xtra_tf.experiments.ExperimentSettings.methods = '
_SEEDS = 'xtra_tf.experiments.ExperimentSettings.seeds = '
_SETS = 'xtra_tf.experiments.ExperimentSettings.task_sets = '


def _plan(methods, seeds='(0,)', *bindings):
  return experiment_plan.make_plan(
      ['protocols/smoke.gin'],
      [f'{_METHODS}{tuple(methods)}', f'{_SEEDS}{seeds}', *bindings])


def _shared(plan, name):
  """{kind of stage: names of the jobs} that a run takes over."""
  found = {}
  for parent, kind in plan.jobs[name].parents:
    found.setdefault(kind, []).append(parent)
  return found


def _run(method, seed=0):
  return f'{method}/tiny.catch/seed-{seed}'


class PlanTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  def test_runs_are_methods_by_seeds_and_parents_stand_before(self):
    plan = _plan(('xtra', 'scratch'), '(0, 3)')
    runs = [job.key for job in plan.jobs.values() if job.key]
    self.assertEqual([(k.method, k.seed) for k in runs], [
        ('xtra', 0), ('scratch', 0), ('xtra', 3), ('scratch', 3)])
    seen = set()
    for name, job in plan.jobs.items():
      self.assertContainsSubset([p for p, _ in job.parents], seen)
      seen.add(name)
    # Two tables with their teachers and a student, for each seed.
    self.assertLen(plan.jobs, 4 + 2 * 5)
    self.assertEmpty(plan.jobs[_run('scratch')].parents)

  def test_methods_share_what_is_the_same(self):
    plan = _plan(('xtra', 'without_task_weights', 'without_cross_task',
                  'without_pretraining', 'zero_shot', 'transfer_dynamics'))
    xtra = _shared(plan, _run('xtra'))
    self.assertEqual({k: len(v) for k, v in xtra.items()},
                     {'data': 2, 'teacher': 2, 'student': 1})
    self.assertEqual(_shared(plan, _run('without_task_weights')), xtra)
    self.assertEqual(_shared(plan, _run('transfer_dynamics')), xtra)
    self.assertEqual(_shared(plan, _run('zero_shot')),
                     {'student': xtra['student']})
    self.assertEqual(_shared(plan, _run('without_cross_task'))['student'],
                     xtra['student'])
    self.assertEqual(_shared(plan, _run('without_pretraining')),
                     {'data': xtra['data'], 'teacher': xtra['teacher']})
    self.assertLen([j for j in plan.jobs.values() if j.key is None], 5)

  def test_behaviour_cloning_shares_the_data_and_has_no_teacher(self):
    plan = _plan(('behaviour_cloning', 'data_half', 'xtra'), '(0, 1)')
    job = plan.jobs[_run('behaviour_cloning')]
    self.assertEqual((job.stage, job.updates), ('cloning', 0))
    (shared, kind), = job.parents
    self.assertEqual(kind, 'cloning')
    made = plan.jobs[shared]
    self.assertEqual((made.stage, made.updates), ('cloning', 20))
    self.assertEqual([name for name, _ in made.parents],
                     _shared(plan, _run('xtra'))['data'])
    self.assertNotEqual(
        _shared(plan, _run('behaviour_cloning', 1))['cloning'], [shared])
    # A seventh of the student's network is asked once a row, and not searched.
    student = plan.jobs[_shared(plan, _run('xtra'))['student'][0]]
    self.assertLess(made.cost.operations, student.cost.operations / 4)
    self.assertEqual(made.cost.memory, student.cost.memory)

  def test_with_a_data_seed_runs_of_all_seeds_learn_from_the_same_data(self):
    plan = _plan(('xtra',), '(1, 2)',
                 'xtra_tf.experiments.TaskSettings.data_seed = 7')
    first, second = (_shared(plan, _run('xtra', seed)) for seed in (1, 2))
    self.assertEqual(first['data'], second['data'])
    self.assertLen(first['data'], 2)
    for name in first['data']:
      self.assertEqual(plan.jobs[name].seed, 7)
      self.assertIn('.seed-7.', name)
    for kind in ('teacher', 'student'):
      self.assertEmpty(set(first[kind]) & set(second[kind]))
    own = _plan(('xtra',), '(7,)')
    self.assertEqual(_shared(own, _run('xtra', 7))['data'], first['data'])

  def test_less_data_shares_the_data_alone_and_fewer_sources_the_teachers(self):
    plan = _plan(('xtra', 'data_half', 'sources_1'))
    xtra, half, one = (_shared(plan, _run(method))
                       for method in ('xtra', 'data_half', 'sources_1'))
    self.assertEqual(half['data'], xtra['data'])
    self.assertEmpty(set(half['teacher']) & set(xtra['teacher']))
    self.assertNotEqual(half['student'], xtra['student'])
    self.assertEqual(one['teacher'], xtra['teacher'][:1])
    self.assertNotEqual(one['student'], xtra['student'])

  def test_shared_stages_are_scored_on_their_source_tasks(self):
    name = 'xtra_tf.evaluation.SourceEvaluationSettings.episodes'
    plan, unscored = (_plan(('xtra',), '(0,)', f'{name} = {games}')
                      for games in (3, 0))
    shared = _shared(plan, _run('xtra'))
    sources = ('tiny:collect', 'tiny:cross')
    self.assertEqual([plan.jobs[job].source_games for job in (
        *shared['data'], *shared['teacher'], *shared['student'])],
                     [{}, {}, {sources[0]: 3}, {sources[1]: 3},
                      dict.fromkeys(sources, 3)])
    self.assertEqual(list(plan.jobs), list(unscored.jobs))
    for job in unscored.jobs.values():
      self.assertEmpty(job.source_games)
    for kind, games in (('teacher', 3), ('student', 6)):
      one, other = (p.jobs[shared[kind][0]].cost for p in (plan, unscored))
      self.assertEqual(other.evaluation, 0)
      self.assertEqual(one.operations, other.operations)
      # As many games as on the target cost as much.
      judged = unscored.jobs[_run('xtra')].cost.evaluation
      self.assertGreater(one.evaluation, 0)
      self.assertLess(one.evaluation, judged * games)
    self.assertGreater(plan.jobs[_run('xtra')].cost.evaluation, judged)

  def test_seeds_share_nothing(self):
    plan = _plan(('xtra',), '(0, 1)')
    first, second = (_shared(plan, _run('xtra', seed)) for seed in (0, 1))
    for kind, names in first.items():
      self.assertEmpty(set(names) & set(second[kind]))

  def test_differences_are_recorded(self):
    plan = _plan(('xtra', 'without_cross_task'))
    xtra, without = plan.methods
    self.assertEqual((xtra.label, xtra.stage, dict(xtra.differences)),
                     ('XTRA', 'finetune', {}))
    self.assertEqual(dict(without.differences),
                     {'TransferSettings.offline_tasks': 'False'})
    self.assertFalse([name for name in plan.bound if 'Experiment' in name])

  def test_unknown_method_names_near_ones(self):
    with self.assertRaisesRegex(
        UsageError, "no method 'without_crosstask'.*without_cross_task"):
      _plan(('without_crosstask',))

  @parameterized.parameters(
      (f'{_METHODS}()', 'nothing to run'), (f'{_SEEDS}(0, 0)', 'twice'),
      (f"{_SEEDS}('a',)", 'whole numbers'), (f"{_METHODS}'xtra'", 'a tuple'),
      ("TARGET_TASK = 'tiny:cross'", 'also a source task'),
      ('SOURCE_TASKS = ()', 'Method xtra needs source tasks'),
      (f"{_SETS}('tasksets/none.gin',)", 'no gin file tasksets/none'))
  def test_refused_before_anything_is_run(self, binding, message):
    with self.assertRaisesRegex(UsageError, message):
      experiment_plan.make_plan(['protocols/smoke.gin'], [binding])

  def test_a_target_twice_is_refused(self):
    with self.assertRaisesRegex(UsageError, 'both have the target Assault'):
      experiment_plan.make_plan(['protocols/paper.gin'], [
          f"{_SETS}('tasksets/assault_from_shooters.gin', "
          "'tasksets/assault_from_diverse.gin')", f"{_METHODS}('scratch',)"])

  def test_a_method_that_a_task_set_does_not_fit_is_named(self):
    with self.assertRaisesRegex(
        UsageError, 'Method sources_8.*tiny:catch.*num_sources is 8'):
      _plan(('sources_8',))

  def test_select(self):
    plan = _plan(('xtra', 'scratch'), '(0, 1)')
    chosen = experiment_plan.select(plan, {'method': ['xtra'], 'seed': ['1']})
    self.assertEqual([job.name for job in chosen if job.key],
                     [_run('xtra', 1)])
    self.assertLen(chosen, 6)
    for only, message in (({'seed': ['7']}, 'seed 7.*Known are: 0, 1'),
                          ({'method': ['xtr']}, 'Did you mean xtra'),
                          ({'methods': ['xtra']}, 'Did you mean method')):
      with self.assertRaisesRegex(UsageError, message):
        experiment_plan.select(plan, only)

  def test_cost_is_of_the_stage(self):
    plan = _plan(('xtra', 'without_cross_task', 'zero_shot'))
    xtra, without, zero = (plan.jobs[_run(m)].cost for m in (
        'xtra', 'without_cross_task', 'zero_shot'))
    self.assertGreater(xtra.operations, without.operations)
    self.assertEqual(zero.operations, 0)
    self.assertGreater(zero.evaluation, 0)
    # Two offline tables besides the target's.
    self.assertGreater(xtra.memory, 2 * without.memory)


class CostTest(parameterized.TestCase):

  def test_network_of_the_paper(self):
    # Multiply-accumulates by hand: representation 443.3 M, prediction 2.78 M,
    # dynamics 6.30 M (EfficientZero-L).
    from xtra_tf.experiments import experiment_costs
    cost = experiment_costs.network_cost({
        'family': 'efficientzero', 'config': {
            'observation_shape': [96, 96, 12], 'representation_blocks': 4}})
    self.assertAlmostEqual(cost.initial / 2e6, 446.1, delta=1.)
    self.assertAlmostEqual(cost.recurrent / 2e6, 9.08, delta=0.1)
    self.assertAlmostEqual(cost.parameters, 9.07e6, delta=1e4)

  def test_sum(self):
    total = Cost(1., 2., 3., 4.).plus(Cost(10., 20., 2., 40.), times=2)
    self.assertEqual(total, Cost(21., 42., 3., 84.))

  @parameterized.parameters(
      (0., '0'), (999., '999'), (1500., '1.5 K'), (9.66e17, '966 P'),
      (3.21e20, '321 E'))
  def test_operations(self, count, text):
    self.assertEqual(experiment_view.format_operations(count), text)


if __name__ == '__main__':
  absltest.main()
