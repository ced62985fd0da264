"""Roles that are started, watched and ended together, as small programs."""

import os
import sys
import time

from absl.testing import absltest

from xtra_tf.experiments.role_processes import RoleProcesses, commands_of
from xtra_tf.runs import read_incidents

_WAIT = 'import time; time.sleep(600)'


class RoleProcessesTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.logs = self.create_tempdir().full_path
    self.said = []

  def run_roles(self, **programs):
    roles = RoleProcesses(
        {name.replace('_', '-'): [sys.executable, '-c', text]
         for name, text in programs.items()}, self.logs, self.said.append)
    begun = time.monotonic()
    code = roles.run()
    self.assertLess(time.monotonic() - begun, 60.)
    return code

  def test_all_end_when_the_learner_has_finished(self):
    marker = os.path.join(self.logs, 'pid')
    code = self.run_roles(
        server=f'import os; open({marker!r}, "w").write(str(os.getpid()))\n'
        + _WAIT, learner='import time; time.sleep(2)', collector_0=_WAIT)
    self.assertEqual(code, 0)
    with open(marker, encoding='utf-8') as file:
      with self.assertRaises(ProcessLookupError):
        os.kill(int(file.read()), 0)
    self.assertEqual(self.said, ['The learner has finished.'])

  def test_the_evaluator_is_waited_for(self):
    marker = os.path.join(self.logs, 'evaluated')
    code = self.run_roles(
        server=_WAIT, learner='pass',
        evaluator=f'import time; time.sleep(2); open({marker!r}, "w")')
    self.assertEqual(code, 0)
    self.assertTrue(os.path.exists(marker))

  def test_an_evaluator_that_has_nothing_left_ends_nobody(self):
    code = self.run_roles(
        server=_WAIT, learner='import time; time.sleep(2)', evaluator='pass')
    self.assertEqual(code, 0)
    self.assertEqual(self.said, ['The learner has finished.'])

  def test_a_role_that_dies_is_started_again(self):
    counter = os.path.join(self.logs, 'count')
    code = self.run_roles(
        server=_WAIT,
        learner='import os, time\n'
        f'while not os.path.exists({counter!r}) '
        f'or len(open({counter!r}).read()) < 3: time.sleep(.05)',
        collector_0=f'import sys; open({counter!r}, "a").write("x")\n'
        'sys.exit("error: no luck")')
    self.assertEqual(code, 0)
    self.assertStartsWith(self.said[0], 'collector-0 has ended with 1 and is '
                          'started again: no luck')
    incidents = read_incidents(self.logs)
    self.assertGreaterEqual(len(incidents), 2)
    self.assertEqual(incidents[0]['role'], 'collector-0')

  def test_a_role_that_keeps_dying_ends_all(self):
    code = self.run_roles(server='import sys; sys.exit(69)', learner=_WAIT)
    self.assertEqual(code, 69)
    self.assertLen(read_incidents(self.logs), 4)
    self.assertIn('server has ended with 69', self.said[-1])

  def test_a_wrong_flag_is_not_tried_again(self):
    code = self.run_roles(
        server=_WAIT, learner='import sys; print("error: no such flag"); '
        'sys.exit(2)')
    self.assertEqual(code, 2)
    self.assertRegex(self.said[-1], 'learner has ended with 2: no such flag')
    self.assertEmpty(read_incidents(self.logs))

  def test_commands_of_a_stage(self):
    found = commands_of(lambda name: [name, '--root_dir=x'], 2, False)
    self.assertEqual(list(found),
                     ['server', 'learner', 'collector-0', 'collector-1'])
    port = found['server'][-1].removeprefix('--port=')
    self.assertEqual(found['collector-1'], [
        'collect', '--root_dir=x', f'--replay_address=localhost:{port}',
        '--nolock_step', '--collector=1', '--collectors=2'])
    self.assertNotIn('--reanalyze=remote', found['learner'])

  def test_commands_of_optional_roles(self):
    found = commands_of(lambda name: [name], 1, True, 2, ['follow', '--it'])
    self.assertEqual(list(found), [
        'server', 'learner', 'collector-0', 'reanalyzer-0', 'reanalyzer-1',
        'evaluator'])
    self.assertIn('--reanalyze=remote', found['learner'])
    address = found['learner'][1]
    self.assertEqual(found['reanalyzer-1'],
                     ['reanalyze', address, '--reanalyzer=1'])
    self.assertEqual(found['evaluator'], ['follow', '--it'])


if __name__ == '__main__':
  absltest.main()
