"""Bad input gets one clear message and its exit code, before any training."""

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from tests.end_to_end import tiny_run
from xtra_tf import errors
from xtra_tf.episodes import EpisodeLogWriter, StepRow
from xtra_tf.experiments import local_run
from xtra_tf.replay import ReplayServer, TableSpec, WindowSpec
from xtra_tf.runs import RunDirectory
from xtra_tf.tasks import get_task

_SOURCE = tiny_run.SOURCES[0]


def _write_log(folder, task, steps=30):
  """A small episode log of a task, as a user may bring one."""
  random = np.random.default_rng(0)
  writer = EpisodeLogWriter(folder, task, columns=(), block_steps=10)
  for step in range(steps + 1):
    writer.append(StepRow(
        observation=random.integers(0, 256, task.observation_shape, np.uint8),
        action=int(task.legal_actions[0]), search=None, reward=0.,
        raw_reward=0., terminal=step == steps - 1, truncated=False,
        life_loss=False, real=step < steps, root_value=None,
        bootstrap_value=None, has_search=False, env_step=step))
  writer.end_episode('terminal')
  writer.close()


@contextlib.contextmanager
def _memory_disk(folder, options):
  """A file system of its own; yields False where mounting is not allowed."""
  mounted = subprocess.run(
      ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder],
      capture_output=True, check=False).returncode == 0
  try:
    yield mounted
  finally:
    if mounted:
      subprocess.run(['umount', folder], check=True)


class BadInputTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)
    self.root = os.path.join(self.folder, 'run')
    self.data = os.path.join(self.folder, 'data')
    # Whatever gets this far would train.
    stages = mock.patch.object(local_run.stages, 'run_stages',
                               side_effect=AssertionError('would train'))
    stages.start()
    self.addCleanup(stages.stop)

  def refused(self, error_type, code, *texts, bindings=(), root=None,
              gin_file=tiny_run.GIN_FILE, **arguments):
    """Asserts that a run is refused; returns the message."""
    with self.assertRaises(error_type) as caught:
      local_run.run_xtra(root or self.root, gin_files=[gin_file],
                         gin_bindings=bindings, **arguments)
    message = str(caught.exception)
    self.assertEqual(caught.exception.exit_code, code)
    for text in texts:
      self.assertIn(text, message)
    return message

  def assert_one_message(self, result, code, *texts):
    """Asserts what the launcher says and how it ends."""
    self.assertEqual(result.returncode, code, result.stderr[-3000:])
    self.assertTrue(result.stderr.startswith('error: '), result.stderr)
    self.assertEqual(result.stderr.count('error: '), 1, result.stderr)
    self.assertNotIn('Traceback', result.stderr)
    self.assertEqual(result.stdout, '')
    for text in texts:
      self.assertIn(text, result.stderr)

  def assert_not_begun(self):
    """Asserts that the launcher has made nothing but its log folder."""
    if os.path.exists(self.root):
      self.assertEqual(os.listdir(self.root), ['logs'])

  def test_unknown_game_by_the_launcher(self):
    result = tiny_run.launch(self.root, ['TARGET_TASK = "Asault"'])
    self.assert_one_message(result, errors.EXIT_USAGE,
                            "Unknown task 'Asault'", 'Did you mean Assault')
    self.assert_not_begun()

  @parameterized.parameters(
      ('TARGET_TASK = "tiny:cach"', "'tiny:cach'", 'tiny:catch'),
      ('SOURCE_TASKS = ("tiny:colect",)', "'tiny:colect'", 'tiny:collect'),
      ('SOURCE_TASKS = "tiny:cross"', "the text 'tiny:cross'", "('tiny:cross',"
       ),
      ('SOURCE_TASKS = ("tiny:catch",)', 'tiny:catch is also a source',
       'not among SOURCE_TASKS'),
      ('TARGET_TASK = "Assault"', 'cannot share a network', '(10, 10, 10)'))
  def test_tasks(self, binding, *texts):
    error_type, code = errors.UsageError, errors.EXIT_USAGE
    if 'network' in texts[0]:
      error_type, code = errors.IncompatibleDataError, errors.EXIT_BAD_DATA
    self.refused(error_type, code, *texts, bindings=[binding])
    self.assertFalse(os.path.exists(self.root))

  @parameterized.parameters(
      ('NUM_SIMULATION = 3', 'NUM_SIMULATION is no', 'NUM_SIMULATIONS'),
      ('xtra_tf.learners.LearnerSettings.learning_rat = 1', "'learning_rat'",
       'LearnerSettings.learning_rate'),
      ('xtra_tf.learners.LearnerSetting.stack = 1', 'LearnerSetting',
       'LearnerSettings.stack'),
      ('teachr/xtra_tf.experiments.StageSettings.updates = 3',
       'of the scope teachr', 'Did you mean teacher?'),
      ('TARGET_TASK = Alien', "'Alien'", 'in quotes'),
      ('BATCH_SIZE = "x"', "batch_size is 'x'", 'whole number'),
      ('ENV_STEPS = -3', 'env_steps is -3', 'at least 0'),
      ('import os', '`import o', 'none is accepted'))
  def test_gin(self, binding, *texts):
    message = self.refused(errors.UsageError, errors.EXIT_USAGE, *texts,
                           bindings=[binding])
    self.assertLess(len(message), 700)
    self.assertFalse(os.path.exists(self.root))

  def test_missing_gin_file(self):
    self.refused(errors.UsageError, errors.EXIT_USAGE,
                 'no gin file protocols/smok.gin', 'protocols/smoke.gin',
                 gin_file='protocols/smok.gin')

  def test_data_of_another_resolution(self):
    _write_log(self.data, get_task('Phoenix', resolution=64, grayscale=True))
    self.refused(
        errors.IncompatibleDataError, errors.EXIT_BAD_DATA, self.data,
        'observation_shape', '[64, 64, 1]', '[48, 48, 1]',
        gin_file='protocols/demo.gin', task_data={'Phoenix': self.data},
        bindings=['TARGET_TASK = "Assault"', 'SOURCE_TASKS = ("Phoenix",)',
                  'xtra_tf.experiments.TaskSettings.resolution = 48',
                  'xtra_tf.experiments.TaskSettings.grayscale = True'])

  def test_data_of_another_action_set(self):
    task = get_task(_SOURCE)
    other = dataclasses.replace(
        task, num_actions=task.num_actions + 1,
        action_names=(*task.action_names, 'JUMP'))
    _write_log(self.data, other)
    self.refused(errors.IncompatibleDataError, errors.EXIT_BAD_DATA, self.data,
                 'num_actions', '7', '6', task_data={_SOURCE: self.data})

  def test_data_of_no_source_task(self):
    _write_log(self.data, get_task('tiny:dodge'))
    self.refused(errors.UsageError, errors.EXIT_USAGE, 'tiny:dodge',
                 'not a source task', task_data={'tiny:dodge': self.data})
    self.refused(errors.IncompatibleDataError, errors.EXIT_BAD_DATA,
                 'tiny:dodge', _SOURCE, task_data={_SOURCE: self.data})

  def test_no_data(self):
    self.refused(errors.DataFileError, errors.EXIT_BAD_DATA, self.data,
                 task_data={_SOURCE: self.data})
    os.mkdir(self.data)
    self.refused(errors.DataFileError, errors.EXIT_BAD_DATA,
                 os.path.join(self.data, 'dataset.json'),
                 task_data={_SOURCE: self.data})
    EpisodeLogWriter(self.data, get_task(_SOURCE), ()).close()
    self.refused(errors.DataFileError, errors.EXIT_BAD_DATA, self.data,
                 'holds no step', task_data={_SOURCE: self.data})

  def test_truncated_shard_by_the_launcher(self):
    _write_log(self.data, get_task(_SOURCE))
    shard = os.path.join(self.data, '0', 'shard-00000.tfrecord')
    os.truncate(shard, os.path.getsize(shard) - 7)
    result = tiny_run.launch(
        self.root, flags=[f'--task_data={_SOURCE}={self.data}'])
    self.assert_one_message(result, errors.EXIT_BAD_DATA, shard, 'truncated')
    self.assert_not_begun()

  @parameterized.parameters(0, 1)
  def test_damaged_shard(self, byte):
    _write_log(self.data, get_task(_SOURCE))
    shard = os.path.join(self.data, '0', 'shard-00000.tfrecord')
    if byte:
      with open(shard, 'r+b') as file:
        file.seek(os.path.getsize(shard) // 2)
        content = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([content[0] ^ byte]))
    else:
      os.truncate(shard, 0)
    self.refused(errors.DataFileError, errors.EXIT_BAD_DATA, shard, 'record',
                 task_data={_SOURCE: self.data})

  def test_good_data_would_train(self):
    _write_log(self.data, get_task(_SOURCE))
    with self.assertRaisesRegex(AssertionError, 'would train'):
      local_run.run_xtra(self.root, gin_files=[tiny_run.GIN_FILE],
                         gin_bindings=(), task_data={_SOURCE: self.data})

  def test_root_dir_of_a_run_with_other_settings(self):
    with self.assertRaisesRegex(AssertionError, 'would train'):
      local_run.run_xtra(self.root, gin_files=[tiny_run.GIN_FILE],
                         gin_bindings=['NUM_SIMULATIONS = 3'])
    before = tiny_run.digests(self.root)
    self.refused(
        errors.SettingsChangedError, errors.EXIT_USAGE, self.root,
        'NUM_SIMULATIONS: 3 -> 5', 'flag:seed: 0 -> 1',
        '--accept_config_change', bindings=['NUM_SIMULATIONS = 5'], seed=1)
    self.assertEqual(tiny_run.digests(self.root), before)
    self.assertLen(RunDirectory(self.root).record['sessions'], 1)

  def test_root_dir_in_use_by_another_process(self):
    holder = subprocess.Popen(
        [sys.executable, '-c', 'import sys; from xtra_tf.runs import RunLock\n'
         'with RunLock(sys.argv[1]): print("held", flush=True); '
         'sys.stdin.read()', self.root], cwd=tiny_run.ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
      self.assertEqual(holder.stdout.readline(), 'held\n')
      result = tiny_run.launch(self.root)
      self.assert_one_message(
          result, errors.EXIT_USAGE, f'{self.root} is in use',
          f'process {holder.pid}')
    finally:
      holder.communicate('')
    self.assertFalse(os.path.exists(os.path.join(self.root, 'run.json')))

  def test_no_room_on_the_disk(self):
    os.mkdir(self.data)
    root = os.path.join(self.data, 'run')
    with _memory_disk(self.data, 'size=4m') as mounted:
      if mounted:
        self.root = root
        result = tiny_run.launch(root)
        self.assert_one_message(
            result, errors.EXIT_IO, f'No space left: {root} needs 500.0 MiB',
            'free are 4.0 MiB')
      else:
        # Without the right to mount, the system's answer is made up.
        usage = shutil.disk_usage(self.data)._replace(free=4 * 2**20)
        with mock.patch.object(shutil, 'disk_usage', return_value=usage):
          self.refused(
              errors.StorageError, errors.EXIT_IO, 'No space left',
              'needs 500.0 MiB', 'free are 4.0 MiB', root=root)
      self.assert_not_begun()

  def test_root_dir_is_a_file(self):
    with open(self.root, 'w', encoding='utf-8') as file:
      file.write('mine')
    self.refused(errors.StorageError, errors.EXIT_IO, self.root)
    self.assert_one_message(tiny_run.launch(self.root), errors.EXIT_IO,
                            f'Cannot write {self.root}')
    with open(self.root, encoding='utf-8') as file:
      self.assertEqual(file.read(), 'mine')

  def test_root_dir_below_a_file(self):
    with open(self.data, 'w', encoding='utf-8') as file:
      file.write('mine')
    self.refused(errors.StorageError, errors.EXIT_IO, self.data,
                 root=os.path.join(self.data, 'run'))

  def test_root_dir_that_cannot_be_written(self):
    os.mkdir(self.data)
    root = os.path.join(self.data, 'run')
    # To root, permissions say nothing, but a read-only file system does.
    with _memory_disk(self.data, 'size=1g,ro') as mounted:
      if not mounted:
        if os.geteuid() == 0:
          self.skipTest('root may write everywhere, and cannot mount here')
        os.chmod(self.data, 0o500)
        self.addCleanup(os.chmod, self.data, 0o700)
      self.refused(errors.StorageError, errors.EXIT_IO, f'Cannot write {root}',
                   'may write to', root=root)

  def test_port_that_is_taken(self):
    with socket.socket() as other:
      other.bind(('', 0))
      other.listen()
      port = other.getsockname()[1]
      window = WindowSpec(
          stack=1, unroll_steps=2, td_steps=2, observation_shape=(10, 10, 10),
          observation_dtype='uint8', target_shape=(6,))
      with self.assertRaises(errors.UnreachableError) as caught:
        ReplayServer([TableSpec('tiny:catch', max_size=10)], window, port=port)
    self.assertIn(f'port {port}', str(caught.exception))
    self.assertIn('Expected a free port', str(caught.exception))
    self.assertEqual(caught.exception.exit_code, errors.EXIT_UNREACHABLE)


if __name__ == '__main__':
  absltest.main()
