"""What a user can do wrong, and what is said: docs/troubleshooting.md.

Each mistake is made by a real launcher. Its message says in one paragraph what
is wrong, what was expected and found, and what to do; the exit code is that of
its kind; nothing is shown that only a programmer can read.
"""

import contextlib
import dataclasses
import os
import shutil
import socket
import tempfile
from typing import Callable, NamedTuple, Sequence
import unittest

import numpy as np
import pytest

from tests.end_to_end import forked_launchers, tiny_run
from xtra_tf import errors
from xtra_tf.episodes import EpisodeLogWriter, StepRow
from xtra_tf.errors import (
  EXIT_BAD_DATA,
  EXIT_IO,
  EXIT_UNREACHABLE,
  EXIT_USAGE,
)
from xtra_tf.runs import RunLock
from xtra_tf.tasks import get_task
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.variables import save_world_model

_SOURCE = tiny_run.SOURCES[0]
_DOCS = os.path.join(tiny_run.ROOT, 'docs', 'troubleshooting.md')


class Mistake(NamedTuple):
  """A command, and how it must end."""
  name: str
  launcher: str
  code: int
  # What is wrong, what was expected or found, what to do.
  says: Sequence[str]
  flags: Sequence[str] = ()
  prepare: Callable[[str], None] = lambda folder: None
  before: str = ''  # Python that is run in the launcher's process first


def _write_log(folder, task, steps=30):
  random = np.random.default_rng(0)
  writer = EpisodeLogWriter(folder, task, columns=(), block_steps=10)
  for step in range(steps + 1):
    writer.append(StepRow(
        observation=random.integers(0, 256, task.observation_shape, np.uint8),
        action=int(task.legal_actions[0]), search=None, reward=0.,
        raw_reward=0., terminal=step == steps - 1, truncated=False,
        life_loss=False, real=step < steps, root_value=None,
        bootstrap_value=None, has_search=False, env_step=step))
  writer.end_episode('terminal')
  writer.close()


def _data(folder):
  _write_log(os.path.join(folder, 'data'), get_task(_SOURCE))


def _data_of_another_action_set(folder):
  task = get_task(_SOURCE)
  _write_log(os.path.join(folder, 'data'), dataclasses.replace(
      task, num_actions=task.num_actions + 1,
      action_names=(*task.action_names, 'JUMP')))


