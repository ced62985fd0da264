"""A disk that is full: what was there stays, and the same call goes on.

Imports and exports: interrupted_data_test.py, tests/offline_data.
"""

import os
import re
import subprocess
import tempfile
import time
from typing import Any, Callable, NamedTuple

from absl.testing import absltest, parameterized
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.utils import common

from tests.end_to_end import tiny_run
from tests.evaluation import synthetic_run
from tests.faults import invariants, small_disk
from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.errors import EXIT_IO, StorageError
from xtra_tf.evaluation import results, write_report
from xtra_tf.evaluation.results import Recording, ResultRecord
from xtra_tf.runs import (
  MetricsWriter,
  StageDirectory,
  as_storage_error,
  read_json,
  read_metrics,
  write_json,
)
from xtra_tf.runs.atomic import sweep_temporary
from xtra_tf.tasks import get_task
from xtra_tf.variables import ManifestedCheckpoints

_TASK = get_task('Pong', resolution=64)
_NUMBERS = 100_000  # of random content, more than a full disk takes
_LEFT = 16_384
_LONGER = ('scratch/xtra_tf.experiments.StageSettings.updates = 300',)


def _random(number: int, *shape: int) -> np.ndarray:
  return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def _save(folder: str, number: int) -> None:
  """As a learner does."""
  stage = StageDirectory(folder)
  step = tf.Variable(number, dtype=tf.int64)
  content = tf.Variable(np.arange(_NUMBERS, dtype=np.float32) + number)
  checkpoints = ManifestedCheckpoints(stage)
  checkpoints.prepare()
  saver = common.Checkpointer(
      stage.checkpoints, max_to_keep=3, agent=tf.train.Checkpoint(x=content),
      train_step=step)
  step.assign(number)
  content.assign(np.arange(_NUMBERS, dtype=np.float32) + number)
  with as_storage_error(stage.checkpoints, 4 * _NUMBERS):
    saver.save(step)
  checkpoints.commit(number, 10 * number, {})


def _saved(folder: str) -> Any:
  stage = StageDirectory(folder)
  manifest = ManifestedCheckpoints(stage).prepare()
  path = os.path.join(stage.checkpoints, f'ckpt-{manifest.step}')
  reader = tf.train.load_checkpoint(path)
  [name] = [n for n in reader.get_variable_to_shape_map() if '/x/' in n]
  return manifest.step, reader.get_tensor(name)[0]


def _save_arrays(folder: str, number: int) -> None:
  """The weights find room, the priorities do not."""
  stage = StageDirectory(folder)
  checkpoints = ManifestedCheckpoints(stage)
  checkpoints.prepare()
  saver = common.Checkpointer(
      stage.checkpoints, max_to_keep=3,
      train_step=tf.Variable(number, dtype=tf.int64))
  with as_storage_error(stage.checkpoints):
    saver.save(tf.constant(number))
  checkpoints.commit(number, 10 * number, {}, {
      'priority/0': _random(number, 4 * _NUMBERS)})


def _saved_arrays(folder: str) -> Any:
  checkpoints = ManifestedCheckpoints(StageDirectory(folder))
  manifest = checkpoints.prepare()
  return manifest.step, checkpoints.arrays()['priority/0'].tobytes()


def _play(folder: str, number: int) -> None:
  """A game into an episode log."""
  writer = EpisodeLogWriter(folder, _TASK, ())
  frames = _random(number, 21, *_TASK.observation_shape)
  for step, frame in enumerate(frames):
    writer.append(StepRow(
        observation=frame, action=_TASK.legal_actions[0], search=None,
        reward=0., raw_reward=1., terminal=step == 19, truncated=False,
        life_loss=False, real=step < 20, root_value=None, bootstrap_value=None,
        has_search=False, env_step=step))
  writer.end_episode('terminal')
  writer.close()


def _played(folder: str) -> Any:
  log = EpisodeLog(folder)
  log.verify()
  return log.digest()


def _log_metrics(folder: str, number: int) -> None:
  with MetricsWriter(os.path.join(folder, 'learner.jsonl')) as writer:
    writer.write(number, 0, {f'a/{i}': float(i) for i in range(3000)})


def _logged(folder: str) -> Any:
  return [row['step'] for row in read_metrics(
      os.path.join(folder, 'learner.jsonl'))]


def _evaluate(folder: str, number: int) -> None:
  path = os.path.join(folder, 'eval', 'results.jsonl')
  results.append(path, ResultRecord(
      run='r', stage='finetune', task='tiny:catch', step=number, env_steps=9,
      profile='fixed', codec='lossless', seeds=tuple(range(4000)),
      returns=(1.,) * 4000, lengths=(7,) * 4000, truncated=(False,) * 4000,
      statistics={}), Recording(0, (1,) * 4000, (0.5,) * 4000))


