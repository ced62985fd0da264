"""An evaluator beside a learner: which saves it plays, and which it cannot."""

import itertools
import os
import time
from unittest import mock

import tensorflow as tf

from xtra_tf.errors import CheckpointError, UnreachableError, UsageError
from xtra_tf.evaluation import Evaluator, results
from xtra_tf.experiments import configuration, roles, save_following
from xtra_tf.experiments.save_following import (
  Followed,
  FollowSettings,
  SaveFollower,
)
from xtra_tf.models.registry import build_world_model
from xtra_tf.replay import patience
from xtra_tf.runs import RunDirectory
from xtra_tf.runs.manifest import manifest_path
from xtra_tf.variables import ManifestedCheckpoints, save_model_description

_GIN = ['protocols/smoke.gin']
_BINDINGS = ['NUM_SIMULATIONS = 2',
             'xtra_tf.planning.MctsPlanner.compile_search = False',
             'xtra_tf.evaluation.EvaluationSettings.episodes = 2']


class SaveFollowerTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.root = os.path.join(self.create_tempdir().full_path, 'run')
    self.said, self.ticks = [], iter(())
    self.clock = mock.Mock(sleep=self.tick, monotonic=time.monotonic)
    for module in (patience, save_following):
      self.enter_context(mock.patch.object(module, 'time', self.clock))

  def tick(self, seconds):
    """While the follower waits, the run goes on by one of its events."""
    del seconds
    next(self.ticks)()

  def begin(self):
    """What a learner does before its first save."""
    configuration.parse(_GIN, _BINDINGS)
    description = roles.resolve_parts(0).description
    directory = RunDirectory(self.root)
    directory.begin(configuration.run_settings(), seed=0, command='')
    directory.record_stage('scratch/tiny:catch', 'running')
    self.stage = directory.stage('scratch', 'tiny:catch')
    save_model_description(self.stage.path, description)
    self.model = build_world_model(description, seed=0)
    self.model.build_variables()
    self.checkpoints = ManifestedCheckpoints(self.stage)
    self.checkpoints.prepare()

  def write(self, step):
    """A save without its manifest."""
    for index, variable in enumerate(self.model.trainable_variables):
      variable.assign(.3 * tf.random.stateless_normal(
          variable.shape, [step, index]))
    tf.train.Checkpoint(agent=tf.train.Checkpoint(world_model=self.model)
                        ).write(self.prefix(step))

  def save(self, *steps):
    for step in steps:
      self.write(step)
      self.checkpoints.commit(step, 10 * step)

  def prefix(self, step):
    return os.path.join(self.stage.checkpoints, f'ckpt-{step}')

  def lose_files(self, step):
    os.unlink(self.prefix(step) + '.index')

  def lose(self, step):
    """A save is rotated out: its files go before its manifest."""
    os.unlink(manifest_path(self.stage.manifests, step))

  def follower(self, **changes):
    followed = save_following.stage_of_run(self.root, 'scratch', _GIN,
                                           _BINDINGS)
    return SaveFollower(followed, FollowSettings(
        _GIN, _BINDINGS, root_dir=self.root, **changes), self.said.append)

  def steps(self):
    return [(r.step, r.env_steps) for r in
            results.read(RunDirectory(self.root).results)]

  def test_every_save_that_can_be_read_is_played_once(self):
    self.ticks = iter([
        lambda: None, self.begin,
        lambda: self.write(3),  # half of a save
        lambda: self.save(5, 10),
        lambda: (self.save(15), self.lose_files(15)),
        lambda: (self.save(20), self.lose(15)),
        lambda: (self.save(25), self.stage.write_done({'updates': 25}))])
    path = self.follower().run()
    self.assertEqual(path, RunDirectory(self.root).results)
    self.assertEqual(self.steps(), [(10, 100), (20, 200), (25, 250)])
    records = results.read(path)
    self.assertEqual({(r.stage, r.task, len(r.seeds)) for r in records},
                     {('scratch', 'tiny:catch', 2)})
    self.assertEqual(
        self.said[0], 'Passed over: step 5; newer saves came meanwhile.')
    self.assertRegex(
        self.said[1], r'scratch, step 10, 100 environment steps: mean return '
        r'-?[\d.]+ over 2 games')

    # The weights are those of each save, as if it were evaluated alone.
    again = save_following.SaveFollower(
        Followed(self.stage.path, 'tiny:catch'), FollowSettings(
            _GIN, _BINDINGS,
            output=os.path.join(self.root, 'again.jsonl')), self.said.append)
    again.run()
    alone, = results.read(os.path.join(self.root, 'again.jsonl'))
    self.assertEqual(alone.statistics, records[-1].statistics)
    self.assertNotEqual(alone.statistics, records[0].statistics)

    # What is known is not played again.
    with mock.patch.object(Evaluator, 'run', side_effect=AssertionError):
      self.assertEqual(self.follower().run(), path)

  def test_a_newest_save_that_stays_damaged_is_an_error(self):
    self.begin()
    self.save(5)
    self.lose_files(5)
    self.ticks = iter([lambda: None] * 2)
    with self.assertRaisesRegex(CheckpointError, 'save of step 5 is damaged'):
      self.follower().run()

  def test_it_waits_with_a_word_and_not_for_ever(self):
    now = [0.]
    self.clock.monotonic = lambda: now[0]

    def pass_time():
      now[0] += 1.
    self.ticks = itertools.repeat(pass_time)
    with self.assertRaisesRegex(
        UnreachableError, r'Waited for the learner of .*scratch/tiny.catch, '
        r'which has made no save yet, for 60 s'):
      self.follower(max_wait_seconds=60.).run()
    self.assertLen(self.said, 5)

  def test_a_single_save_has_no_followers(self):
    with self.assertRaisesRegex(UsageError, 'Expected the folder of a stage'):
      SaveFollower(Followed('runs/x/train/checkpoints/ckpt-7', 'tiny:catch'),
                   FollowSettings(), self.said.append)

  def test_stages_by_name(self):
    def of(stage):
      found = save_following.stage_of_run('r', stage, _GIN, _BINDINGS)
      return os.path.relpath(found.folder, 'r'), found.task
    self.assertEqual(of('student'), ('student', 'tiny:catch'))
    self.assertEqual(of('finetune'), ('finetune/tiny.catch', 'tiny:catch'))
    self.assertEqual(of('teacher/tiny:cross'),
                     ('teacher/tiny.cross', 'tiny:cross'))
    for wrong in ('scratsch', 'teacher', 'student/tiny:cross'):
      with self.assertRaisesRegex(UsageError, 'teacher/TASK, student'):
        of(wrong)


if __name__ == '__main__':
  tf.test.main()
