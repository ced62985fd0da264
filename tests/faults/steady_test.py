"""A stage at work takes no more of the machine than it did after a while.

The long form is long_run.py: an hour, four processes, memory.
"""

import collections
import contextlib
import gc
import os
import threading
from unittest import mock

from absl.testing import absltest
import gin
import tensorflow as tf
from tensorflow.python.framework import func_graph

from tests.faults import footprints
from xtra_tf.experiments import configuration, roles
from xtra_tf.experiments.training import train
from xtra_tf.experiments.training_plan import TrainingPlan
from xtra_tf.runs import RunDirectory
from xtra_tf.workers import StepLearner

_UPDATES, _WARM = 120, 40
# As far behind a save, a line of metrics and new weights as at _WARM: what is
# kept until the next of them is the same.
_LAST = 100
_STAGE = 'scratch/xtra_tf.experiments.StageSettings.'
_BINDINGS = (
    'NUM_SIMULATIONS = 2', 'BATCH_SIZE = 8',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 1',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    'xtra_tf.experiments.ReplaySettings.max_size = 100',
    f'{_STAGE}updates = {_UPDATES}', f'{_STAGE}env_steps = 300',
    f'{_STAGE}updates_per_env_step = 0.5', f'{_STAGE}start_env_steps = 60',
    f'{_STAGE}num_envs = 2', f'{_STAGE}acting_update_period = 3',
    f'{_STAGE}evaluation_interval = 0', f'{_STAGE}save_interval = 20',
    f'{_STAGE}log_interval = 10')


def _handles():
  """What tests before this one have left open or running, too."""
  files = set()
  for number in os.listdir('/proc/self/fd'):
    with contextlib.suppress(FileNotFoundError):  # the listing's own
      files.add((number, os.readlink(f'/proc/self/fd/{number}')))
  return {'files': files, 'tasks': set(os.listdir('/proc/self/task')),
          'threads': set(threading.enumerate())}


def _counts(graphs, before):
  """What this process has now, beyond the handles that it had before."""
  gc.collect()
  handles = {name: len(found - before[name])
             for name, found in _handles().items()}
  return {**handles, 'graphs': graphs[0],
          'objects': len(gc.get_objects()),
          'tensors': sum(isinstance(thing, tf.Tensor)
                         for thing in gc.get_objects())}


class SteadyTest(absltest.TestCase):

  def test_no_retraces_threads_files_or_objects_after_the_warm_up(self):
    self.addCleanup(gin.clear_config)
    self.addCleanup(
        configuration.ExecutionSettings(graph_optimizer=True).apply)
    configuration.parse(['protocols/smoke.gin'], _BINDINGS)
    configuration.ExecutionSettings(graph_optimizer=False).apply()
    parts = roles.resolve_parts(seed=0)
    directory = RunDirectory(self.create_tempdir().full_path).stage(
        'scratch', parts.target.name)
    plan = TrainingPlan(
        stage='scratch', title='', directory=directory, tasks=(parts.target,),
        rows=(8,), targets='reanalyzed', logs={}, online=True)
    seen, graphs = collections.OrderedDict(), [0]
    gc.collect()
    before = _handles()
    run, make_graph = StepLearner.run, func_graph.FuncGraph.__init__

    def counting_run(learner, iterations=1, **kwargs):
      step = int(learner.train_step_numpy)
      if step in (_WARM, _LAST):
        seen[step] = _counts(graphs, before)
      return run(learner, iterations, **kwargs)

    def counting_graph(graph, *args, **kwargs):
      graphs[0] += 1
      make_graph(graph, *args, **kwargs)

    with mock.patch.object(StepLearner, 'run', counting_run), (
        mock.patch.object(func_graph.FuncGraph, '__init__', counting_graph)):
      train(parts, plan)
    first, last = seen.values()
    self.assertGreater(first['graphs'], 0)
    for name in ('graphs', 'threads', 'files', 'tasks'):
      self.assertEqual(last[name], first[name], name)
    # Those of earlier tests may go meanwhile.
    self.assertLessEqual(last['tensors'], first['tensors'])
    # Games are remembered in the ledger of priorities, a few objects each.
    self.assertLess(last['objects'] - first['objects'], 200)
    saves = {name.split('.')[0] for name in os.listdir(directory.checkpoints)
             if name.startswith('ckpt-')}
    self.assertLessEqual(len(saves), 3)


class VerdictTest(absltest.TestCase):
  """What the hour's run is judged by."""

  def lines(self, **growing):
    """An hour of samples; what grows, and by how much in all."""
    return [{'seconds': 10. * i, 'updates': 20 * i, 'roles': {'learner': {
        'pid': 1, **{name: start + growing.get(name, 0.) * max(0, i - 90) / 270
                     for name, start in (('anonymous', 900.), ('files', 20),
                                         ('threads', 60))}}}}
            for i in range(361)]

  def test_flat(self):
    found = footprints.verdict(self.lines())
    self.assertTrue(found['flat'])
    self.assertEqual(found['samples'], 271)
    self.assertEqual(found['updates'], 5400)

  def test_what_grows_is_not(self):
    for name, growth in (('anonymous', 4.), ('files', 2), ('threads', 2)):
      found = footprints.verdict(self.lines(**{name: growth}))
      self.assertFalse(found['flat'], name)
    # 4 MiB in three quarters of an hour.
    found = footprints.verdict(self.lines(anonymous=4.))['roles']['learner']
    self.assertAlmostEqual(found['mib_per_hour'], 5.33, places=1)
    self.assertAlmostEqual(found['mib_per_10000_updates'], 7.41, places=1)

  def test_a_warm_up_is_not_judged_and_a_restart_is(self):
    lines = self.lines()
    lines[10]['roles']['learner']['anonymous'] = 100.
    self.assertTrue(footprints.verdict(lines)['flat'])
    lines[-1]['roles']['learner']['pid'] = 2
    self.assertFalse(footprints.verdict(lines)['flat'])

  def test_this_process(self):
    found = footprints.look(os.getpid())
    self.assertGreater(found['rss'], found['anonymous'])
    self.assertEqual(found['files'] > 2, True)
    self.assertGreaterEqual(found['threads'], threading.active_count())


if __name__ == '__main__':
  absltest.main()
