"""One server of offline tables and two learners of different games at once."""

import json
import os
import re
import signal
import subprocess
import sys

import portpicker
import pytest

from tests.end_to_end import tiny_run
from tests.experiments import offline_sets

TARGETS = ('tiny:catch', 'tiny:paddle')
LENGTHS = (30, 25, 40)
_STAGE = 'xtra_tf.experiments.StageSettings'
_BINDINGS = (
    f'student/{_STAGE}.updates = 5', f'finetune/{_STAGE}.updates = 15',
    'xtra_tf.learners.TaskWeightSettings.start = 4')


class Server:
  """A launchers.replay_server of the tiny tasks' sets."""

  def __init__(self, folder, port, targets=True):
    flags = []
    for name in tiny_run.SOURCES:
      data = os.path.join(folder, name)
      if not os.path.exists(data):
        offline_sets.write(
            data, name, LENGTHS,
            columns=('search', 'bootstrap_value', 'root_value') if targets
            else ())
      flags.append(f'--task_data={name}={data}')
    self.process = subprocess.Popen(
        [sys.executable, '-m', 'launchers.replay_server', f'--port={port}',
         f'--gin_file={tiny_run.GIN_FILE}', *flags,
         *(f'--gin_bindings={b}' for b in tiny_run.BINDINGS)],
        cwd=tiny_run.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
    self.address = f'localhost:{port}'

  def wait(self):
    """Until it serves; returns what it said."""
    lines = []
    for line in self.process.stdout:
      lines.append(line)
      if line.startswith('Serving'):
        return ''.join(lines)
    raise AssertionError(''.join(lines) + self.process.stderr.read())

  def kill(self):
    self.process.send_signal(signal.SIGKILL)
    self.process.wait()
    return self.process.stderr.read()


def learner(root, address, *, target, stages='student,finetune', bindings=(),
            timeout=60):
  """A running launchers.xtra that takes offline rows from the server."""
  return subprocess.Popen(
      tiny_run.command(root, (*_BINDINGS, f"TARGET_TASK = '{target}'",
                              *bindings),
                       [f'--stages={stages}', f'--offline_address={address}',
                        f'--offline_timeout={timeout}']),
      cwd=tiny_run.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      text=True)


@pytest.fixture(name='server', scope='module')
def fixture_server(tmp_path_factory):
  server = Server(str(tmp_path_factory.mktemp('sets')),
                  portpicker.pick_unused_port())
  server.said = server.wait()
  yield server
  server.kill()


def test_two_learners_of_different_games_at_once(server, tmp_path):
  assert re.search(r'Memory: needs \d+\.\d GiB, has \d+\.\d GiB', server.said)
  learners = {target: learner(str(tmp_path / target[5:]), server.address,
                              target=target) for target in TARGETS}
  for target, process in learners.items():
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-3000:]
    root = tmp_path / target[5:]
    assert not (root / 'data').exists() and not (root / 'teacher').exists()
    with open(root / 'eval' / 'results.jsonl', encoding='utf-8') as file:
      lines = [json.loads(line) for line in file]
    assert [(line['stage'], line['task']) for line in lines] == [
        ('student', target), ('finetune', target)]
    folder = root / 'finetune' / target.replace(':', '.')
    with open(folder / 'metrics' / 'learner.jsonl', encoding='utf-8') as file:
      metrics = file.read()
    for source in tiny_run.SOURCES:  # offline rows were learned from
      assert f'loss/{source}/total' in metrics


def test_other_windows_are_refused_before_training(server, tmp_path):
  process = learner(str(tmp_path / 'run'), server.address, target='tiny:catch',
                    bindings=(
                        'xtra_tf.experiments.ReplaySettings.unroll_steps = 3',
                        'xtra_tf.experiments.ReplaySettings.td_steps = 1'))
  _, errors = process.communicate(timeout=120)
  assert process.returncode == 65, errors[-3000:]
  # As long as the server's windows: a signature alone would not tell.
  assert 'unroll_steps: expected 3, found 2' in errors
  assert 'td_steps: expected 1, found 2' in errors
  assert not (tmp_path / 'run' / 'student').exists()


def test_server_that_is_not_there(tmp_path):
  address = f'localhost:{portpicker.pick_unused_port()}'
  process = learner(str(tmp_path / 'run'), address, target='tiny:catch',
                    timeout=3)
  _, errors = process.communicate(timeout=120)
  assert process.returncode == 69, errors[-3000:]
  assert f'{address} does not answer, after 3 s' in errors
  assert 'Traceback' not in errors


def test_server_warns_that_it_is_open_and_comes_back_after_a_kill(tmp_path):
  port = portpicker.pick_unused_port()
  first = Server(str(tmp_path), port)
  served = first.wait().split('\n')[-2]
  errors = first.kill()
  [line] = [
      text for text in errors.split('\n') if text.startswith('warning')]
  assert f'port {port} of every network interface' in line
  assert '--allow_remote' in line
  second = Server(str(tmp_path), port)
  again = second.wait().split('\n')[-2]
  second.kill()
  assert again == served
  assert '(95 steps)' in again
