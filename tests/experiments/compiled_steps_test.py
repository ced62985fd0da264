"""Every stage's step, targets included, is one XLA program of static shapes.

Lowering to HLO refuses what a compiler cannot take: host operations, shapes
that depend on data. The code that XLA would make of it is not generated here;
`make slow` does that too, and runs it.
"""

from absl.testing import parameterized
import gin
import numpy as np
import pytest
import tensorflow as tf

from xtra_tf.experiments import configuration, roles, stage_models
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.learners import TaskWeights
from xtra_tf.testing import training_batches
from xtra_tf.workers import StepLearner

_STAGES = (('data', ()), ('teacher', ()), ('student', ()), ('scratch', ()),
           ('cloning', ()), ('finetune', ()),
           ('finetune', ("TaskWeightSettings.passes = 'by_task'",)))
_HOST_OPS = {'EagerPyFunc', 'PyFunc', 'PyFuncStateless', 'Print', 'PrintV2',
             'Unique', 'UniqueV2', 'Where', 'NumericalGradient'}


def _stage(name, bindings):
  """(agent, function that makes a batch) of a stage on the tiny tasks."""
  configuration.parse(
      ['protocols/smoke.gin'],
      ['BATCH_SIZE = 6', 'NUM_SIMULATIONS = 2',
       'xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
       'xtra_tf.experiments.ReplaySettings.td_steps = 2',
       'xtra_tf.learners.TaskWeightSettings.start = 0',
       'xtra_tf.learners.TaskWeightSettings.period = 3',
       'xtra_tf.learners.TaskWeightSettings.window = 2',
       'xtra_tf.learners.LearnerSettings.target_update_period = 2',
       *(f'xtra_tf.learners.{b}' for b in bindings)])
  parts = roles.resolve_parts(seed=0)
  with_sources = name in ('student', 'cloning', 'finetune')
  tasks = {'student': parts.sources, 'cloning': parts.sources,
           'finetune': (parts.target, *parts.sources),
           'scratch': (parts.target,)}.get(name, parts.sources[:1])
  rows = (roles.batch_rows(parts, name, with_target=name == 'finetune')
          if with_sources else (parts.stages[name].stage.batch_size,))
  kind = {'student': 'stored', 'cloning': 'actions',
          'finetune': 'finetuning'}.get(name, 'reanalyzed')
  plan = TrainingPlan(
      stage=name, title=name, directory=None, tasks=tasks, rows=rows,
      targets=kind, logs={}, online=name in ('data', 'scratch', 'finetune'),
      weighted=name == 'finetune')
  models = stage_models.build_models(parts, plan, tf.distribute.get_strategy())
  policy = roles.planning_policy(parts, tasks[0], models.online, greedy=True,
                                 seed=0)
  agent = roles.build_agent(
      parts, name, model=models.online, target_model=models.target,
      policy=policy, rows=rows,
      targets=stage_models.build_targets(parts, plan, models, rows),
      train_step=tf.Variable(0, dtype=tf.int64),
      task_weights=(TaskWeights(parts.task_weights, len(tasks))
                    if plan.weighted else None))
  replay, task = parts.stages[name].replay, tasks[0]

  def batch(measuring=False):
    return training_batches.random_unroll(
        rows, frame=task.observation_shape, stack=task.stack,
        unroll_steps=replay.unroll_steps, td_steps=replay.td_steps,
        num_actions=task.num_actions, measuring=measuring)

  return agent, batch


def _all_ops(function):
  """Types of all operations, those of branches and loops included."""
  definition = function.graph.as_graph_def()
  nodes = [*definition.node,
           *(n for f in definition.library.function for n in f.node_def)]
  return {node.op for node in nodes}


class CompiledStepsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  @parameterized.parameters(*_STAGES)
  def test_step_is_lowered(self, name, bindings):
    agent, batch = _stage(name, bindings)
    # Without the default of `train`, which the lowering does not fill in.
    self._assert_lowered(name, lambda unroll: agent.train(unroll), batch())

  @parameterized.parameters(
      *((bindings, measured) for name, bindings in _STAGES if name == 'finetune'
        for measured in (False, True)))
  @pytest.mark.slow
  def test_step_of_replicas_is_lowered(self, bindings, measured):
    # Traced for measured batches and for others, without a branch.
    agent, batch = _stage('finetune', bindings)
    self._assert_lowered(
        'finetune', lambda unroll: agent.train(unroll, measured=measured),
        batch(measured))

  def _assert_lowered(self, name, train, unroll):
    step = tf.function(train, autograph=False, jit_compile=True)
    concrete = step.get_concrete_function(unroll)
    ops = _all_ops(concrete)
    self.assertEmpty(ops & _HOST_OPS)
    # Nested functions are looked into: the search is a loop, and so are the
    # backward passes of a measured step.
    self.assertContainsSubset({'Conv2DBackpropFilter'}, ops)
    self.assertEqual(bool(ops & {'While', 'StatelessWhile'}),
                     name not in ('student', 'cloning'))
    for tensor in tf.nest.flatten(concrete.structured_outputs):
      self.assertTrue(tensor.shape.is_fully_defined(), tensor)
    hlo = step.experimental_get_compiler_ir(unroll)(stage='hlo')
    self.assertIn('ENTRY', hlo)

  @parameterized.parameters(*_STAGES)
  @pytest.mark.slow
  def test_compiled_step_runs(self, name, bindings):
    agent, batch = _stage(name, bindings)
    step = tf.function(agent.train, autograph=False, jit_compile=True)
    for measuring in (False, True):
      info = step(batch(measuring))
      self.assertTrue(info.extra.finite)
    self.assertEqual(step.experimental_get_tracing_count(), 1)


class TracingTest(parameterized.TestCase, tf.test.TestCase):
  """The learner's step is traced once in a stage's life."""

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  @parameterized.parameters(
      ('scratch', ()), ('finetune', ()),
      ('finetune', ("TaskWeightSettings.passes = 'by_task'",)))
  def test_steps_are_traced_once(self, name, bindings):
    agent, batch = _stage(name, bindings)
    batches = [(batch(measuring), ()) for measuring in
               (False, True, True, False, True)]

    def dataset():
      return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(
          lambda *x: tf.stack(x), *batches)).repeat()

    learner = StepLearner(
        self.create_tempdir().full_path, agent.train_step_counter, agent,
        dataset, checkpoint_interval=10**12, summary_interval=0,
        run_optimizer_variable_init=False)
    measured = []
    for _ in batches:
      info = learner.run(1)
      measured.append(bool(np.isfinite(info.extra.cosine).all()))
    # Past the end of a window, past new target networks, measured and not.
    self.assertEqual(learner._one_step.experimental_get_tracing_count(), 1)
    if name == 'finetune':
      self.assertEqual(measured, [False, True, True, False, True])
    self.assertEqual(agent.train_step_counter, len(batches))


if __name__ == '__main__':
  tf.test.main()