def _evaluated(folder: str) -> Any:
  return [record.step for record in results.read(
      os.path.join(folder, 'eval', 'results.jsonl'))]


def _record(folder: str, number: int) -> None:
  write_json(os.path.join(folder, 'run.json'), [number] * 20_000)


class Writer(NamedTuple):
  """Something of a run that is written, a first and a second time."""
  write: Callable[[str, int], None]
  read: Callable[[str], Any]


_WRITERS = {
    'save': Writer(_save, _saved),
    'priorities': Writer(_save_arrays, _saved_arrays),
    'episode_log': Writer(_play, _played),
    'metrics': Writer(_log_metrics, _logged),
    'results': Writer(_evaluate, _evaluated),
    'record': Writer(_record, lambda folder: read_json(
        os.path.join(folder, 'run.json'))),
}


class FullDiskTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp(dir=self.create_tempdir().full_path)
    self.root = os.path.join(self.folder, 'run')
    self.disk = self.enter_context(small_disk.mounted(self.folder, '16m'))
    if not self.disk:
      self.skipTest('this user may not mount a small disk')
    os.mkdir(self.root)

  def refused(self, call):
    with self.assertRaises(StorageError) as caught:
      call()
    self.assertEqual(caught.exception.exit_code, EXIT_IO)
    self.assertRegex(
        str(caught.exception), rf'^No space left: {re.escape(self.root)}\S*, '
        r'needed [\d.]+ \w+, free [\d.]+ \w+\.')

  @parameterized.named_parameters(
      (name, name) for name in _WRITERS)
  def test_writer(self, name):
    writer = _WRITERS[name]
    writer.write(self.root, 1)
    before = writer.read(self.root)
    self.disk.fill(_LEFT)
    self.refused(lambda: writer.write(self.root, 2))
    # Full as it is, what was there can be read.
    self.assertEqual(writer.read(self.root), before)
    self.disk.free()
    writer.write(self.root, 2)
    self.assertNotEqual(writer.read(self.root), before)
    sweep_temporary(self.root)
    self.assertEqual(invariants.leftovers(self.root), [])

  def test_report(self):
    synthetic_run.write_run(self.root, 'tiny:catch', ('tiny:paddle',), None)
    self.disk.fill(_LEFT)
    self.refused(lambda: write_report(self.root))
    self.disk.free()
    self.assertTrue(os.path.isfile(write_report(self.root)))
    self.assertEqual(invariants.leftovers(self.root), [])


@pytest.mark.slow
@pytest.mark.timeout(1200)
class RunTest(absltest.TestCase):

  def test_the_same_command_goes_on_when_there_is_room_again(self):
    """The disk is full at the start, in each kind of file, and at the end."""
    folder = tempfile.mkdtemp(dir=self.create_tempdir().full_path)
    # A run wants to see 500 MB before it begins.
    with small_disk.mounted(folder, '600m') as disk:
      if not disk:
        self.skipTest('this user may not mount a small disk')
      root = os.path.join(folder, 'run')
      moments = []
      for left in (4096, 40_000, 100_000, 250_000):
        code, output = _run_until_full(root, disk, left)
        self.assertEqual(code, EXIT_IO, output[-3000:])
        self.assertIn('error: No space left: ', output)
        self.assertNotIn('Traceback', output)
        moments.append(tiny_run.look(root, f'{left} bytes left'))
        disk.free()
      done = tiny_run.launch(root, _LONGER, ['--stages=scratch'])
      self.assertEqual(done.returncode, 0, done.stderr[-3000:])
      moments.append(tiny_run.look(root, 'the end'))
      for index, first in enumerate(moments):
        self.assertEqual(invariants.impossible(first), [])
        for later in moments[index + 1:]:
          self.assertEqual(invariants.broken(first, later), [])
      self.assertEqual(invariants.leftovers(root), [])


def _run_until_full(root: str, disk: small_disk.SmallDisk, left: int) -> Any:
  """Takes the room away once the run is at work; exit code and output."""
  process = subprocess.Popen(
      tiny_run.command(root, _LONGER, ['--stages=scratch']),
      cwd=tiny_run.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
      text=True)
  log = os.path.join(root, 'scratch', 'tiny.catch', 'metrics', 'learner.jsonl')
  seen = os.path.getsize(log) if os.path.exists(log) else 0
  while process.poll() is None and not (
      os.path.exists(log) and os.path.getsize(log) > seen):
    time.sleep(.05)
  disk.fill(left)
  output = process.communicate(timeout=600)[0]
  return process.returncode, output


if __name__ == '__main__':
  absltest.main()