def _half_a_set(folder):
  _data(folder)
  shard = os.path.join(folder, 'data', '0', 'shard-00000.tfrecord')
  os.truncate(shard, os.path.getsize(shard) // 2)


def _set_without_index(folder):
  _data(folder)
  os.unlink(os.path.join(folder, 'data', '0', 'index.jsonl'))


def _file(folder):
  with open(os.path.join(folder, 'run'), 'w', encoding='utf-8') as file:
    file.write('mine')


def _checkpoint_of_another_family(folder):
  save_world_model(
      LinearWorldModel((2,), size=4, seed=0),
      os.path.join(folder, 'checkpoint'),
      {'family': 'linear', 'config': {'observation_shape': [10, 10, 10]}},
      step=1)


def _data_of_all_sources(folder):
  for index, name in enumerate(tiny_run.SOURCES):
    _write_log(os.path.join(folder, f'data{index}'), get_task(name))


_GIN = (f'--gin_file={tiny_run.GIN_FILE}',)
_ROOT_DIR = '--root_dir={folder}/run'
_RUN = (_ROOT_DIR, *_GIN)
_STAGE = (*_RUN, '--stage=scratch')
_TASK_DATA = (*_RUN, f'--task_data={_SOURCE}={{folder}}/data')
_NUMPY_2 = """
import importlib.metadata as metadata, sys
real = metadata.version
metadata.version = lambda name: '2.1.0' if name == 'numpy' else real(name)
import xtra_tf.experiments
class Broken:
  def __getattr__(self, name):
    raise AttributeError('_ARRAY_API not found')
sys.modules['xtra_tf.experiments.local_run'] = None
xtra_tf.experiments.__dict__.pop('local_run', None)
"""
_VERSION = """
import importlib.metadata as metadata
real = metadata.version
metadata.version = lambda name: {version!r} if name == {name!r} else real(name)
"""

MISTAKES = (
    Mistake('target with a typo', 'xtra', EXIT_USAGE,
            ("Unknown task 'Asault'", 'Did you mean Assault'),
            (*_RUN, '--gin_bindings=TARGET_TASK = "Asault"')),
    Mistake('sources as a text', 'xtra', EXIT_USAGE,
            ("SOURCE_TASKS is the text 'tiny:cross'", 'Expected a tuple',
             "('tiny:cross',)"),
            (*_RUN, '--gin_bindings=SOURCE_TASKS = "tiny:cross"')),
    Mistake('target among the sources', 'xtra', EXIT_USAGE,
            ('tiny:catch is also a source', 'Expected a target'),
            (*_RUN, '--gin_bindings=SOURCE_TASKS = ("tiny:catch",)')),
    Mistake('game without a ROM', 'xtra', EXIT_USAGE,
            ('The Atari game', 'needs ale-py, which is not installed',
             'xtra-tf[atari]'),
            (_ROOT_DIR, '--gin_bindings=TARGET_TASK = "Krull"'),
            before='import sys; sys.modules["ale_py"] = None; '
            'sys.modules["ale_py.roms"] = None'),
    Mistake('mode that a game lacks', 'xtra', EXIT_USAGE,
            ('Freeway-m99-d0', 'modes'),
            (_ROOT_DIR, '--gin_bindings=TARGET_TASK = "Freeway-m99-d0"')),
    Mistake('tasks that cannot share a network', 'xtra', EXIT_BAD_DATA,
            ('cannot share a network', '(10, 10, 10)'),
            (*_RUN, '--gin_bindings=TARGET_TASK = "Assault"')),
    Mistake('data of another action set', 'xtra', EXIT_BAD_DATA,
            ('num_actions', 'expected 6, found 7', 'Choose data'), _TASK_DATA,
            _data_of_another_action_set),
    Mistake('data of another task', 'xtra', EXIT_BAD_DATA,
            ('tiny:dodge', _SOURCE, 'Choose data'), _TASK_DATA,
            lambda folder: _write_log(
                os.path.join(folder, 'data'), get_task('tiny:dodge'))),
    Mistake('half-copied data', 'xtra', EXIT_BAD_DATA,
            ('shard-00000.tfrecord', 'truncated', 'Copy the data set anew'),
            _TASK_DATA, _half_a_set),
    Mistake('data without an index', 'xtra', EXIT_BAD_DATA,
            ('index.jsonl', 'missing', 'Copy the data set anew'), _TASK_DATA,
            _set_without_index),
    Mistake('data that are not there', 'xtra', EXIT_BAD_DATA,
            ('/data', 'Expected'), _TASK_DATA),
    Mistake('data of no source task', 'xtra', EXIT_USAGE,
            ('tiny:dodge, which is not a source task', 'Did you mean'),
            (*_RUN, '--task_data=tiny:dodge={folder}/data'), _data),
    Mistake('--task_data without a folder', 'xtra', EXIT_USAGE,
            ("--task_data is 'Alien'", 'Expected TASK=DIR',
             '--task_data=Alien=data/alien'), (*_RUN, '--task_data=Alien')),
    Mistake('gin name with a typo', 'xtra', EXIT_USAGE,
            ('learning_rat', 'Did you mean LearnerSettings.learning_rate'),
            (*_RUN, '--gin_bindings='
             'xtra_tf.learners.LearnerSettings.learning_rat = 1')),
    Mistake('gin text without quotes', 'xtra', EXIT_USAGE,
            ("'Alien'", 'Expected `NAME = value`', 'in quotes'),
            (*_RUN, '--gin_bindings=TARGET_TASK = Alien')),
    Mistake('gin file with a typo', 'xtra', EXIT_USAGE,
            ('no gin file protocols/smok.gin', 'Did you mean', 'Looked in'),
            (_ROOT_DIR, '--gin_file=protocols/smok.gin')),
    Mistake('gin file of somebody else', 'xtra', EXIT_USAGE,
            ('is not one of yours', '--trust_gin'),
            (_ROOT_DIR, '--gin_file={folder}/theirs.gin'),
            lambda folder: shutil.copy(
                os.path.join(tiny_run.ROOT, 'gin', tiny_run.GIN_FILE),
                os.path.join(folder, 'theirs.gin'))),
    Mistake('number out of range', 'xtra', EXIT_USAGE,
            ('env_steps is -3', 'Expected at least 0'),
            (*_RUN, '--gin_bindings=ENV_STEPS = -3')),
    Mistake('flag with a typo', 'xtra', EXIT_USAGE,
            ('no_evaluat', '--help'), (*_RUN, '--no_evaluat')),
    Mistake('stage that there is not', 'xtra', EXIT_USAGE,
            ("no stage 'teachr'", 'Did you mean teacher'),
            (*_RUN, '--stages=teachr')),
    Mistake('stage whose parents are missing', 'xtra', EXIT_USAGE,
            ('needs', 'which is not done', 'Run it first'),
            (*_RUN, '--stages=finetune')),
    Mistake('stage that has no roles', 'train', EXIT_USAGE,
            ("--stage is 'teacher'", 'Expected a stage that plays',
             'launchers.xtra'),
            (*_RUN, '--stage=teacher', '--replay_address=localhost:1')),
    Mistake('too few processes', 'local', EXIT_USAGE,
            ('--processes is 2', 'Expected 3 or more'),
            (*_STAGE, '--processes=2')),
    Mistake('port in use', 'replay_server', EXIT_UNREACHABLE,
            ('cannot listen on port {port}, in use by', 'Expected a free port',
             'end the program'), (*_STAGE, '--port={port}')),
    Mistake('server that is not there', 'train', EXIT_UNREACHABLE,
            ('Waited for the replay server localhost:{free}',
             'which does not answer', 'Expected progress', 'Start it again'),
            (*_STAGE, '--replay_address=localhost:{free}',
             '--max_unreachable=0')),
    Mistake('address without a port', 'collect', EXIT_USAGE,
            ("is 'localhost'", 'Expected HOST:PORT'),
            (*_STAGE, '--replay_address=localhost')),
    Mistake('two runs in one folder', 'xtra', EXIT_USAGE,
            ('/run is in use by another run, process {pid} on {host}',
             'Wait for it, stop it', 'run.lock'), _RUN),
    Mistake('two collectors of one number', 'collect', EXIT_USAGE,
            ('in use by another collector-1, process {pid} on {host}',
             'Wait for it, stop it', 'collector-1.lock'),
            (*_STAGE, '--replay_address=localhost:{free}', '--collector=1')),
    Mistake('folder that is a file', 'xtra', EXIT_IO,
            ('Cannot write', '/run'), _RUN, _file),
    Mistake('folder that cannot be written', 'xtra', EXIT_IO,
            ('Cannot write /proc/run', 'Expected a folder'),
            (*_GIN, '--root_dir=/proc/run')),
    Mistake('full disk', 'xtra', EXIT_IO,
            ('No space left', 'needs 500.0 MiB, free are 1.0 MiB',
             'Make room'), _RUN,
            before='import shutil; real = shutil.disk_usage; '
            'shutil.disk_usage = lambda p: real(p)._replace(free=2**20)'),
    Mistake('checkpoint of another family', 'evaluate', EXIT_USAGE,
            ("No world model is of family 'linear'", 'efficientzero'),
            ('--checkpoint={folder}/checkpoint', '--task=tiny:catch'),
            _checkpoint_of_another_family),
    Mistake('checkpoint that is not there', 'evaluate', EXIT_BAD_DATA,
            ('/nothing', 'Expected'),
            ('--checkpoint={folder}/nothing', '--task=tiny:catch')),
    Mistake('NumPy 2', 'xtra', EXIT_USAGE,
            ('numpy 2.1.0 (expected 1.)', 'requirements.lock',
             'launchers.doctor'), _RUN, before=_NUMPY_2),
    Mistake('another typing-extensions', 'xtra', EXIT_USAGE,
            ('typing-extensions 4.12.2', '`make venv`', 'launchers.doctor'),
            _RUN, before=_VERSION.format(
                name='typing-extensions', version='4.12.2')),
    Mistake('setuptools without pkg_resources', 'xtra', EXIT_USAGE,
            ('pkg_resources', 'setuptools below 81', 'launchers.doctor'), _RUN,
            before='import sys; sys.modules["pkg_resources"] = None'),
    Mistake('another pandas', 'report', EXIT_USAGE,
            ('A report needs the package', 'cannot be imported',
             'xtra-tf[report]'),
            ('--results_dir={folder}', '--output={folder}/report'),
            before='import sys; sys.modules["pandas"] = None; '
            '[sys.modules.pop(n) for n in list(sys.modules) '
            'if n.startswith(("rliable", "arch", "xtra_tf.evaluation"))]'),
    Mistake('too little memory on the GPU', 'xtra', EXIT_USAGE,
            ('Too little memory: ResourceExhaustedError: OOM when allocating',
             'Expected a smaller BATCH_SIZE'), _RUN,
            before='import tensorflow as tf\n'
            'from xtra_tf.experiments import local_run\n'
            'def run_stages(*_, **__):\n'
            '  raise tf.errors.ResourceExhaustedError(None, None, '
            '"OOM when allocating tensor with shape[256,64,96,96]")\n'
            'local_run.stages.run_stages = run_stages\n'),
    Mistake('too little memory for the data', 'xtra', EXIT_USAGE,
            ('do not fit into memory', 'Expected more memory',
             'ReplaySettings.max_size'),
            (*_RUN, '--stages=teacher', *(
                f'--task_data={name}={{folder}}/data{index}'
                for index, name in enumerate(tiny_run.SOURCES))),
            _data_of_all_sources,
            before='import psutil; real = psutil.virtual_memory; '
            'psutil.virtual_memory = lambda: real()._replace(available=2**10)'),
)


@contextlib.contextmanager
def _another_at_work(name, folder):
  """This process holds the lock that two of the mistakes run into."""
  run = os.path.join(folder, 'run')
  locks = {'two runs in one folder': [RunLock(run)],
           'two collectors of one number': [RunLock(os.path.join(
               run, 'scratch', 'tiny.catch', 'replay'), 'collector-1')]}
  with contextlib.ExitStack() as stack:
    for lock in locks.get(name, []):
      stack.enter_context(lock)
    yield


@pytest.mark.timeout(600)
class MistakesTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.launchers = forked_launchers.ForkedLaunchers()
    cls.addClassCleanup(cls.launchers.close)

  def test_each_is_answered_by_one_message_and_its_code(self):
    for mistake in MISTAKES:
      with self.subTest(mistake.name):
        self._make(mistake)

  def _make(self, mistake):
    folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, folder)
    with socket.socket() as listening, socket.socket() as free:
      for one in (listening, free):
        one.bind(('', 0))
      listening.listen()
      places = {'folder': folder, 'pid': os.getpid(),
                'host': socket.gethostname(),
                'port': listening.getsockname()[1],
                'free': free.getsockname()[1]}
      mistake.prepare(folder)
      flags = [flag.format(**places) for flag in mistake.flags]
      with _another_at_work(mistake.name, folder):
        ended = self.launchers.run(mistake.launcher, *flags,
                                   before=mistake.before)
    said = ended.errors
    self.assertEqual(ended.code, mistake.code, said[-3000:])
    self.assertTrue(said.startswith('error: '), said[-3000:])
    self.assertEqual(said.count('error: '), 1, said)
    self.assertNotIn('Traceback', said)
    self.assertLess(len(said), 1200)
    for text in mistake.says:
      self.assertIn(text.format(**places), said)

  def test_with_debug_there_is_a_traceback(self):
    [mistake] = [m for m in MISTAKES if m.name == 'target with a typo']
    ended = self.launchers.run(
        'xtra', '--debug', *(f.format(folder='/none') for f in mistake.flags))
    self.assertIn('Traceback', ended.errors)
    self.assertIn("Unknown task 'Asault'", ended.errors)

  def test_what_else_ends_a_program_has_its_code_too(self):
    for code, error in (
        (1, 'KeyError("a bug")'), (70, 'errors.NonFiniteError("The loss")'),
        (130, 'KeyboardInterrupt'), (130, 'errors.Stopped(signal.SIGINT)'),
        (0, 'errors.Stopped(signal.SIGTERM)')):
      ended = self.launchers.run(
          'xtra', '--root_dir=/none', before='import signal\n'
          'from xtra_tf import errors\n'
          'from launchers import program\n'
          'from xtra_tf.experiments import local_run\n'
          'program.native_output_to = lambda path: None\n'
          f'def end(*_, **__): raise {error}\n'
          'local_run.run_xtra = end\n')
      self.assertEqual(ended.code, code, ended.errors)
      # Of a bug, whoever reports it needs to know the place.
      self.assertEqual('Traceback' in ended.errors, code == 1)
      if code in (0, 130):
        self.assertIn('The same command goes on', ended.errors)

  def test_users_find_all_mistakes_and_codes(self):
    names = [mistake.name for mistake in MISTAKES]
    self.assertEqual(len(set(names)), len(names))
    self.assertGreaterEqual(len(names), 25)
    codes = [value for name, value in vars(errors).items()
             if name.startswith('EXIT_')]
    with open(_DOCS, encoding='utf-8') as file:
      page = file.read()
    for first_cell in (*names, *codes, 0, 1):
      self.assertIn(f'\n| {first_cell} |', page)
    for mistake in MISTAKES:
      self.assertIn(f'\n| {mistake.name} | {mistake.code} |', page)


if __name__ == '__main__':
  unittest.main()
