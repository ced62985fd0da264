r"""Loads offline data once and serves them to any number of learners.

Examples:
  python -m launchers.replay_server --port=8000 \
      --task_data=Alien=runs/demo/data/Alien/replay/episodes \
      --task_targets=Alien=runs/demo/teacher/Alien/targets
  python -m launchers.replay_server --port=8000 --gin_file=protocols/paper.gin \
      --task_data=Alien=data/alien --task_data=Amidar=data/amidar --allow_remote

Learners are given its address: launchers.xtra --offline_address=localhost:8000.
Frames, windows and planner are those of the gin files; a learner with others is
refused. Tables are sampled uniformly. After a kill the same command loads the
data from the disk again. A set of more steps than ReplaySettings.max_size goes
through a table of that size over and over, the oldest steps out.
"""

import sys
import time

from absl import flags

from launchers import (
  gin_flags,
  program,
  role_flags,
  role_start,
  settings_flags,
  task_folders,
)

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(settings_flags)
flags.adopt_module_key_flags(role_flags)

_TASK_DATA = flags.DEFINE_multi_string(
    'task_data', [], 'TASK=DIR: serve the episodes in DIR as the data of a '
    'task. Once for each task.')
_TASK_TARGETS = flags.DEFINE_multi_string(
    'task_targets', [], 'TASK=DIR: targets that a teacher has stored for these '
    'episodes, if they are not columns of the episodes themselves.')
_PORT = flags.DEFINE_integer(
    'port', None, 'Port to listen on; a free one if not given.')
_ALLOW_REMOTE = flags.DEFINE_bool(
    'allow_remote', False, 'Learners on other hosts may use this server; '
    'without it they refuse to. Either way anybody who reaches the port can '
    'read and change its tables.')
_SAMPLES_PER_STEP = flags.DEFINE_float(
    'samples_per_step', None, 'How often a step of a set that is larger than '
    'its table is sampled, on the average, before it goes; '
    'ReplaySettings.samples_per_step if not given.')


def main() -> int:
  """Loads, then serves until it is stopped."""
  return _serve_run() if FLAGS.root_dir else _serve_sets()


def _serve_run() -> int:
  """The tables of one stage of a run."""
  if _TASK_DATA.value or _TASK_TARGETS.value:
    program.fail('--root_dir serves the tables of a run, --task_data sets for '
                 'any run. Expected one of the two.')
  found = role_start.begin()
  from xtra_tf.experiments import stage_roles
  server = stage_roles.serve(found, _PORT.value, _ALLOW_REMOTE.value)
  try:
    while True:
      time.sleep(1)
  finally:
    server.stop()


def _serve_sets() -> int:
  """Sets of offline data, for any number of runs."""
  task_data = task_folders.parse('task_data', _TASK_DATA.value)
  task_targets = task_folders.parse('task_targets', _TASK_TARGETS.value)
  if not FLAGS.debug:
    program.hide_native_output()
  gin_flags.apply_trust()
  from xtra_tf.experiments import shared_replay
  sets = shared_replay.prepare(
      task_data, task_targets, gin_flags.files(),
      FLAGS.gin_bindings, allow_remote=_ALLOW_REMOTE.value)
  for line in sets.lines():
    _say(line)
  server = shared_replay.SharedReplay(
      sets, _PORT.value, samples_per_step=_SAMPLES_PER_STEP.value)
  if _ALLOW_REMOTE.value:
    _warn(f'port {server.port} is open to every host that reaches this one. '
          'Nobody is asked who they are: whoever connects can read, change and '
          'empty the tables. Nothing is encrypted.')
  else:
    _warn(f'Reverb listens on port {server.port} of every network interface '
          'and asks nobody who they are. Without --allow_remote, learners of '
          'xtra_tf on other hosts refuse this server, and other hosts that '
          'connect are reported here; nothing keeps them out. A firewall does, '
          f'e.g. `iptables -A INPUT -p tcp --dport {server.port} ! -i lo -j '
          'DROP` and the same with ip6tables.')
  server.load()
  _say(f'Serving {", ".join(server.contents())} at {server.address}')
  try:
    while True:
      server.watch(_warn)
      if not server.stream(_say):
        time.sleep(1)
  except KeyboardInterrupt:
    _say('Stopped. The same command loads the data again.')
    return 0


def _say(line: str) -> None:
  sys.stdout.write(f'{line}\n')
  sys.stdout.flush()  # who waits for the line reads it through a pipe


def _warn(line: str) -> None:
  sys.stderr.write(f'warning: {line}\n')
  sys.stderr.flush()


if __name__ == '__main__':
  program.run(main)
