"""Runs of all stages on the tiny tasks by the real launcher, and their files.

One run serves most of the end-to-end tests: it is killed once in each stage,
resumed by the same command each time, and then looked at from all sides.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import (
  Any,
  Callable,
  Dict,
  List,
  NamedTuple,
  Optional,
  Sequence,
  Tuple,
)

from xtra_tf.episodes.block_index import committed_bytes, read_index

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
TARGET = 'tiny:catch'
SOURCES = ('tiny:collect', 'tiny:cross')
GIN_FILE = 'protocols/smoke.gin'
UPDATES = {'data': 10, 'teacher': 10, 'student': 10, 'finetune': 15,
           'scratch': 10}
SIMULATIONS = 2
EPISODES = 2
LOG_INTERVAL = SAVE_INTERVAL = 5
ENV_STEPS = 200

_STAGE = 'xtra_tf.experiments.StageSettings'
# As short as a run can be: what takes time is tracing, which grows with the
# unroll and the number of batch sizes.
BINDINGS = (
    f'NUM_SIMULATIONS = {SIMULATIONS}', 'BATCH_SIZE = 8',
    f'ENV_STEPS = {ENV_STEPS}',
    'xtra_tf.experiments.ReplaySettings.unroll_steps = 2',
    'xtra_tf.experiments.ReplaySettings.td_steps = 2',
    'xtra_tf.experiments.TeacherPassSettings.batch_size = 8',
    f'xtra_tf.evaluation.EvaluationSettings.episodes = {EPISODES}',
    'xtra_tf.learners.TaskWeightSettings.start = 4',
    'xtra_tf.learners.TaskWeightSettings.period = 4',
    'xtra_tf.learners.TaskWeightSettings.window = 2',
    f'finetune/{_STAGE}.evaluation_episodes = {EPISODES}',
    f'finetune/{_STAGE}.evaluation_interval = 10',
    f'scratch/{_STAGE}.evaluation_interval = 0',
    # Two games at a time, so that some end within the few steps.
    *(f'{stage}/{_STAGE}.num_envs = 2'
      for stage in ('data', 'finetune', 'scratch')),
    *(f'{stage}/{_STAGE}.updates_per_env_step = 0.1'
      for stage in ('data', 'finetune', 'scratch')),
    *(f'{stage}/{_STAGE}.updates = {count}'
      for stage, count in UPDATES.items()),
    *(f'{stage}/{_STAGE}.{name} = {SAVE_INTERVAL}' for stage in UPDATES
      for name in ('save_interval', 'log_interval')),
)


def command(root_dir: str, bindings: Sequence[str] = (),
            flags: Sequence[str] = (), launcher: str = 'xtra') -> List[str]:
  """The command line of a run with the bindings above and a few more."""
  return [sys.executable, '-m', f'launchers.{launcher}',
          f'--root_dir={root_dir}', f'--gin_file={GIN_FILE}',
          *(f'--gin_bindings={binding}' for binding in (*BINDINGS, *bindings)),
          *flags]


def launch(root_dir: str, bindings: Sequence[str] = (),
           flags: Sequence[str] = ()) -> 'subprocess.CompletedProcess[str]':
  """Runs the launcher to its end, whatever that is."""
  return subprocess.run(
      command(root_dir, bindings, flags), cwd=ROOT, capture_output=True,
      text=True, timeout=900, check=False)


def digests(folder: str) -> Dict[str, str]:
  """{relative path: SHA-256} of all files under a folder.

  Native code's start-up lines are left out: every session adds some.
  """
  found = {}
  for parent, _, names in os.walk(folder):
    for name in set(names) - {'native.log'}:
      path = os.path.join(parent, name)
      with open(path, 'rb') as file:
        found[os.path.relpath(path, folder)] = hashlib.sha256(
            file.read()).hexdigest()
  return found


class Kill(NamedTuple):
  """When a run is killed, once."""
  stage: str  # for messages
  folder: str  # of the stage, in the run's folder
  is_due: Callable[[str], bool]  # of the run's folder
  delay: float  # seconds at most between the condition and the kill
  signal: int = signal.SIGKILL


class Ending(NamedTuple):
  """How a process answered SIGTERM."""
  exit_code: int
  seconds: float
  output: str


class Snapshot(NamedTuple):
  """What was on the disk just after a kill, or at the end."""
  stage: str
  in_time: bool  # the stage was at work when the process was killed
  logs: Dict[str, bytes]  # committed part of each file of each episode log
  log_steps: Dict[str, int]  # {stage's folder: environment steps committed}
  manifests: Dict[str, Tuple[int, int]]  # {stage's folder: step, env_steps}
  finished: Dict[str, Dict[str, str]]  # {stage's folder: digests of its files}
  results: List[str]  # lines of eval/results.jsonl
  record: Dict[str, Any]  # run.json
  ending: Optional['Ending'] = None  # of a process that was asked to end


def _lines(path: str) -> List[str]:
  if not os.path.exists(path):
    return []
  with open(path, encoding='utf-8') as file:
    return file.read().split('\n')[:-1]


def _has_line(*parts: str) -> Callable[[str], bool]:
  return lambda root: bool(_lines(os.path.join(root, *parts)))


def _exists(*parts: str) -> Callable[[str], bool]:
  return lambda root: os.path.exists(os.path.join(root, *parts))


def _has_session(stage: str, count: int) -> Callable[[str], bool]:
  """Whether a stage is in its so-manieth session."""

  def is_due(root: str) -> bool:
    path = os.path.join(root, 'run.json')
    with open(path, encoding='utf-8') as file:
      stages = json.load(file)['stages']
    return stages.get(stage, {}).get('sessions', 0) >= count

  return is_due


def _evaluated_one(root: str) -> bool:
  return bool(_lines(os.path.join(root, 'eval', 'results.jsonl')))


KILLS = (
    # Before the first save: the log alone is gone on with.
    Kill('data', 'data/tiny.collect', _has_line(
        'data', 'tiny.collect', 'replay', 'episodes', '0', 'index.jsonl'), 1.),
    Kill('teacher', 'teacher/tiny.collect', _exists(
        'teacher', 'tiny.collect', 'train', 'manifests', '5.json'), .1),
    # The pass has written a part of its targets.
    Kill('targets', 'teacher/tiny.collect', _has_line(
        'teacher', 'tiny.collect', 'targets', '0', 'index.jsonl'), .0),
    Kill('student', 'student', _has_line(
        'student', 'metrics', 'learner.jsonl'), .1),
    Kill('asked', 'finetune/tiny.catch', _exists(
        'finetune', 'tiny.catch', 'train', 'manifests', '5.json'), .1,
         signal.SIGTERM),
    Kill('finetune', 'finetune/tiny.catch', _has_session(
        'finetune/tiny:catch', 2), 6.),
    Kill('scratch', 'scratch/tiny.catch', _exists(
        'scratch', 'tiny.catch', 'train', 'manifests', '5.json'), .2),
    Kill('evaluation', 'eval', _evaluated_one, 1.),
)


def _stage_folders(root: str) -> List[str]:
  """Folders of the stages that have begun."""
  found = []
  for parent, folders, _ in os.walk(root):
    if 'train' in folders:
      found.append(os.path.relpath(parent, root))
  return sorted(found)


def _committed(root: str, folder: str) -> Tuple[Dict[str, bytes], int]:
  """The bytes of a log that count, and the environment steps in them."""
  parts, env_steps = {}, 0
  episodes = os.path.join(root, folder, 'replay', 'episodes')
  for writer in sorted(os.listdir(episodes)) if os.path.isdir(episodes) else []:
    place = os.path.join(episodes, writer)
    if not os.path.exists(os.path.join(place, 'index.jsonl')):
      continue
    entries, end = read_index(place)
    env_steps += entries[-1].env_steps if entries else 0
    for name, length in (('index.jsonl', end),
                         ('shard-00000.tfrecord', committed_bytes(entries))):
      path = os.path.join(place, name)
      if length:
        with open(path, 'rb') as file:
          parts[os.path.relpath(path, root)] = file.read(length)
  return parts, env_steps


def look(root: str, stage: str, in_time: bool = True) -> Snapshot:
  """Reads from the disk all that a kill must not take away."""
  logs, log_steps, manifests, finished = {}, {}, {}, {}
  for folder in _stage_folders(root):
    # Saves first: where a run goes on meanwhile, the log is the further.
    place = os.path.join(root, folder, 'train', 'manifests')
    names = os.listdir(place) if os.path.isdir(place) else []
    steps = [int(name[:-5]) for name in names if name[:-5].isdigit()]
    if steps:
      with open(os.path.join(place, f'{max(steps)}.json'),
                encoding='utf-8') as file:
        manifests[folder] = (max(steps), json.load(file)['env_steps'])
    parts, log_steps[folder] = _committed(root, folder)
    logs.update(parts)
    if os.path.exists(os.path.join(root, folder, 'done.json')):
      finished[folder] = digests(os.path.join(root, folder))
  with open(os.path.join(root, 'run.json'), encoding='utf-8') as file:
    record = json.load(file)
  return Snapshot(stage, in_time, logs, log_steps, manifests, finished,
                  _lines(os.path.join(root, 'eval', 'results.jsonl')), record)


def run_until(root: str, kill: Kill, delay: float) -> Snapshot:
  """Begins or resumes the run, kills it, and looks at what it leaves.

  Raises:
    AssertionError: the run ended before the condition was met.
  """
  output = os.path.join(os.path.dirname(root), f'{kill.stage}.log')
  with open(output, 'wb') as file:
    # Asked to end, a run in a network of its own ends as any other.
    launcher = 'xtra' if kill.signal == signal.SIGKILL else 'local'
    process = subprocess.Popen(
        command(root, launcher=launcher), cwd=ROOT, stdout=file,
        stderr=subprocess.STDOUT, start_new_session=True)
    try:
      while process.poll() is None and not kill.is_due(root):
        time.sleep(.002)
      time.sleep(delay)
    finally:
      ended = process.poll()
      begun = time.monotonic()
      if ended is None:
        if kill.signal == signal.SIGKILL:
          os.killpg(process.pid, kill.signal)
        else:
          process.send_signal(kill.signal)
        process.wait()
      seconds = time.monotonic() - begun
  if ended is not None:
    with open(output, encoding='utf-8', errors='replace') as file:
      raise AssertionError(f'The run ended with {ended} before it was killed '
                           f'in {kill.stage}:\n{file.read()[-3000:]}')
  if kill.folder == 'eval':
    in_time = len(_lines(os.path.join(root, 'eval', 'results.jsonl'))) < 3
  else:
    in_time = not os.path.exists(os.path.join(root, kill.folder, 'done.json'))
  with open(output, encoding='utf-8', errors='replace') as file:
    ending = Ending(process.returncode, seconds, file.read())
  return look(root, kill.stage, in_time)._replace(
      ending=None if kill.signal == signal.SIGKILL else ending)


class KilledRun(NamedTuple):
  """A run that was killed once in each stage, and completed."""
  root: str
  snapshots: List[Snapshot]  # after each kill, then at the end
  last: 'subprocess.CompletedProcess[str]'  # the session that completed it


def make_killed_run(folder: str, seed: int = 0) -> KilledRun:
  """Kills a run once in each stage, and lets it complete.

  Args:
    folder: where the run's folder and the sessions' output are put.
    seed: of the times of the kills.
  """
  root = os.path.join(folder, 'run')
  times = random.Random(seed)
  snapshots = [run_until(root, kill, times.uniform(0., kill.delay))
               for kill in KILLS]
  last = launch(root)
  snapshots.append(look(root, 'the end'))
  return KilledRun(root, snapshots, last)
