"""One of two learners on the loopback; multi_worker_test.py starts both.

  TF_CONFIG=... python -m tests.learners.multi_worker_cases FOLDER CASE...

What the learner's steps gave is written to FOLDER/<case>_<index>.npz. What
needs both learners to be tested is tested here, and ends with an error.
"""

import dataclasses
import os
import signal
import sys

import numpy as np
import tensorflow as tf

from tests.learners import replica_steps
from xtra_tf.errors import Stopped, UnreachableError, UsageError
from xtra_tf.experiments import strategies
from xtra_tf.runs import stop_request
from xtra_tf.workers import LearnerGroup

CASES = {
    # (builder of the model, passes, augmented)
    'joint': (replica_steps.linear, 'joint', True),
    'by_task': (replica_steps.linear, 'by_task', False),
    'efficientzero': (replica_steps.efficientzero, 'joint', True)}


def settings_of(augmented):
  settings = replica_steps.SETTINGS
  if not augmented:
    settings = dataclasses.replace(settings, shift=0, intensity=0.)
  return settings


class _Checks(tf.test.TestCase):
  """Not run by a runner: the learners must be at the same place."""

  def check_steps(self, strategy, group, name, folder):
    """Makes the steps of a case and writes down what they gave."""
    build, passes, augmented = CASES[name]
    made = replica_steps.on_replicas(
        strategy, build, settings_of(augmented), passes,
        os.path.join(folder, f'{name}_learner'), here=(group.index,),
        group=group)
    replica_steps.check_traces(self, made)
    numbers = {f'state/{key}': value for key, value in made.state.items()}
    for step, info in enumerate(made.infos):
      numbers.update((f'{step}/{key}', value)
                     for key, value in replica_steps.named(info))
      self._check_priorities(group, step, info, *made.updated[step])
    np.savez(os.path.join(folder, f'{name}_{group.index}.npz'), **numbers)

  def _check_priorities(self, group, step, loss_info, info, priority):
    """Back to the rows that they are of, and told to all."""
    own = replica_steps.ROWS[group.index]
    self.assertAllEqual(info.key, [100 * step + row for row in own])
    self.assertAllEqual(priority, loss_info.extra.priority)
    task, position, told = group.rows_of_all(info, priority)
    self.assertAllEqual(task, np.zeros([2 * len(own)]))
    self.assertAllEqual(position, [
        [step, row] for rows in replica_steps.ROWS for row in rows])
    self.assertAllEqual(np.split(told, 2)[group.index], priority)
    self.assertEqual(told.dtype, np.float32)

  def check_agreement(self, group):
    """What learners tell each other between steps."""
    self.assertAllEqual(group.gather([group.index, 2**40]),
                        [[0, 2**40], [1, 2**40]])
    self.assertTrue(group.chief_says(group.is_chief))
    self.assertFalse(group.chief_says(not group.is_chief))
    self.assertFalse(group.all_say(group.is_chief))
    self.assertTrue(group.all_say(True))
    group.check_same('settings', 'the same')
    with self.assertRaisesRegex(UsageError, '1 of 0 to 1 differ from'):
      group.check_same('settings', f'those of {group.index}')
    group.wait()

  def check_turns(self, group):
    """Followers make the steps that the chief begins, and end as it does."""
    if group.is_chief:
      with group.leading():
        with group.step(7):
          pass
      with self.assertRaises(UsageError), group.leading():
        raise UsageError('Wrong.')
      with self.assertRaises(Stopped), group.leading():
        raise Stopped(signal.SIGINT)
      # Told by the other that it is to end, it need not be told.
      with self.assertRaises(Stopped), group.leading(), group.step(8):
        raise AssertionError('A step was made.')
    else:
      self.assertEqual(group.follow(), 7)
      self.assertIsNone(group.follow())
      with self.assertRaisesRegex(UnreachableError, 'chief'):
        group.follow()
      with self.assertRaises(Stopped) as stopped:
        group.follow()
      self.assertEqual(stopped.exception.exit_code, 0)
      with stop_request.held():
        os.kill(os.getpid(), signal.SIGTERM)
        with self.assertRaises(Stopped):
          group.follow()
    group.wait()


def main() -> None:
  """Makes all checks that are asked for."""
  folder, *names = sys.argv[1:]
  # As every launcher does, before TensorFlow has its own idea of SIGTERM.
  stop_request.install()
  strategy = strategies.Devices('multi_worker').make()
  group, checks = LearnerGroup(strategy), _Checks()
  checks.assertEqual(group.size, 2)
  checks.check_agreement(group)
  for name in names:
    checks.check_steps(strategy, group, name, folder)
  checks.check_turns(group)


if __name__ == '__main__':
  main()
