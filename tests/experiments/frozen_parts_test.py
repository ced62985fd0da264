"""Parts of the student that finetuning leaves as they are."""

import os
from unittest import mock

from absl.testing import parameterized
import gin
import numpy as np
import tensorflow as tf

from tests.experiments.offline_sets import write
from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import CheckpointError, UsageError
from xtra_tf.experiments import configuration, roles, stage_models, training
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.experiments.transfer_settings import MODEL_PARTS, TransferSettings
from xtra_tf.learners import TaskWeights, unroll_loss
from xtra_tf.models import build_world_model
from xtra_tf.runs import RunDirectory
from xtra_tf.testing import training_batches
from xtra_tf.variables import (
  resolve_checkpoint,
  restore_world_model,
  save_world_model,
)
from xtra_tf.workers import StepLearner

_ROWS = (6, 3, 3)
_BINDINGS = (
    'BATCH_SIZE = 6', 'NUM_SIMULATIONS = 2',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    'xtra_tf.learners.LearnerSettings.warmup_steps = 0',
    'xtra_tf.learners.TaskWeightSettings.start = 0',
    'xtra_tf.learners.TaskWeightSettings.period = 3',
    'xtra_tf.learners.TaskWeightSettings.window = 2')


def _parts(*bindings):
  configuration.parse(
      ['protocols/smoke.gin', 'ablations/frozen_representation.gin'],
      [*_BINDINGS, *bindings])
  return roles.resolve_parts(seed=0)


def _bits(layer):
  return [v.numpy().tobytes() for v in layer.variables]


def _agent(parts):
  """An agent of the stage `finetune`."""
  plan = TrainingPlan(
      stage='finetune', title='', directory=None,
      tasks=(parts.target, *parts.sources), rows=_ROWS, targets='finetuning',
      logs={}, online=True, weighted=True, frozen=parts.transfer.frozen)
  models = stage_models.build_models(parts, plan, tf.distribute.get_strategy())
  return roles.build_agent(
      parts, 'finetune', model=models.online, target_model=models.target,
      policy=roles.planning_policy(parts, parts.target, models.online,
                                   greedy=True, seed=0),
      targets=stage_models.build_targets(parts, plan, models, _ROWS),
      rows=_ROWS,
      train_step=tf.Variable(0, dtype=tf.int64),
      task_weights=TaskWeights(parts.task_weights, 3))


def _batch(parts, measuring=False):
  task = parts.target
  return training_batches.random_unroll(
      _ROWS, frame=task.observation_shape, stack=task.stack, unroll_steps=2,
      td_steps=2, num_actions=task.num_actions, measuring=measuring)


class _Test(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)


class UpdatesTest(_Test):

  @parameterized.parameters('joint', 'by_task')
  def test_nothing_of_the_part_moves(self, measurement):
    parts = _parts('xtra_tf.learners.TaskWeightSettings.passes = '
                   f'{measurement!r}')
    agent = _agent(parts)
    model = agent.world_model
    for part in MODEL_PARTS:
      for variable in getattr(model, part).variables:
        # Whatever is added to -0.0 makes it 0.0.
        values = variable.numpy()
        values[values == 0.] = np.float32(-0.)
        variable.assign(values)
    before = {part: _bits(getattr(model, part)) for part in MODEL_PARTS}
    step = tf.function(agent.train, autograph=False)
    for measuring in (False, True, False):
      info = step(_batch(parts, measuring))
      self.assertTrue(info.extra.finite)
      self.assertEqual(np.isfinite(info.extra.cosine).all(), measuring)
    for part in MODEL_PARTS:
      after = _bits(getattr(model, part))
      if part == 'representation':
        self.assertEqual(after, before[part])
      else:
        moved = [a != b for a, b in zip(after, before[part], strict=True)]
        # Biases before a normalisation have a gradient of about 0.
        self.assertGreater(np.mean(moved), .9, part)
    self.assertLen(agent.optimizer.velocity, len(model.trainable_variables))
    self.assertEqual(_bits(agent.target_network._target.representation),
                     before['representation'])

  def test_gradients_are_those_of_a_slow_twin(self):
    parts = _parts()
    settings = parts.stages['finetune'].learner
    model = build_world_model(parts.description, seed=3)
    twin = build_world_model(parts.description, seed=3)
    for one, other in zip(model.variables, twin.variables, strict=True):
      # Statistics that are not those of the batch.
      one.assign_add(tf.fill(one.shape, .01))
      other.assign(one)
    others = [v for part in MODEL_PARTS[1:]
              for v in getattr(twin, part).trainable_variables]
    encode = twin.representation
    model.freeze(['representation'])
    unroll = _batch(parts)
    targets = training_batches.random_targets(
        sum(_ROWS), unroll_steps=2, num_actions=parts.target.num_actions)
    seed = tf.constant([1, 2])
    views = unroll_loss.training_views(unroll, settings, seed)
    action = unroll_loss.training_actions(
        unroll, settings, parts.target.num_actions, seed)

    def gradient(trained, variables):
      with tf.GradientTape() as tape:
        said = unroll_loss.unroll_model(trained, views, action, settings)
        loss = tf.reduce_mean(unroll_loss.weighted_sum(
            unroll_loss.loss_parts(said, targets, settings.support), settings))
      return tape.gradient(loss, variables)

    ours = gradient(model, [v for part in MODEL_PARTS[1:]
                            for v in getattr(model, part).trainable_variables])
    call = type(encode).call

    def encode_slowly(layer, x, training=False):
      del training
      return tf.stop_gradient(call(layer, x, training=False))

    with mock.patch.object(type(encode), 'call', encode_slowly):
      expected = gradient(twin, others)
    self.assertLen(model.trainable_variables, len(others))
    for one, other in zip(ours, expected, strict=True):
      self.assertAllClose(one, other, rtol=1e-5, atol=1e-6)


