r"""Plays a task with any policy and keeps the episodes as data.

Examples:
  python -m launchers.collect --task=Alien --output=data/alien \
      --env_steps=100000
  python -m launchers.collect --task=Alien --output=data/alien_teacher \
      --checkpoint=runs/imported --episodes=100 --temperature=0.5

Without a checkpoint the actions are random, and the frames those that the gin
files ask for (as in `base/paper.gin` without any). With one, of a run or
imported, frames and search are the checkpoint's own. A game is played as when
training: a lost life ends a segment. The same command goes on where it stopped;
with a larger number it collects more. `launchers.xtra --task_data=Alien=DIR`
uses the data. The last line that it prints is their path.
"""

import sys
from typing import Any

from absl import flags

from launchers import (
  fact_table,
  gin_flags,
  program,
  role_flags,
  role_start,
  settings_flags,
)

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(settings_flags)
flags.adopt_module_key_flags(role_flags)

_TASK = flags.DEFINE_string('task', None, 'What is played, e.g. Alien.')
_OUTPUT = flags.DEFINE_string(
    'output', None, 'Folder of the episodes; made if need be.')
_CHECKPOINT = flags.DEFINE_string(
    'checkpoint', None, 'Who plays: folder of a checkpoint or of a stage (its '
    'newest save), or one save, .../train/checkpoints/ckpt-<step>. Without it '
    'the actions are random.')
_ENV_STEPS = flags.DEFINE_integer(
    'env_steps', None, 'Environment steps in all, over all games.')
_EPISODES = flags.DEFINE_integer(
    'episodes', None, 'Whole games in all, instead of --env_steps. Short games '
    'end first, so that their share is above the true one if these are few.')
_NUM_ENVS = flags.DEFINE_integer('num_envs', 8, 'Games played at once.')
_GREEDY = flags.DEFINE_bool(
    'greedy', False, 'Play the most visited action, without noise.')
_TEMPERATURE = flags.DEFINE_float(
    'temperature', None, 'Of the draw of an action by its visits; 1 if not '
    'given.')
_COLLECTOR = flags.DEFINE_integer(
    'collector', 0, 'Number of this collector of a run.', lower_bound=0)
_COLLECTORS = flags.DEFINE_integer(
    'collectors', 1, 'How many collectors share the environment steps of a '
    'run.', lower_bound=1)
_NUM_SIMULATIONS = flags.DEFINE_integer(
    'num_simulations', None, 'Simulations of a search; as trained if not '
    'given.', lower_bound=1)


def main() -> int:
  """Collects: for a run's learner, or into a folder."""
  return _play_for_run() if FLAGS.replay_address else _collect_data()


def _play_for_run() -> int:
  """One collector of a stage of a run."""
  found = role_start.begin(f'collector-{_COLLECTOR.value}.log')
  from xtra_tf.experiments import collector_role, stage_roles
  env_steps = stage_roles.collect(found, collector_role.CollectorPlace(
      FLAGS.replay_address, _COLLECTOR.value, _COLLECTORS.value, found.digest,
      FLAGS.max_unreachable, FLAGS.lock_step))
  sys.stdout.write(f'Collector {_COLLECTOR.value}: {env_steps:,} environment '
                   'steps.\n')
  return 0


def _collect_data() -> int:
  """Collects, and says what the folder holds."""
  task = program.require('task', _TASK.value, 'Alien')
  output = program.require('output', _OUTPUT.value, 'data/alien')
  if not FLAGS.debug:
    program.hide_native_output()
  gin_flags.apply_trust()
  from xtra_tf.experiments import data_collection
  from xtra_tf.runs import StageProgress
  collection = data_collection.DataCollection(
      data_collection.CollectionSettings(
          task=task, output=output, env_steps=_ENV_STEPS.value,
          episodes=_EPISODES.value, num_envs=_NUM_ENVS.value, seed=FLAGS.seed,
          checkpoint=_CHECKPOINT.value, greedy=_GREEDY.value,
          temperature=_TEMPERATURE.value,
          num_simulations=_NUM_SIMULATIONS.value,
          gin_files=tuple(FLAGS.gin_file),
          gin_bindings=tuple(FLAGS.gin_bindings)))
  with StageProgress(f'Collecting: {task}', total=collection.total,
                     unit=collection.unit, start=collection.done) as progress:
    collected = collection.run(progress.update)
  _show(output, collected)
  sys.stdout.write(f'{output}\n')
  return 0


def _show(output: str, collected: Any) -> None:
  """Prints what the folder holds.

  Args:
    output: the folder.
    collected: a Collected.
  """
  from xtra_tf.evaluation import data_page
  from xtra_tf.runs import format_bytes
  task = collected.task
  frame = 'x'.join(map(str, task.observation_shape))
  rows = [('Played by', data_page.who_played(collected.provenance)),
          ('Observations', f'{frame} {task.observation_dtype}, {task.codec}'),
          ('Sticky actions', f'{task.sticky_actions:g}'),
          ('Whole games', f'{collected.episodes:,}'),
          ('Games that were broken off', f'{collected.cut:,}'),
          ('Environment steps', f'{collected.env_steps:,}'),
          ('  of this session', f'{collected.new_env_steps:,}'),
          ('Size', format_bytes(collected.stored_bytes))]
  if collected.episodes:
    returns = collected.returns
    rows += [('Mean return', f'{returns.mean():,.2f}'),
             ('Least and greatest return',
              f'{returns.min():,.2f}, {returns.max():,.2f}')]
  for name in ('random', 'human'):
    score = getattr(task, f'{name}_score')
    if score is not None:
      rows.append((f'Mean return of {name} play', f'{score:,.2f}'))
  fact_table.show(f'{task.name}: {output}', rows)


if __name__ == '__main__':
  program.run(main, at_once=True)
