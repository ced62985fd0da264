"""Devices of the learner: what is refused before any time is spent."""

import json
import os
from unittest import mock

from absl.testing import parameterized
import gin
import tensorflow as tf
from tf_agents.train.utils import strategy_utils

from xtra_tf.errors import UnreachableError, UsageError
from xtra_tf.experiments import (
  cluster_config,
  configuration,
  roles,
  strategies,
)

_WORKERS = ['a:1', 'b:2']


def _config(cluster, kind='worker', index=0):
  return json.dumps({'cluster': cluster,
                     'task': {'type': kind, 'index': index}})


class ClusterConfigTest(parameterized.TestCase):

  @parameterized.parameters(
      ({'worker': _WORKERS}, 'worker', 1, _WORKERS, 1),
      ({'worker': _WORKERS, 'chief': ['c:3']}, 'chief', 0, ['c:3', *_WORKERS],
       0),
      ({'worker': _WORKERS, 'chief': ['c:3']}, 'worker', 1,
       ['c:3', *_WORKERS], 2))
  def test_place(self, cluster, kind, index, addresses, place):
    found = cluster_config.read({'TF_CONFIG': _config(cluster, kind, index)})
    self.assertEqual(list(found.addresses), addresses)
    self.assertEqual(found.place, place)

  def test_example_of_the_messages(self):
    found = cluster_config.read({'TF_CONFIG': cluster_config.EXAMPLE})
    self.assertLen(found.addresses, 2)

  @parameterized.named_parameters(
      ('missing', None, 'is not set'),
      ('empty', ' ', 'is not set'),
      ('no_json', '{', 'is no JSON'),
      ('a_list', '[]', "no entry 'cluster'"),
      ('no_cluster', '{"task": {}}', "no entry 'cluster'"),
      ('no_task', '{"cluster": {"worker": ["a:1", "b:2"]}}', "entry 'task'"),
      ('strange_job', _config({'ps': ['a:1'], 'worker': _WORKERS}), 'jobs ps'),
      ('no_list', _config({'worker': 'a:1'}), 'no list of addresses'),
      ('no_port', _config({'worker': ['a', 'b:2']}), "the address 'a'"),
      ('number', _config({'worker': [1, 'b:2']}), 'the address 1'),
      ('high_port', _config({'worker': ['a:1', 'b:70000']}), 'b:70000'),
      ('alone', _config({'worker': ['a:1']}), 'names 1 learner'),
      ('twice', _config({'worker': ['a:1', 'a:1']}), 'an address twice'),
      ('two_chiefs', _config({'chief': _WORKERS}, 'chief'), '2 chiefs'),
      ('strange_type', _config({'worker': _WORKERS}, 'chief'),
       "task type 'chief'"),
      ('type_is_a_list', _config({'worker': _WORKERS}, ['worker']),
       'task type'),
      ('no_such_index', _config({'worker': _WORKERS}, index=2), 'index 2'),
      ('true', _config({'worker': _WORKERS}, index=True), 'index True'),
      ('text', _config({'worker': _WORKERS}, index='1'), "index '1'"))
  def test_refused(self, text, found):
    with self.assertRaises(UsageError) as caught:
      cluster_config.read({} if text is None else {'TF_CONFIG': text})
    self.assertIn(found, str(caught.exception))
    self.assertIn(cluster_config.EXAMPLE, str(caught.exception))


class DevicesTest(parameterized.TestCase):

  @parameterized.parameters(
      ('miror', '', 'Did you mean mirrored'),
      ('one', 'local', 'Expected --strategy=tpu'),
      ('mirrored', 'v3', 'Expected --strategy=tpu'),
      ('tpu', '', 'needs --tpu_name'))
  def test_refused(self, strategy, tpu_name, message):
    devices = strategies.Devices(strategy, tpu_name)
    for ask in (devices.check, devices.make):
      with self.assertRaisesRegex(UsageError, message):
        ask()

  def test_cluster_is_looked_at(self):
    with mock.patch.dict(os.environ):
      os.environ.pop('TF_CONFIG', None)
      with self.assertRaisesRegex(UsageError, 'TF_CONFIG, which is not set'):
        strategies.Devices('multi_worker').check()

  def test_one(self):
    strategy = strategies.Devices().make()
    self.assertEqual(strategy.num_replicas_in_sync, 1)

  def test_resolver_gets_the_name(self):
    with mock.patch.object(
        strategy_utils.tf.distribute.cluster_resolver, 'TPUClusterResolver',
        side_effect=ValueError('Nothing there.')) as resolver:
      with self.assertRaisesRegex(
          UnreachableError, 'no TPU at --tpu_name=node-1: .*Nothing there.'):
        strategies.Devices('tpu', 'node-1').make()
    resolver.assert_called_once_with(tpu='node-1')

  def test_this_machine_has_no_tpu(self):
    if tf.config.list_physical_devices('TPU'):
      self.skipTest('It has one.')
    with self.assertRaisesRegex(
        UnreachableError, 'no TPU at --tpu_name=local: NotFoundError'):
      strategies.Devices('tpu', 'local').make()


class StagesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  @parameterized.parameters(
      ((),), (('data',),), (('teacher', 'finetune'),), (('scratch',),))
  def test_stages_that_play_are_not_for_several_processes(self, only):
    with self.assertRaisesRegex(UsageError, 'launchers.train'):
      strategies.check_stages(strategies.Devices('multi_worker'), only)
    strategies.check_stages(strategies.Devices('mirrored'), only)

  def test_stages_for_several_processes(self):
    strategies.check_stages(strategies.Devices('multi_worker'),
                            ('teacher', 'student', 'cloning'))

  def _parts(self, *bindings):
    configuration.parse(['protocols/smoke.gin'],
                        ['BATCH_SIZE = 12', *bindings])
    return roles.resolve_parts(seed=0)

  @parameterized.parameters(
      (('student',), 3), (('teacher',), 4), (('teacher', 'student'), 2))
  def test_batches_that_can_be_shared(self, names, replicas):
    strategies.check_settings(self._parts(), names, _strategy_of(replicas))

  @parameterized.parameters(
      (('student',), 4), (('teacher',), 5), (('teacher', 'student'), 4))
  def test_batches_that_cannot(self, names, replicas):
    with self.assertRaisesRegex(
        UsageError, f'{names[-1]} has .* rows .* which {replicas} replicas'):
      strategies.check_settings(self._parts(), names, _strategy_of(replicas))

  def test_repeatable_stages_are_for_one_process(self):
    parts = self._parts(
        'xtra_tf.experiments.ReplaySettings.with_replacement = False',
        'xtra_tf.experiments.ReplaySettings.repeatable = True')
    strategy = _strategy_of(2, tf.distribute.MultiWorkerMirroredStrategy)
    with self.assertRaisesRegex(UsageError, 'repeatable is True in .* teacher'):
      strategies.check_settings(parts, ('teacher',), strategy)
    strategies.check_settings(parts, ('teacher',), _strategy_of(2))


def _strategy_of(replicas, kind=tf.distribute.MirroredStrategy):
  """There is one device here; what is asked is how many share a batch."""
  strategy = mock.create_autospec(kind, instance=True)
  strategy.num_replicas_in_sync = replicas
  return strategy


if __name__ == '__main__':
  tf.test.main()
