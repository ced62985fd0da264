"""One stage in four processes, killed nine times, and nothing is lost."""

import json
import os
import signal
import time
import unittest

import portpicker
import pytest

from tests.end_to_end import tiny_run
from tests.faults import invariants
from tests.faults.role_job import ENV_STEPS, SAVES, UPDATES, RoleJob

VICTIMS = ('server', 'learner', 'collector-1', 'server', 'collector-0',
           'learner', 'collector-1', 'server', 'learner')


@pytest.fixture(scope='module')
def job(tmp_path_factory):
  """The stage, which has come to its end over all kills."""
  made = RoleJob(str(tmp_path_factory.mktemp('roles')),
                 portpicker.pick_unused_port())
  made.moments, made.endings = [], {}
  try:
    # The server last: all others wait for it.
    for role in ('learner', 'collector-1', 'collector-0', 'server'):
      made.start(role)
    for number, victim in enumerate(VICTIMS):
      made.wait_for_updates((number + 1) * SAVES, 400.)
      made.kill(victim)
      made.moments.append(tiny_run.look(made.root, f'{victim} killed'))
      made.start(victim)
    made.wait_for_updates((len(VICTIMS) + 1) * SAVES, 400.)
    _ask_to_end_without_server(made)
    made.wait(['learner', 'collector-0', 'collector-1'], 400.)
    made.moments.append(tiny_run.look(made.root, 'the end'))
  finally:
    made.stop()
  return made


def _ask_to_end_without_server(made):
  """Learner and a collector wait for a dead server when SIGTERM comes."""
  roles = ('learner', 'collector-0')
  heard = {role: len(made.output(role)) for role in roles}
  made.kill('server')
  for role in roles:
    made.wait_for_word(role, heard[role], 100.)
    begun = time.monotonic()
    code = made.kill(role, signal.SIGTERM)
    made.endings[role] = code, time.monotonic() - begun
  made.moments.append(tiny_run.look(made.root, 'asked to end'))
  for role in ('server', *roles):
    made.start(role)


@pytest.mark.timeout(1200)
class RolesTest(unittest.TestCase):

  @pytest.fixture(autouse=True)
  def _take_job(self, job):
    self.job = job

  def test_all_roles_come_to_their_end(self):
    for role in ('learner', 'collector-0', 'collector-1'):
      self.assertEqual(self.job.exit_code(role), 0,
                       self.job.output(role)[-3000:])
      self.assertNotIn('Traceback', self.job.output(role), role)
    self.assertEqual(self.job.saved(), UPDATES)

  def test_no_committed_step_is_lost_and_no_count_goes_back(self):
    moments = self.job.moments
    for index, first in enumerate(moments):
      self.assertEqual(invariants.impossible(first), [])
      for later in moments[index + 1:]:
        self.assertEqual(invariants.broken(first, later), [])

  def test_as_many_steps_are_played_as_were_asked_for(self):
    self.assertEqual(self.job.moments[-1].log_steps['scratch/tiny.catch'],
                     ENV_STEPS)
    with open(os.path.join(self.job.stage, 'done.json'),
              encoding='utf-8') as file:
      done = json.load(file)
    self.assertEqual((done['updates'], done['env_steps']),
                     (UPDATES, ENV_STEPS))

  def test_who_waits_for_a_dead_server_hears_a_signal(self):
    for role, (code, seconds) in self.job.endings.items():
      self.assertEqual(code, 0, self.job.output(role)[-3000:])
      self.assertLess(seconds, 20., role)
    self.assertRegex(self.job.output('learner'),
                     r'Stopped by SIGTERM. Saved: \d+ updates of From scratch')

  def test_who_waits_says_for_whom(self):
    self.assertRegex(
        self.job.output('learner') + self.job.output('collector-0'),
        r'Waiting for .*localhost:\d+, which ')

  def test_weights_are_not_old(self):
    behind = [row['search/weights_behind'] for row in self.job.metrics()
              if 'search/weights_behind' in row]
    self.assertTrue(behind)
    self.assertLess(max(behind), 10 * SAVES)


if __name__ == '__main__':
  unittest.main()
