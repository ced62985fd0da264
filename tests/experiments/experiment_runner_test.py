"""The runner, with short programs that leave the files of a run behind."""

import dataclasses
import io
import json
import os
import signal
import sys
import threading
import time

from absl.testing import absltest
from rich.console import Console

from xtra_tf.evaluation.experiment_results import ExperimentResults, RunKey
from xtra_tf.experiments import experiment_view
from xtra_tf.experiments.experiment_costs import Cost
from xtra_tf.experiments.experiment_plan import Job
from xtra_tf.experiments.experiment_runner import ExperimentRunner
from xtra_tf.experiments.experiment_view import ExperimentView

# What launchers.xtra leaves of one stage, as far as the runner reads it.
_PROGRAM = r"""
import json, os, sys, time
flags = dict(a[2:].split('=', 1) for a in sys.argv[2:] if '=' in a)
parents = [a.split('=', 2)[2] for a in sys.argv if a.startswith('--from_run')]
behaviour, root = sys.argv[1], flags['root_dir']
stage = flags['stages']
for parent in parents:
  assert os.path.exists(os.path.join(parent, 'run.json')), parent
with open(os.path.join(behaviour, 'log'), 'a') as file:
  file.write(os.path.relpath(root, behaviour) + '\n')
if os.path.exists(os.path.join(behaviour, 'wait')):
  try:
    print('waiting', flush=True)
    open(os.path.join(root, 'waiting'), 'w').close()
    time.sleep(60)
  except KeyboardInterrupt:
    open(os.path.join(root, 'saved'), 'w').close()
    sys.exit('error: Interrupted.')
if os.path.exists(os.path.join(behaviour, 'fail-' + stage + flags['seed'])):
  print('on the way', flush=True)
  sys.stderr.write('error: ' + root + '/train is full.\nMake room.\n')
  sys.exit(74)
task = 'tiny.catch' if stage == 'finetune' else ''
folder = os.path.join(root, stage, task)
os.makedirs(os.path.join(folder, 'metrics'))
os.makedirs(os.path.join(root, 'eval'))
name = stage + ('/tiny:catch' if task else '')
json.dump({'format': 1, 'id': 'r', 'settings': {}, 'settings_hash': '',
           'settings_history': [], 'sessions': [], 'inherited': {
               'student': {'folder': os.path.join('..', '..', '..', 'shared',
                           's', 'student'), 'digest': 'd', 'run': 'p'}}
           if parents else {},
           'stages': {name: {'state': 'done', 'seconds': 2.5}}},
          open(os.path.join(root, 'run.json'), 'w'))
json.dump({'updates': 4, 'env_steps': 9},
          open(os.path.join(folder, 'done.json'), 'w'))
row = {'run': 'r', 'stage': stage, 'task': 'tiny:catch', 'step': 4,
       'env_steps': 9, 'profile': 'fixed', 'codec': 'lossless', 'seeds': [0],
       'returns': [float(flags['seed'])], 'lengths': [5], 'truncated': [False],
       'recording': 'recordings/x.json'}
for path, line in (('eval/results.jsonl', row),
                   (os.path.join(stage, task, 'evaluations.jsonl'),
                    {**row, 'step': 2}),
                   (os.path.join(stage, task, 'metrics', 'learner.jsonl'),
                    {'step': 4, 'env_steps': 9, 'time': 0., 'loss/value': 1.})):
  with open(os.path.join(root, path), 'w') as file:
    file.write(json.dumps(line) + '\n')
"""


def _job(seed, parents=(('shared/s', 'student'),)):
  key = RunKey('xtra', 'tiny:catch', seed)
  return Job(f'xtra/tiny.catch/seed-{seed}', 'finetune/tiny:catch', ('a.gin',),
             ('B = 1',), seed, parents, 4, Cost(), key)


_SHARED = Job('shared/s', 'student', ('a.gin',), (), 7, (), 4, Cost())


class RunnerTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.root = self.create_tempdir().full_path
    self.results = ExperimentResults(os.path.join(self.root, 'results'))
    self.program = os.path.join(self.root, 'program.py')
    with open(self.program, 'w', encoding='utf-8') as file:
      file.write(_PROGRAM)
    self.jobs = [_SHARED, _job(0), _job(1), _job(2)]

  def runner(self, at_once=2, jobs=None):
    return ExperimentRunner(
        jobs or self.jobs, os.path.join(self.root, 'runs'), self.results,
        [sys.executable, self.program, self.root], at_once)

  def touch(self, name):
    open(os.path.join(self.root, name), 'w', encoding='utf-8').close()

  def started(self):
    with open(os.path.join(self.root, 'log'), encoding='utf-8') as file:
      return [line.strip()[len('runs/'):] for line in file]

  def test_all_runs_are_made_and_told_of(self):
    self.assertEqual(self.runner().run(), 0)
    self.assertEqual(self.started()[0], 'shared/s')
    self.assertCountEqual(self.started(), [job.name for job in self.jobs])
    lines = self.results.results()
    self.assertCountEqual(
        [(r.seed, r.final, r.result.step, r.result.returns, r.result.recording)
         for r in lines],
        [(seed, final, step, (float(seed),), '' if final else
          'recordings/x.json') for seed in (0, 1, 2)
         for final, step in ((True, 4), (False, 2))])
    cost = self.results.costs()[0]
    self.assertEqual((cost.updates, cost.env_steps), (4, 9))
    self.assertEqual(dict(cost.seconds), {'finetune/tiny:catch': 2.5})
    self.assertEqual(dict(cost.inherited), {'student': 'd'})
    self.assertEqual(dict(cost.shared_seconds), {'student': 2.5})
    self.assertLen(self.results.metrics(_job(0).key), 1)

  def test_finished_runs_are_left(self):
    self.runner().run()
    before = self.started()
    self.assertEqual(self.runner().run(), 0)
    self.assertEqual(self.started(), before)
    # One more seed, with what is there.
    self.jobs.append(_job(3))
    self.runner().run()
    self.assertEqual(self.started(), [*before, _job(3).name])

  def test_a_failure_is_recorded_and_the_others_go_on(self):
    self.touch('fail-finetune1')
    self.assertEqual(self.runner().run(), 74)
    self.assertLen(self.results.finished(), 2)
    failure, = self.results.failures()
    self.assertEqual((failure.seed, failure.exit_code, failure.stage),
                     (1, 74, 'finetune/tiny:catch'))
    self.assertEqual(failure.message,
                     'xtra/tiny.catch/seed-1/train is full. Make room.')
    os.unlink(os.path.join(self.root, 'fail-finetune1'))
    self.assertEqual(self.runner().run(), 0)
    self.assertLen(self.results.finished(), 3)
    self.assertEmpty(self.results.unfinished_failures())

  def test_what_needs_a_failed_stage_is_not_run_and_told_of(self):
    self.touch('fail-student7')
    runner = self.runner(jobs=[*self.jobs, _job(9, ())])
    self.assertEqual(runner.run(), 74)
    self.assertEqual(runner.summary(), '5 jobs: 1 done, 1 failed, 3 blocked')
    self.assertCountEqual(self.started(),
                          ['shared/s', 'xtra/tiny.catch/seed-9'])
    self.assertEqual([(f.seed, f.stage) for f in self.results.failures()],
                     [(0, 'student'), (1, 'student'), (2, 'student')])

  def test_a_run_without_its_evaluation_is_a_failure(self):
    with open(self.program, 'w', encoding='utf-8') as file:
      file.write(_PROGRAM.replace("'step': 4,\n       'env_steps'",
                                  "'step': 3,\n       'env_steps'"))
    self.assertEqual(self.runner().run(), 65)
    self.assertIn('no evaluation of finetune',
                  self.results.failures()[0].message)

  def test_a_signal_ends_the_processes_cleanly(self):
    self.touch('wait')
    waiting = [os.path.join(self.root, 'runs', job.name, 'waiting')
               for job in (_job(0, ()), _job(1, ()))]

    def interrupt():
      deadline = time.monotonic() + 60
      while not all(map(os.path.exists, waiting)):
        if time.monotonic() > deadline:
          break
        time.sleep(0.05)
      os.kill(os.getpid(), signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
      before = signal.getsignal(number)
      self.addCleanup(signal.signal, number, before)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with self.assertRaises(KeyboardInterrupt):
      self.runner(jobs=[_job(0, ()), _job(1, ())]).run()
    thread.join()
    for path in waiting:
      self.assertTrue(os.path.exists(path.replace('waiting', 'saved')), path)
    self.assertEmpty(self.results.failures())


class ViewTest(absltest.TestCase):

  def view(self, terminal):
    self.out = io.StringIO()
    self.now = 0.
    console = Console(file=self.out, force_terminal=terminal, width=100,
                      color_system=None)
    return ExperimentView([_SHARED, _job(0)], self.create_tempdir().full_path,
                          console, lambda: self.now)

  def test_lines(self):
    view = self.view(False)
    with view:
      view.set('shared/s', experiment_view.RUNNING)
      self.now = 30.
      view.tick()
      self.now = 70.
      view.tick()
      view.set('shared/s', experiment_view.DONE, 'in 0:01:10')
    lines = self.out.getvalue().splitlines()
    self.assertEqual(lines, [
        '[0/2] student, seed 7: running, 0:00:00, student: 0/4 updates',
        '[0/2] student, seed 7: running, 0:01:10, student: 0/4 updates',
        '[1/2] student, seed 7: done, in 0:01:10'])
    self.assertEqual(view.summary(), '2 jobs: 1 waiting, 1 done')

  def test_table(self):
    view = self.view(True)
    with view:
      view.set('shared/s', experiment_view.FAILED, 'exit code 70: NaN')
      view.set(_job(0).name, experiment_view.BLOCKED)
    text = self.out.getvalue()
    self.assertIn('student, seed 7', text)
    self.assertIn('exit code 70', text)
    self.assertIn('2 jobs: 1 failed, 1 blocked', text)

  def test_the_table_of_many_jobs_shows_those_that_run(self):
    jobs = [_job(seed) for seed in range(200)]
    out = io.StringIO()
    view = ExperimentView(jobs, self.create_tempdir().full_path)
    for job in jobs[:150]:
      view.set(job.name, experiment_view.DONE, quiet=True)
    view.set(jobs[150].name, experiment_view.RUNNING, quiet=True)
    Console(file=out, width=100).print(view.render())
    lines = out.getvalue().splitlines()
    self.assertLess(len(lines), 10)
    self.assertIn('seed 150', lines[-2])
    self.assertEqual(lines[-1].strip(),
                     '200 jobs: 49 waiting, 1 running, 150 done')

  def test_updates_are_read_from_the_metrics(self):
    root = self.create_tempdir().full_path
    self.assertEqual(experiment_view.updates_made(_SHARED, root), 0)
    path = os.path.join(root, 'shared/s/student/metrics')
    os.makedirs(path)
    with open(os.path.join(path, 'learner.jsonl'), 'w',
              encoding='utf-8') as file:
      file.write(json.dumps({'step': 3}) + '\n{"step": 4')
    self.assertEqual(experiment_view.updates_made(_SHARED, root), 3)
    self.assertEqual(dataclasses.replace(_SHARED, updates=9).updates, 9)


if __name__ == '__main__':
  absltest.main()
