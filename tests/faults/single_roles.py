r"""Kills learners, collectors and replay servers, one at a time.

  python -m tests.faults.single_roles --kills=20 --output=role_kills.jsonl

A tiny finetuning with an offline task, in four processes. So many times each,
one of them is killed by SIGKILL at a random moment, the disk is looked at, and
the same command starts it again. A run that completes is looked at once more
and followed by another. Each kill is a line of JSON: when, whom, in which
phase, what was on the disk, how long until the run went on (a busy machine
takes its time: load_average), and which promises were broken; each completed
run is a line too. The same command goes on where its file stopped. The exit
code is 1 if a promise was broken.
"""

import argparse
import glob
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional

import portpicker

from tests.end_to_end import tiny_run
from tests.faults import invariants, kill_lines
from tests.faults.role_job import COLLECTORS, RoleJob

VICTIMS = ('learner', 'collector', 'server')
_SCOPE = 'finetune/xtra_tf.experiments.StageSettings'
_UPDATES, _ENV_STEPS = 100, 480
_BINDINGS = (
    *tiny_run.BINDINGS,
    # What takes time is tracing: it grows with the tasks and the unroll.
    'xtra_tf.experiments.TaskSettings.num_sources = 1',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 1',
    f'{_SCOPE}.updates = {_UPDATES}', f'{_SCOPE}.env_steps = {_ENV_STEPS}',
    f'{_SCOPE}.updates_per_env_step = 0.25', f'{_SCOPE}.start_env_steps = 80',
    f'{_SCOPE}.evaluation_interval = 0', f'{_SCOPE}.acting_update_period = 2',
    f'{_SCOPE}.save_interval = 5', f'{_SCOPE}.log_interval = 5')
# A learner that has nobody to play for it stops well before so many.
_SOURCES = tiny_run.SOURCES[:1]
_STEPS_OF_RECOVERY = 20
_PATIENCE_SECONDS = 400.
_EARLY_SHARE, _EARLY_SECONDS, _WORK_SECONDS = 0.3, 25., 6.


class Kill(NamedTuple):
  """Whom, and when."""
  victim: str
  number: int  # among those of the victim
  role: str
  is_early: bool  # it does not wait until the run goes on after the last one
  delay: float  # seconds from there, or from the last start of a role


def schedule(seed: int, kills: int) -> List[Kill]:
  """So many kills of each victim; among three there is one of each."""
  found = []
  for number in range(kills):
    order = list(VICTIMS)
    random.Random(f'{seed}/order/{number}').shuffle(order)
    for victim in order:
      times = random.Random(f'{seed}/{victim}/{number}')
      is_early = times.random() < _EARLY_SHARE
      delay = times.uniform(0., _EARLY_SECONDS if is_early else _WORK_SECONDS)
      role = victim if victim != 'collector' else (
          f'collector-{times.randrange(COLLECTORS)}')
      found.append(Kill(victim, number, role, is_early, delay))
  return found


