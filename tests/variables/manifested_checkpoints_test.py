import os
import random
import signal
import subprocess
import sys
import time

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tf_agents.utils import common

from xtra_tf.errors import CheckpointError
from xtra_tf.runs import StageDirectory, read_incidents
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.variables import ManifestedCheckpoints

_SAVE_WITHOUT_END = """
import sys
import tensorflow as tf
from tf_agents.utils import common
from xtra_tf.runs import StageDirectory
from xtra_tf.variables import ManifestedCheckpoints

stage = StageDirectory(sys.argv[1])
step = tf.Variable(0, dtype=tf.int64)
value = tf.Variable(tf.zeros([250_000]))
checkpoints = ManifestedCheckpoints(stage)
checkpoints.prepare()
saver = common.Checkpointer(stage.checkpoints, max_to_keep=3, train_step=step,
                            agent=tf.train.Checkpoint(world_model=value))
while True:
  step.assign_add(1)
  value.assign_add(tf.ones([250_000]))
  saver.save(step)
  checkpoints.commit(int(step), 10 * int(step), {})
  sys.stdout.write(f'{int(step)}\\n')
  sys.stdout.flush()
"""


class Session:
  """What a process of a training stage does with its checkpoints."""

  def __init__(self, path, size=4):
    self.stage = StageDirectory(path)
    self.model = LinearWorldModel((2,), size=size)
    self.step = tf.Variable(0, dtype=tf.int64)
    self.agent = tf.train.Checkpoint(world_model=self.model)
    self.checkpoints = ManifestedCheckpoints(self.stage)
    self.manifest = self.checkpoints.prepare()

  def build_learner(self):
    """As TF-Agents' Learner does in its constructor."""
    self.saver = common.Checkpointer(
        self.stage.checkpoints, max_to_keep=2, agent=self.agent,
        train_step=self.step)
    self.saver.initialize_or_restore()
    return self

  def save(self, step, commit=True):
    self.step.assign(step)
    self.model.encoder.assign(tf.fill([2, 4], float(step)))
    self.saver.save(self.step)
    if commit:
      self.checkpoints.commit(step, 10 * step, {'maximum_priority': 0.5 * step})

  @property
  def restored(self):
    """Step, and the step that the weights are of."""
    return int(self.step), int(self.model.encoder[0, 0])


class ManifestedCheckpointsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.path = os.path.join(self.create_tempdir().full_path, 'student')

  def begin(self):
    return Session(self.path).build_learner()

  def names(self):
    return sorted(os.listdir(os.path.join(self.path, 'train', 'checkpoints')))

  def manifests(self):
    return sorted(os.listdir(os.path.join(self.path, 'train', 'manifests')))

  def harm(self, name):
    os.truncate(os.path.join(self.path, 'train', 'checkpoints', name), 7)

  def test_fresh_start(self):
    session = self.begin()
    self.assertIsNone(session.manifest)
    self.assertIsNone(session.checkpoints.latest())
    self.assertEqual(int(session.step), 0)

  def test_goes_on_from_the_last_commit(self):
    session = self.begin()
    for step in (1, 2, 3):
      session.save(step)
    self.assertEqual(session.checkpoints.latest().step, 3)
    again = self.begin()
    self.assertEqual(again.restored, (3, 3))
    self.assertEqual((again.manifest.step, again.manifest.env_steps,
                      again.manifest.state), (3, 30, {'maximum_priority': 1.5}))
    # The learner keeps two; their manifests are kept with them.
    self.assertEqual(self.manifests(), ['2.json', '3.json'])

  def test_a_save_without_manifest_does_not_count(self):
    session = self.begin()
    session.save(1)
    session.save(2, commit=False)
    self.assertEqual(self.begin().restored, (1, 1))
    self.assertEmpty([name for name in self.names() if 'ckpt-2' in name])

  def test_a_first_save_without_manifest_does_not_count(self):
    self.begin().save(1, commit=False)
    again = self.begin()
    self.assertEqual(int(again.step), 0)
    self.assertIsNone(again.manifest)
    self.assertEmpty(self.names())

  def test_damaged_save_is_set_aside_and_the_one_before_is_used(self):
    session = self.begin()
    session.save(1)
    session.save(2)
    self.harm('ckpt-2.data-00000-of-00001')
    again = self.begin()
    self.assertEqual(again.restored, (1, 1))
    self.assertCountEqual(
        os.listdir(os.path.join(self.path, 'train', 'damaged')),
        ['ckpt-2.data-00000-of-00001', 'ckpt-2.index', '2.json'])
    self.assertEqual([i['kind'] for i in read_incidents(again.stage.logs)],
                     ['older-checkpoint', 'damaged-checkpoint'])
    again.save(2)
    self.assertEqual(self.begin().restored, (2, 2))

  def test_no_whole_save_is_no_fresh_start(self):
    self.begin().save(1)
    self.harm('ckpt-1.index')
    with self.assertRaisesRegex(CheckpointError, 'No save in .* is whole'):
      self.begin()
    self.assertIn('ckpt-1.index', self.names())

  @parameterized.named_parameters(
      ('empty', ''), ('torn', 'model_checkpoint_path: "ckp'),
      ('wrong', 'model_checkpoint_path: "ckpt-1"\n'), ('missing', None))
  def test_state_file_is_never_trusted(self, text):
    session = self.begin()
    session.save(1)
    session.save(2)
    path = os.path.join(session.stage.checkpoints, 'checkpoint')
    if text is None:
      os.unlink(path)
    else:
      with open(path, 'w') as file:
        file.write(text)
    self.assertEqual(self.begin().restored, (2, 2))

  def test_state_file_of_lost_saves_is_removed(self):
    self.begin().save(1)
    for name in self.names():
      if name != 'checkpoint':
        os.unlink(os.path.join(self.path, 'train', 'checkpoints', name))
    os.unlink(os.path.join(self.path, 'train', 'manifests', '1.json'))
    self.assertEqual(int(self.begin().step), 0)

  def test_rotation_goes_on_over_sessions(self):
    for step in range(1, 6):
      self.begin().save(step)
    self.assertEqual(self.names(), sorted(
        ['checkpoint'] + [f'ckpt-{step}.{end}' for step in (4, 5)
                          for end in ('index', 'data-00000-of-00001')]))
    self.assertEqual(self.manifests(), ['4.json', '5.json'])

  def test_a_moved_folder_goes_on(self):
    self.begin().save(1)
    moved = self.path + '-moved'
    os.rename(self.path, moved)
    session = Session(moved)
    with open(os.path.join(session.checkpoints.directory, 'checkpoint')) as f:
      self.assertNotIn(moved, f.read())  # it can be moved once more
    self.assertEqual(session.build_learner().restored, (1, 1))

  def test_commit_without_save(self):
    session = self.begin()
    with self.assertRaisesRegex(
        CheckpointError, 'no save of step 4. Expected ckpt-4.index and '
        r'ckpt-4.data-\*, found neither'):
      session.checkpoints.commit(4, 40, {})

  def test_other_variables_are_refused(self):
    self.begin().save(1)
    session = Session(self.path)
    session.checkpoints.check_fits(agent=session.agent, train_step=session.step)
    wider = Session(self.path, size=5)
    with self.assertRaisesRegex(
        CheckpointError, r'agent/world_model/encoder: expected float32\[2, 5\],'
        r' found float32\[2, 4\]'):
      wider.checkpoints.check_fits(agent=wider.agent, train_step=wider.step)

  def test_settings_hash_is_kept(self):
    session = self.begin()
    session.stage.settings_hash = 'abc'
    session.save(1)
    self.assertEqual(self.begin().manifest.settings_hash, 'abc')

  def test_killed_while_saving(self):
    seconds = random.Random(0)
    before = 0
    for _ in range(2):
      process = subprocess.Popen(
          [sys.executable, '-c', _SAVE_WITHOUT_END, self.path],
          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
          env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
      first = process.stdout.readline()
      self.assertTrue(first, 'The saving process has not come so far.')
      # It went on from what the killed one had acknowledged, or later.
      self.assertGreater(int(first), before)
      time.sleep(seconds.uniform(0.05, 0.6))
      process.send_signal(signal.SIGKILL)
      before = int(([first] + process.stdout.read().splitlines())[-1])
      process.stdout.close()
      process.wait()
      checkpoints = ManifestedCheckpoints(StageDirectory(self.path))
      manifest = checkpoints.prepare()
      self.assertBetween(manifest.step, before, before + 1)
      step = tf.Variable(0, dtype=tf.int64)
      value = tf.Variable(tf.zeros([250_000]))
      common.Checkpointer(checkpoints.directory, max_to_keep=3, train_step=step,
                          agent=tf.train.Checkpoint(world_model=value))
      self.assertEqual(int(step), manifest.step)
      self.assertAllEqual(value, np.full([250_000], manifest.step))
      self.assertEmpty([n for n in self.names() if 'temp' in n or 'tmp' in n])


if __name__ == '__main__':
  tf.test.main()
