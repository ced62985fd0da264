"""Stages trained by two processes, and what becomes of their saves."""

import json
import os
import signal
import sys

from absl.testing import absltest
import portpicker
import pytest

from tests.end_to_end import tiny_run
from tests.end_to_end.learner_processes import LearnerProcesses
from tests.experiments import offline_sets
from xtra_tf.runs import RunDirectory, StageDirectory, read_metrics
from xtra_tf.runs.manifest import manifest_steps, verified_manifest

_STAGE = 'xtra_tf.experiments.StageSettings'
_SOURCE = tiny_run.SOURCES[0]
_BINDINGS = (f'SOURCE_TASKS = ({_SOURCE!r},)',
             'xtra_tf.planning.MctsPlanner.compile_search = False',
             f'student/{_STAGE}.updates = 200')
_LEARNERS = ('learner-0', 'learner-1')


def _saved(stage):
  """Updates of the newest save; 0 for none."""
  return max(manifest_steps(stage.manifests), default=0)


@pytest.mark.timeout(3600)
class MultiWorkerTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.root = os.path.join(self.folder, 'run')
    self.jobs = LearnerProcesses(self.folder)
    self.addCleanup(self.jobs.stop)

  def _stage(self, *parts):
    return StageDirectory(os.path.join(self.root, *parts))

  def _assert_complete(self, stage, updates):
    """The save is whole, the metrics are those of one writer."""
    self.assertEqual(stage.read_done()['updates'], updates)
    self.assertEqual(_saved(stage), updates)
    verified_manifest(stage.manifests, stage.checkpoints, updates)
    steps = [row['step'] for row in read_metrics(stage.metrics_file('learner'))
             if 'loss/total' in row]
    self.assertEqual(steps, sorted(set(steps)))
    self.assertEqual(steps[-1], updates)

  @pytest.mark.slow
  def test_offline_stages(self):
    data = os.path.join(self.folder, 'data')
    offline_sets.write(data, _SOURCE, (30, 25, 40))
    flags = [f'--task_data={_SOURCE}={data}', '--stages=teacher,student']
    together = tiny_run.command(self.root, _BINDINGS, [
        *flags, '--strategy=multi_worker'])
    teacher = self._stage('teacher', 'tiny.collect')
    self.jobs.start_learners(together)
    self.jobs.until(lambda: _saved(teacher) >= 5)
    # Whoever is asked to end, all end, and what was done is saved.
    self.jobs.signal('learner-1', signal.SIGTERM)
    self.assertEqual(self.jobs.wait(*_LEARNERS), [0, 0], self.jobs.said())
    self.assertIn('Saved:', self.jobs.output('learner-0'))

    student = self._stage('student')
    self.jobs.start_learners(together)
    self.jobs.until(lambda: _saved(student) >= 5)
    self._assert_complete(teacher, tiny_run.UPDATES['teacher'])
    # Whoever is lost, the others say so.
    self.jobs.signal('learner-1', signal.SIGKILL)
    self.assertEqual(self.jobs.wait(*_LEARNERS), [69, -signal.SIGKILL],
                     self.jobs.said())
    self.assertIn('has lost the others', self.jobs.output('learner-0'))
    self.assertNotIn('Traceback', self.jobs.output('learner-0'))

    before = _saved(student)
    self.assertLess(before, 200)
    self.jobs.start('alone', tiny_run.command(self.root, _BINDINGS, flags))
    self.assertEqual(self.jobs.wait('alone'), [0], self.jobs.said())
    self._assert_complete(student, 200)
    self.assertEqual(
        [stage['state'] for stage in
         RunDirectory(self.root).record['stages'].values()], ['done'] * 2)

  @pytest.mark.slow
  def test_a_stage_that_plays(self):
    updates, saves, env_steps = 40, 10, 200
    bindings = (
        'xtra_tf.planning.MctsPlanner.compile_search = False',
        f'scratch/{_STAGE}.updates = {updates}',
        f'scratch/{_STAGE}.env_steps = {env_steps}',
        f'scratch/{_STAGE}.start_env_steps = 80',
        f'scratch/{_STAGE}.updates_per_env_step = 0.25',
        f'scratch/{_STAGE}.save_interval = {saves}',
        f'scratch/{_STAGE}.evaluation_interval = 20')
    port = portpicker.pick_unused_port()
    scratch = self._stage('scratch', 'tiny.catch')

    def command(launcher, *flags):
      return tiny_run.command(self.root, bindings, ['--stage=scratch', *flags],
                              launcher)

    address = f'--replay_address=localhost:{port}'
    self.jobs.start_learners(command('train', address,
                                     '--strategy=multi_worker'))
    self.jobs.start('collector', command('collect', address, '--collector=0',
                                         '--collectors=1'))
    self.jobs.start('server', command('replay_server', f'--port={port}'))
    self.assertEqual(self.jobs.wait(*_LEARNERS, 'collector'), [0, 0, 0],
                     self.jobs.said())
    self._assert_complete(scratch, updates)
    self.assertEqual(scratch.read_done()['env_steps'], env_steps)
    # Both have drawn, and set priorities, on one server.
    with open(os.path.join(scratch.manifests, f'{updates}.json'),
              encoding='utf-8') as file:
      self.assertGreater(json.load(file)['state']['maximum_priority'], 0.)
    self.assertEqual(
        [row for row in read_metrics(scratch.metrics_file('learner'))
         if 'eval/tiny:catch/return_mean' in row][0]['step'], 20)
    # One process plays with what two have learned.
    self.jobs.start('evaluation', [
        sys.executable, '-m', 'launchers.evaluate',
        f'--checkpoint={scratch.path}', f'--task={tiny_run.TARGET}',
        '--episodes=2', f'--output={self.folder}/played.jsonl'])
    self.assertEqual(self.jobs.wait('evaluation'), [0], self.jobs.said())


if __name__ == '__main__':
  absltest.main()
