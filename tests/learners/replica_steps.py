"""Gradient steps on one device, and the same on the replicas of a strategy.

For tests that compare them: replicas_cases.py, multi_worker_cases.py.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from xtra_tf.learners import (
  LearnerSettings,
  TaskWeights,
  TaskWeightSettings,
  WorldModelAgent,
)
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.targets import StoredTargets
from xtra_tf.testing import training_batches
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.types import SampleInfo
from xtra_tf.workers import HostBatches, StepLearner

QUOTAS = (8, 8)
# Rows of the batch on each replica: as many of each task, in task order.
ROWS = ((*range(4), *range(8, 12)), (*range(4, 8), *range(12, 16)))
MEASURED = (False, True, True, False)  # four steps: a window of two
# Of the replicas' parts of a batch, whether they were drawn as measured.
_DRAWN_AS_MEASURED = ((False, False), (True, True), (True, True), (True, False))
_FRAME, _STACK, _ACTIONS, _STEPS = (24, 24, 1), 2, 3, 1
_CONFIG = EfficientZeroConfig(
    (*_FRAME[:2], _STACK * _FRAME[2]), num_actions=_ACTIONS, channels=4,
    shrinkage=8, head_channels=4, lstm_size=8, support=5,
    projection_hidden=8, projection_size=8, projection_head_hidden=8)
SETTINGS = LearnerSettings(
    stack=_STACK, support=5, unroll_steps=_STEPS, warmup_steps=0,
    target_update_period=2)
# Operations that no accelerator has.
_HOST_OPS = {'EagerPyFunc', 'PyFunc', 'PyFuncStateless', 'Print', 'PrintV2',
             'Unique', 'UniqueV2', 'Where', 'NumericalGradient',
             'IteratorGetNext', 'ReverbDataset'}


def linear(seed):
  return LinearWorldModel((*_FRAME[:2], _STACK * _FRAME[2]), seed=seed)


def efficientzero(seed):
  return EfficientZero(_CONFIG, seed=seed)


def agent_of(build, settings, passes):
  time_steps = ts.time_step_spec(tensor_spec.TensorSpec(_FRAME, tf.uint8))
  actions = tensor_spec.BoundedTensorSpec((), tf.int32, 0, _ACTIONS - 1)
  policy = random_tf_policy.RandomTFPolicy(time_steps, actions)
  return WorldModelAgent(
      time_steps, actions, policy, policy, build(0),
      StoredTargets(stack=_STACK, unroll_steps=_STEPS, td_steps=5,
                    discount=0.99),
      settings=settings, quotas=QUOTAS,
      train_step=tf.Variable(0, dtype=tf.int64),
      target_world_model=build(1),
      task_weights=TaskWeights(TaskWeightSettings(
          start=1, period=6, window=2, threshold=0., passes=passes),
          len(QUOTAS)))


def _batch(step, measured):
  return training_batches.random_unroll(
      QUOTAS, frame=_FRAME, stack=_STACK, unroll_steps=_STEPS,
      num_actions=_ACTIONS, measuring=measured, factors=(1., .5),
      seed=step)


def _rows(batch, rows):
  return tf.nest.map_structure(lambda x: tf.gather(x, rows), batch)


def _info(step, rows):
  return SampleInfo(
      key=tf.constant([100 * step + row for row in rows], tf.uint64),
      task=tf.zeros([len(rows)], tf.int32),
      position=tf.constant([[step, row] for row in rows], tf.int64),
      probability=tf.ones([len(rows)], tf.float64))


def named(info, order=None):
  """(name, numbers) of a LossInfo, its rows put in another order."""
  yield 'loss', info.loss.numpy()
  fields = dict(info.extra._asdict())
  fields.update(fields.pop('parts')._asdict())
  for name, value in fields.items():
    value = value.numpy()
    if order is not None and value.shape[:1] == (sum(QUOTAS),):
      value = value[order]
    yield name, value


def state(agent):
  return {variable.name + str(index): variable.numpy()
          for index, variable in enumerate(agent.variables)}


def on_one(build, settings, passes, in_order):
  """Infos and final state of steps on one device."""
  agent = agent_of(build, settings, passes)
  train = tf.function(agent.train, autograph=False)
  infos = []
  for step, measured in enumerate(MEASURED):
    batch = _batch(step, measured)
    if not in_order:
      batch = _rows(batch, np.concatenate(ROWS))
    infos.append(train(batch))
  return infos, state(agent)


class OnReplicas(NamedTuple):
  """What the learner of the stages made of the same steps."""
  infos: list
  state: dict
  learner: StepLearner
  updated: list  # (info, priority) of each step and replica of this process


def on_replicas(strategy, build, settings, passes, folder, *,
                here=(0, 1), group=None, on_host=False):
  """Steps of a strategy's replicas.

  Args:
    strategy: of two replicas, in one or two processes.
    build: makes the model.
    settings: of the step.
    passes: of measured steps.
    folder: for the learner.
    here: which of the replicas are this process's.
    group: of the processes.
    on_host: the data set stays on the host, as it does for a TPU.
  """
  with strategy.scope():
    agent = agent_of(build, settings, passes)

  def parts():
    batches = [(_rows(_batch(step, drawn[replica]), ROWS[replica]),
                _info(step, ROWS[replica]))
               for step, drawn in enumerate(_DRAWN_AS_MEASURED)
               for replica in here]
    return tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *x: tf.stack(x), *batches))

  updated = []
  learner = StepLearner(
      folder, agent.train_step_counter, agent, parts, strategy=strategy,
      group=group, checkpoint_interval=10**12, summary_interval=0,
      run_optimizer_variable_init=False,
      after_step=lambda info, priority: updated.append((info, priority)))
  iterator = HostBatches(strategy, parts) if on_host else None
  infos = [learner.run(iterator=iterator) for _ in MEASURED]
  return OnReplicas(infos, state(agent), learner, updated)


def check_traces(test, made):
  """One for measured batches, one for others; neither needs the host."""
  step = made.learner._one_step
  test.assertEqual(step.experimental_get_tracing_count(), 2)
  for function in step._list_all_concrete_functions():
    definition = function.graph.as_graph_def()
    ops = {node.op for node in definition.node}
    ops |= {n.op for f in definition.library.function for n in f.node_def}
    test.assertIn('MatMul', ops)
    test.assertEmpty(ops & _HOST_OPS)
