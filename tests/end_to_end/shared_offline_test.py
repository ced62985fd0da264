"""One server of offline tables and learners of different games at once."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import gin
import portpicker
import pytest

from tests.end_to_end import tiny_run
from tests.experiments import offline_sets
from xtra_tf import errors
from xtra_tf.experiments import (
  configuration,
  local_run,
  roles,
  shared_replay,
  stages,
)
from xtra_tf.models.registry import build_world_model
from xtra_tf.runs import RunDirectory, StageDirectory
from xtra_tf.variables import save_world_model

TARGETS = ('tiny:catch', 'tiny:paddle')
# One set streams through its table, the other one fits.
LENGTHS = {'tiny:collect': (30, 25, 40), 'tiny:cross': (30, 20)}
SIZE = 60
_STAGE = 'xtra_tf.experiments.StageSettings'
_BINDINGS = (
    *tiny_run.BINDINGS, f'finetune/{_STAGE}.env_steps = 100',
    'xtra_tf.planning.MctsPlanner.compile_search = False',
    f'xtra_tf.experiments.ReplaySettings.max_size = {SIZE}',
    f'student/{_STAGE}.updates = 10_000', f'student/{_STAGE}.log_interval = 1',
    # Long enough to be met at work, short enough to be waited for.
    f'finetune/{_STAGE}.updates = 80', f'finetune/{_STAGE}.log_interval = 1',
    f'finetune/{_STAGE}.start_env_steps = 60',
    f'finetune/{_STAGE}.updates_per_env_step = 1.',
    f'finetune/{_STAGE}.evaluation_interval = 0')


def sets(folder):
  """{task: folder} of the source tasks' data, made if need be."""
  found = {}
  for name in tiny_run.SOURCES:
    found[name] = os.path.join(folder, name)
    if not os.path.exists(found[name]):
      offline_sets.write(found[name], name, LENGTHS[name])
  return found


class Process:
  """A launcher whose output goes to a file."""
  alive = []

  def __init__(self, path, command):
    self._path = path
    self.alive.append(self)
    with open(path, 'wb') as file:
      self._process = subprocess.Popen(
          command, cwd=tiny_run.ROOT, stdout=file, stderr=subprocess.STDOUT)

  @property
  def said(self):
    with open(self._path, encoding='utf-8', errors='replace') as file:
      return file.read()

  def until(self, is_due, seconds=400):
    """Waits for something, while the process is at work."""
    end = time.monotonic() + seconds
    while not is_due():
      assert self._process.poll() is None, self.said[-3000:]
      assert time.monotonic() < end, self.said[-3000:]
      time.sleep(.05)

  def ends_with(self, code):
    assert self._process.wait(400) == code, self.said[-3000:]
    assert 'Traceback' not in self.said, self.said[-3000:]

  def kill(self):
    self._process.send_signal(signal.SIGKILL)
    self._process.wait()


def serve(folder, port, log):
  """A launchers.replay_server of the sets, once it serves."""
  process = Process(log, [
      sys.executable, '-m', 'launchers.replay_server', f'--port={port}',
      f'--gin_file={tiny_run.GIN_FILE}',
      *(f'--task_data={name}={data}' for name, data in sets(folder).items()),
      *(f'--gin_bindings={b}' for b in _BINDINGS)])
  process.until(lambda: '\nServing' in process.said)
  return process


def learn(root, address, *, target, stage, timeout):
  """A launchers.xtra that takes offline rows from the server."""
  return Process(f'{root}.log', tiny_run.command(
      root, (*_BINDINGS, f"TARGET_TASK = '{target}'"),
      [f'--stages={stage}', f'--offline_address={address}',
       f'--offline_timeout={timeout}']))


def write_student(root, target):
  """A finished stage `student`, of random weights."""
  configuration.parse([tiny_run.GIN_FILE],
                      [*_BINDINGS, f"TARGET_TASK = '{target}'"])
  parts = roles.resolve_parts(0)
  gin.clear_config()
  description = roles.describe_model(parts, 'student', parts.sources)
  folder = os.path.join(root, 'student')
  save_world_model(build_world_model(description, seed=0), folder, description)
  StageDirectory(folder).write_done({})


def rows(root, *folder):
  """Rows of metrics that a learner has written."""
  path = os.path.join(root, *folder, 'metrics', 'learner.jsonl')
  if not os.path.exists(path):
    return []
  with open(path, encoding='utf-8') as file:
    return file.read().splitlines()


def serving(server):
  """What a server says that it serves."""
  return re.search(r'^Serving .*$', server.said, re.MULTILINE).group(0)


@pytest.fixture(autouse=True)
def fixture_cleanup():
  yield
  while Process.alive:
    Process.alive.pop().kill()


