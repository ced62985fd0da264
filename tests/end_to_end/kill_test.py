"""A run that is killed once in each stage loses nothing that was committed."""

import unittest

import pytest

from tests.end_to_end import tiny_run
from tests.faults import invariants


@pytest.mark.timeout(2400)
class KillTest(unittest.TestCase):

  @pytest.fixture(autouse=True)
  def _take_run(self, killed_run):
    self.run_ = killed_run
    *self.kills, self.end = killed_run.snapshots

  def _pairs(self):
    """Each moment with all later ones."""
    moments = self.run_.snapshots
    return [(first, later) for index, first in enumerate(moments)
            for later in moments[index + 1:]]

  def test_each_kill_hit_its_stage(self):
    self.assertEqual([kill.stage for kill in self.kills],
                     [kill.stage for kill in tiny_run.KILLS])
    for kill in self.kills:
      self.assertTrue(kill.in_time, kill.stage)
      self.assertEqual(
          kill.record['state'], 'stopped' if kill.ending else 'running',
          kill.stage)

  def test_same_command_completes_the_run(self):
    last = self.run_.last
    self.assertEqual(last.returncode, 0, last.stderr[-3000:])
    self.assertEqual(self.end.record['state'], 'done')
    self.assert_len(self.end.record['sessions'], len(self.kills) + 1)

  def assert_len(self, things, count):
    self.assertEqual(len(things), count, things)

  def test_no_promise_is_broken_between_any_two_moments(self):
    for first, later in self._pairs():
      self.assertEqual(invariants.broken(first, later), [])
    for moment in self.run_.snapshots:
      self.assertEqual(invariants.impossible(moment), [])
    # There was something to lose, in each stage that plays.
    for kill in self.kills:
      if kill.stage in ('data', 'finetune', 'scratch'):
        folder = {k.stage: k.folder for k in tiny_run.KILLS}[kill.stage]
        self.assertGreater(kill.log_steps[folder], 0, kill.stage)

  def test_a_broken_promise_would_be_noticed(self):
    first, end = self.kills[-1], self.end
    path, content = next(iter(first.logs.items()))
    folder = next(iter(first.manifests))
    for changed, phrase in (
        (end._replace(logs={**end.logs, path: content[:-1]}), 'lost committed'),
        (end._replace(manifests={**end.manifests, folder: (0, 0)}),
         'went back'),
        (end._replace(finished={}), 'was changed'),
        (end._replace(results=end.results[::-1]), 'results were changed'),
        (end._replace(record={**end.record, 'id': 'other'}), 'another name')):
      self.assertIn(phrase, ' '.join(invariants.broken(first, changed)))
    for changed, phrase in (
        (end._replace(log_steps={}), 'its log holds 0'),
        (end._replace(results=end.results * 2), 'stands there twice')):
      self.assertIn(phrase, ' '.join(invariants.impossible(changed)))

  def test_some_kills_had_a_save_to_resume_from(self):
    folders = {k.stage: k.folder for k in tiny_run.KILLS}
    for kill in self.kills:
      saved = kill.manifests.get(folders[kill.stage])
      if kill.stage in ('teacher', 'finetune', 'scratch'):
        self.assertIsNotNone(saved, kill.stage)
        # So the session after it had updates left to make.
        name = 'teacher' if kill.stage == 'targets' else kill.stage
        self.assertLess(saved[0], tiny_run.UPDATES[name], kill.stage)
      if kill.stage == 'data':
        self.assertIsNone(saved)

  def test_all_results_are_there_once(self):
    self.assert_len(self.end.results, 3)

  def test_asked_to_end_it_saves_what_it_has_and_ends_well(self):
    [asked] = [kill for kill in self.kills if kill.ending]
    self.assertEqual(asked.ending.exit_code, 0, asked.ending.output[-3000:])
    self.assertLess(asked.ending.seconds, 20.)
    step, env_steps = asked.manifests['finetune/tiny.catch']
    self.assertGreater(step, tiny_run.SAVE_INTERVAL)
    self.assertIn(f'Stopped by SIGTERM. Saved: {step} updates of Finetuning: '
                  'tiny:catch. The same command goes on from the last save.',
                  asked.ending.output)
    self.assertNotIn('Traceback', asked.ending.output)
    # Nothing that was played or learned is missing in the save.
    self.assertEqual(asked.log_steps['finetune/tiny.catch'], env_steps)
    self.assertIn(f'{step}/{tiny_run.UPDATES["finetune"]} updates',
                  asked.ending.output)
    self.assertIn('Stopped by SIGTERM', asked.record['exit_reason'])

  def test_sessions_are_counted_per_stage(self):
    stages = self.end.record['stages']
    sessions = {name: stage['sessions'] for name, stage in stages.items()}
    self.assertEqual(sessions, {
        'data/tiny:collect': 2, 'data/tiny:cross': 1,
        'teacher/tiny:collect': 3, 'teacher/tiny:cross': 1, 'student': 2,
        'finetune/tiny:catch': 3, 'scratch/tiny:catch': 2})


if __name__ == '__main__':
  unittest.main()