class RolesUnderFire:
  """One stage in four processes, killed again and again until it completes."""

  def __init__(self, folder: str, template: str):
    """Initializes; nothing is started yet.

    Args:
      folder: made for the run.
      template: a run whose data, teachers and student are done.
    """
    os.makedirs(folder)
    shutil.copytree(template, os.path.join(folder, 'run'))
    self._folder = folder
    self.job = RoleJob(folder, portpicker.pick_unused_port(), 'finetune',
                       _BINDINGS)
    self._moments: List[tiny_run.Snapshot] = []
    self._offline: Dict[str, int] = {}
    self._started: Dict[str, float] = {}
    self._recovered = True  # since the last kill
    self._steps_at_kill = 0

  def start(self) -> None:
    """Starts all roles, the server last."""
    for role in reversed(RoleJob.ROLES):
      self._start(role)

  @property
  def is_over(self) -> bool:
    """Whether the learner has finished."""
    return self.job.exit_code('learner') == 0

  def kill(self, kill: Kill) -> Optional[Dict[str, Any]]:
    """Waits for the moment, kills a role, and starts it again.

    Returns:
      Facts for a line of JSON; None if the run was over before.
    """
    broken = [] if kill.is_early else self.wait_for_recovery()['broken']
    time.sleep(kill.delay)
    broken += self.gone()
    if self.is_over:
      return None
    role, before = kill.role, self._losses()[-3:]
    phase, after = self._phase(role), time.time() - self._started[role]
    self.job.kill(role)
    broken += self._look(f'{role} killed')
    moment = self._moments[-1]
    self._steps_at_kill = self._env_steps()
    self._start(role)
    self._recovered = False
    step, env_steps = moment.manifests.get(self.job.name, (0, 0))
    return {'role': role, 'after_seconds': round(after, 1), 'phase': phase,
            'updates': step, 'saved_env_steps': env_steps,
            'env_steps': moment.log_steps.get(self.job.name, 0),
            'load_average': round(os.getloadavg()[0], 1),
            'loss_before': _mean(before), 'broken': broken}

  def wait_for_recovery(self) -> Dict[str, Any]:
    """Waits until the learner tells of more steps than before the last kill.

    Returns:
      Seconds since the last role was started, and the losses behind.
    """
    begun = max(self._started.values())
    while not self.is_over and (
        self._env_steps() < self._steps_at_kill + _STEPS_OF_RECOVERY
        or not self._losses(begun)):
      if self.gone():
        return {'broken': self.gone()}
      if time.time() - begun > _PATIENCE_SECONDS:
        return {'broken': [f'it did not go on within {_PATIENCE_SECONDS:g} s']}
      time.sleep(.1)
    self._recovered = True
    return {'recovery_seconds': round(time.time() - begun, 1),
            'loss_after': _mean(self._losses(begun)[:3]), 'broken': []}

  def gone(self) -> List[str]:
    """One phrase for each role that has ended by itself."""
    found = []
    for role in RoleJob.ROLES:
      code = self.job.exit_code(role)
      if code:
        found.append(f'{role} has ended by itself with {code}: '
                     f'{self.job.output(role)[-500:]}')
    return found

  def complete(self) -> List[str]:
    """Lets the run complete; the promises that are broken at its end."""
    others = [role for role in RoleJob.ROLES if role != 'server']
    self.job.wait(others, 2 * _PATIENCE_SECONDS)
    found = [f'{role} has ended with {self.job.exit_code(role)}: '
             f'{self.job.output(role)[-500:]}' for role in others
             if self.job.exit_code(role) != 0]
    found += [f'{role} has shown a traceback' for role in others
              if 'Traceback' in self.job.output(role)]
    found += self._look('the end')
    found += invariants.odd_rows(self.job.metrics())
    with open(os.path.join(self.job.stage, 'done.json'),
              encoding='utf-8') as file:
      done = json.load(file)
    counts = {'updates': done['updates'], 'env_steps': done['env_steps'],
              'saved updates': self.job.saved(),
              'logged env_steps': self._moments[-1].log_steps[self.job.name]}
    expected = (_UPDATES, _ENV_STEPS, _UPDATES, _ENV_STEPS)
    if tuple(counts.values()) != expected:
      found.append(f'it ends with {counts}, expected {expected}')
    found += [f'{path} was left' for path in invariants.leftovers(
        self.job.root)]
    return found + self._server_alone()

  def _server_alone(self) -> List[str]:
    """What a server makes of the disk when nobody else is there."""
    from tests.faults import table_check
    from xtra_tf.runs import RunDirectory
    self.job.kill('server')
    served = self._servings()
    self._start('server')
    end = time.time() + _PATIENCE_SECONDS
    while self._servings() == served:
      if time.time() > end or self.job.exit_code('server') is not None:
        return ['the server does not serve what is on the disk: '
                + self.job.output('server')[-500:]]
      time.sleep(.1)
    directory = RunDirectory(self.job.root)
    logs = {tiny_run.TARGET: directory.stage(
        'finetune', tiny_run.TARGET).episodes}
    logs.update({task: directory.stage('data', task).episodes
                 for task in _SOURCES})
    return table_check.broken(
        self.job.address, directory.stage('finetune', tiny_run.TARGET), logs)

  def _start(self, role: str) -> None:
    self._started[role] = time.time()
    self.job.start(role)

  def _look(self, when: str) -> List[str]:
    """Takes a picture of the disk and holds it to those before."""
    moment = tiny_run.look(self.job.root, when)
    found = invariants.impossible(moment) + invariants.damaged(self.job.root)
    for earlier in self._moments:
      found += invariants.broken(earlier, moment)
    self._moments.append(moment)
    return found + self._other_offline_items()

  def _other_offline_items(self) -> List[str]:
    """Whether a server has told of other offline tables than the first one."""
    found = []
    for line in re.findall(r'^Serving .*', self.job.output('server'), re.M):
      sizes = {task: int(size.replace(',', '')) for task, size in re.findall(
          r'(\S+) \(([\d,]+) items\)', line) if task in _SOURCES}
      self._offline = self._offline or sizes
      if sizes != self._offline or len(sizes) != len(_SOURCES):
        found.append(f'a server has loaded {sizes}, the first {self._offline}')
    return found

  def _servings(self) -> int:
    """How often a server has loaded its tables."""
    if not os.path.exists(self.job.log_of('server')):
      return 0
    return len(re.findall('^Serving ', self.job.output('server'), re.M))

  def _phase(self, role: str) -> str:
    """What a role is doing, from what is on the disk."""
    if role == 'learner':
      train = os.path.join(self.job.stage, 'train')
      saves = {re.sub(r'\D', '', os.path.basename(path).split('.')[0]) for path
               in glob.glob(os.path.join(train, 'checkpoints', 'ckpt-*'))}
      manifests = os.path.join(train, 'manifests')
      if any(not os.path.exists(os.path.join(manifests, f'{step}.json'))
             for step in saves):
        return 'saving'
      return 'learning' if self._losses(self._started[role]) else 'starting'
    if role == 'server':
      return 'serving' if self._is_serving() else 'loading'
    return 'playing' if self._recovered else 'starting'

  def _is_serving(self) -> bool:
    log = self.job.log_of('server')
    return (self._servings() > 0
            and os.path.getmtime(log) > self._started['server'])

  def _rows(self) -> List[Dict[str, Any]]:
    path = os.path.join(self.job.stage, 'metrics', 'learner.jsonl')
    if not os.path.exists(path):
      return []
    with open(path, encoding='utf-8') as file:
      return [json.loads(line) for line in file.read().split('\n')[:-1]]

  def _env_steps(self) -> int:
    """The most environment steps that a row of metrics tells of."""
    return max([row['env_steps'] for row in self._rows()], default=0)

  def _losses(self, since: float = 0.) -> List[float]:
    """Of the rows that were written later than some moment."""
    return [row['loss/total'] for row in self._rows()
            if 'loss/total' in row and row['time'] > since]