class SessionsTest(_Test):
  """Checkpoints of a model with a frozen part."""

  def setUp(self):
    super().setUp()
    self.parts = _parts('student/xtra_tf.experiments.StageSettings.updates = 4',
                        'student/xtra_tf.experiments.StageSettings.'
                        'save_interval = 2')
    run = RunDirectory(self.create_tempdir().full_path)
    run.begin({}, seed=0, command='')
    self.directory = run.stage('student')
    self.first = build_world_model(self.parts.description, seed=9)
    self.first.build_variables()
    self.folder = os.path.join(run.path, 'first')
    save_world_model(self.first, self.folder, self.parts.description)
    data = os.path.join(run.path, 'own')
    self.task = write(data, 'tiny:collect', lengths=(30, 20))
    self.log = EpisodeLog(data)

  def _train(self, frozen=('representation',)):
    return training.train(self.parts, TrainingPlan(
        stage='student', title='', directory=self.directory,
        tasks=(self.task,), rows=(6,), targets='stored',
        logs={self.task.name: self.log}, initial_weights=self.folder,
        frozen=frozen))

  def test_a_killed_session_goes_on(self):
    original, steps = StepLearner.run, []

    def run(learner, *args, **kwargs):
      steps.append(int(learner.train_step.numpy()))
      if len(steps) == 4:
        raise KeyboardInterrupt
      return original(learner, *args, **kwargs)

    with mock.patch.object(StepLearner, 'run', run):
      with self.assertRaises(KeyboardInterrupt):
        self._train()
      self.assertEqual(resolve_checkpoint(self.directory.path).step, 2)
      with self.assertRaisesRegex(CheckpointError, 'velocity|optimizer'):
        self._train(frozen=())
      self._train()
    self.assertEqual(steps, [0, 1, 2, 3, 2, 3])
    trained = build_world_model(self.parts.description, seed=1)
    restore_world_model(trained, self.directory.path)
    for part in MODEL_PARTS:
      same = _bits(getattr(trained, part)) == _bits(getattr(self.first, part))
      self.assertEqual(same, part == 'representation', part)


class SettingsTest(_Test):

  def test_the_ablation_freezes_the_representation_alone(self):
    self.assertEqual(_parts().transfer,
                     TransferSettings(frozen=('representation',)))

  @parameterized.parameters(
      (dict(frozen='dynamics'), r"frozen is the text 'dynamics'.*\('dyn"),
      (dict(frozen=('dynamic',)), 'frozen names .dynamic.. Did you mean dyna'),
      (dict(frozen=('dynamics', 'dynamics')), 'frozen names a part twice'),
      (dict(frozen=('prediction',), parts=('dynamics',)),
       'frozen names prediction, which is not transferred: parts are dynamics'),
      (dict(frozen=('dynamics',), parts=()), 'parts are none'),
      (dict(frozen=MODEL_PARTS), 'frozen names all parts'))
  def test_refused(self, fields, message):
    with self.assertRaisesRegex(UsageError, message):
      TransferSettings(**fields)


if __name__ == '__main__':
  tf.test.main()