def test_learners_of_different_games_outlive_a_server(tmp_path):
  port = portpicker.pick_unused_port()
  address = f'localhost:{port}'
  server = serve(str(tmp_path), port, str(tmp_path / 'server.log'))
  assert re.search(r'^Memory: needs \d+\.\d [KM]iB, has \d+\.\d [MGT]iB',
                   server.said, re.MULTILINE), server.said
  [warning] = [line for line in server.said.splitlines()
               if line.startswith('warning')]
  assert f'port {port} of every network interface' in warning
  assert '--allow_remote' in warning
  learners = {}
  for target in TARGETS:
    root = str(tmp_path / target[5:])
    write_student(root, target)
    learners[root] = learn(root, address, target=target, stage='finetune',
                           timeout=200)
  hasty_root = str(tmp_path / 'hasty')
  hasty = learn(hasty_root, address, target=TARGETS[0], stage='student',
                timeout=8)
  folders = {root: ('finetune', target.replace(':', '.'))
             for root, target in zip(learners, TARGETS)}
  hasty.until(lambda: rows(hasty_root, 'student'))
  for root, learner in learners.items():
    learner.until(lambda root=root: rows(root, *folders[root]))

  server.kill()  # all of them are at work
  hasty.ends_with(errors.EXIT_UNREACHABLE)
  assert f'The replay server {address} does not answer, for' in hasty.said
  assert re.search(f'Waiting for tiny:.* of the replay server {address}, which',
                   hasty.said), hasty.said
  for learner in learners.values():
    learner.until(lambda learner=learner: (
        f'of the replay server {address}, which does not answer: '
        in learner.said))
  again = serve(str(tmp_path), port, str(tmp_path / 'again.log'))
  assert serving(again) == serving(server)  # every item is back
  assert 'collect (60 of 95 steps), tiny:cross (50 steps)' in serving(again)
  for (root, learner), target in zip(learners.items(), TARGETS):
    learner.ends_with(0)
    assert 'again, after' in learner.said
    assert not os.path.exists(os.path.join(root, 'teacher'))
    with open(os.path.join(root, 'eval', 'results.jsonl'),
              encoding='utf-8') as file:
      [line] = [json.loads(line) for line in file]
    assert (line['stage'], line['task']) == ('finetune', target)
    metrics = ''.join(rows(root, *folders[root]))
    for source in tiny_run.SOURCES:  # offline rows were learned from
      assert f'loss/{source}/total' in metrics
  for process in (server, again):  # and the larger set went through its table
    assert re.search(r'^tiny:collect: epoch \d+ begins, ', process.said,
                     re.MULTILINE), process.said


@pytest.fixture(name='start')
def fixture_start(tmp_path):
  """Starts servers in this process."""
  servers = []

  def start(port=None, data=None):
    prepared = shared_replay.prepare(
        data or sets(str(tmp_path)), {}, [tiny_run.GIN_FILE], _BINDINGS)
    servers.append(shared_replay.SharedReplay(prepared, port))
    servers[-1].load()
    return servers[-1]

  yield start
  for server in servers:
    server.stop()
  gin.clear_config()


def refused(error, code, root, address, *bindings, stages=('student',)):
  with pytest.raises(error) as caught:
    local_run.run_xtra(
        str(root), gin_files=[tiny_run.GIN_FILE],
        gin_bindings=[*_BINDINGS, *bindings], only=stages,
        offline_address=address, offline_timeout=1.)
  assert caught.value.exit_code == code
  assert not (root / 'student').exists()
  return str(caught.value)


def test_other_windows_are_refused_before_training(start, tmp_path):
  said = refused(errors.IncompatibleDataError, 65, tmp_path / 'run',
                 start().address,
                 'xtra_tf.experiments.ReplaySettings.unroll_steps = 3',
                 'xtra_tf.experiments.ReplaySettings.td_steps = 1')
  # As long as the server's windows: a signature alone would not tell.
  assert 'unroll_steps: expected 3, found 2' in said
  assert 'td_steps: expected 1, found 2' in said


def test_other_data_than_a_run_began_with_are_refused(start, tmp_path):
  root = tmp_path / 'run'
  first = start()

  def interrupt(*_):
    raise errors.StorageError('enough')

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(local_run.stages, 'run_stages', interrupt)
    refused(errors.StorageError, errors.EXIT_IO, root, first.address)
  first.stop()
  other = str(tmp_path / 'other')
  offline_sets.write(other, 'tiny:cross', LENGTHS['tiny:cross'], seed=1)
  second = start(data={**sets(str(tmp_path)), 'tiny:cross': other})
  said = refused(errors.SettingsChangedError, 2, root, second.address)
  assert re.search(r'offline:tiny:cross:data: [0-9a-f]{64} -> [0-9a-f]{64}',
                   said)
  assert 'tiny:collect' not in said  # nor does it matter where a server is


def test_stages_without_offline_data_keep_what_is_known_of_them(tmp_path):
  directory = RunDirectory(str(tmp_path))
  run = stages.StageRun(None, directory, {})
  assert local_run._offline_facts(run, ('scratch',)) == {}
  facts = {'offline:tiny:cross:data': 'd'}
  directory.begin({'flag:seed': '0', **facts}, seed=0, command='')
  assert local_run._offline_facts(run, ('scratch',)) == facts
  assert local_run._offline_facts(run, ('finetune',)) == {}
  assert local_run.finished_report(directory, {'flag:seed': '0'}) is None
  directory.finish('done')
  os.mkdir(directory.report)
  with open(os.path.join(directory.report, 'index.html'), 'w',
            encoding='utf-8'):
    pass
  # A finished run's report is found without asking a server.
  assert local_run.finished_report(directory, {'flag:seed': '0'}) is not None
  assert local_run.finished_report(directory, {'flag:seed': '1'}) is None


def test_server_that_is_not_there(tmp_path):
  address = f'localhost:{portpicker.pick_unused_port()}'
  said = refused(errors.UnreachableError, errors.EXIT_UNREACHABLE,
                 tmp_path / 'run', address)
  assert f'{address} does not answer, after 1 s' in said