def _mean(values: List[float]) -> Optional[float]:
  return round(sum(values) / len(values), 3) if values else None


def make_template(folder: str) -> str:
  """A run with data, teachers and student; made unless it is there."""
  root = os.path.join(folder, 'template')
  if os.path.exists(os.path.join(root, 'student', 'done.json')):
    return root
  made = tiny_run.launch(root, _BINDINGS[len(tiny_run.BINDINGS):],
                         ['--stages=data,teacher,student', '--noevaluate'])
  if made.returncode:
    raise RuntimeError(made.stderr[-3000:])
  return root


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--kills', type=int, default=20, help='of each role')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--output', default='docs/reliability/role_kills.jsonl',
                      help='JSON lines are added here')
  parser.add_argument('--folder', default='',
                      help='where runs are kept; else they are thrown away')
  options = parser.parse_args()
  before = kill_lines.read(options.output)
  done = {(line['victim'], line['kill']) for line in before
          if 'kill' in line and line['seed'] == options.seed}
  left = [kill for kill in schedule(options.seed, options.kills)
          if (kill.victim, kill.number) not in done]
  runs = max([line['run'] for line in before], default=-1) + 1
  failures = 0
  with tempfile.TemporaryDirectory() as temporary:
    folder = options.folder or temporary
    template = make_template(folder) if left else ''
    while left:
      while os.path.exists(os.path.join(folder, f'run-{runs}')):
        runs += 1  # of a session that was broken off
      failures += _one_run(
          RolesUnderFire(os.path.join(folder, f'run-{runs}'), template),
          left, {'seed': options.seed, 'run': runs}, options.output)
      runs += 1
  sys.stdout.write(f'{len(done)} kills before, {failures} runs with a broken '
                   'promise\n')
  return 1 if failures else 0


def _one_run(fire: RolesUnderFire, left: List[Kill], facts: Dict[str, Any],
             output: str) -> bool:
  """Takes kills off the list until the run completes; whether it has failed."""
  begun, kills, failed = time.time(), 0, False
  fire.start()
  try:
    while left:
      found = fire.kill(left[0])
      if found is None:
        break
      kill = left.pop(0)
      kills += 1
      after = ({'broken': []} if left and left[0].is_early
               else fire.wait_for_recovery())
      broken = found.pop('broken') + after.pop('broken')
      failed |= bool(broken)
      kill_lines.add(output, {'victim': kill.victim, 'kill': kill.number,
                              **facts, **found, **after, 'broken': broken})
      if broken:
        break
    broken = ['it was given up'] if failed else fire.complete()
  finally:
    fire.job.stop()
  kill_lines.add(output, {
      **facts, 'completed': not broken, 'kills': kills,
      'seconds': round(time.time() - begun), 'broken': broken})
  return failed or bool(broken)


if __name__ == '__main__':
  # Who is asked to end ends the roles, too.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  sys.exit(main())
