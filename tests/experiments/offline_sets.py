"""Small offline sets with stored targets, made by nobody in particular."""

import numpy as np

from xtra_tf.episodes import OPTIONAL_COLUMNS, EpisodeLogWriter, StepRow
from xtra_tf.tasks import get_task


def write(directory, name, lengths=(12, 9), columns=OPTIONAL_COLUMNS, seed=0,
          frames=None):
  """Episodes of random frames and targets, of so many steps each.

  Args:
    directory: of the log.
    name: of the task.
    lengths: steps of each episode.
    columns: optional ones that the log has.
    seed: of the draws.
    frames: {action: <task dtype>[*frame]} what is seen when it is played; None:
      random numbers.

  Returns:
    The task.
  """
  task = get_task(name)
  draw = np.random.default_rng(seed)
  writer = EpisodeLogWriter(directory, task, columns)
  step = 0
  for length in lengths:
    for row in range(length + 1):
      real = row < length
      values = {
          'search': draw.integers(1, 5, task.num_actions).astype(np.float32)
                    * task.legal_mask(), 'root_value': float(draw.random()),
          'bootstrap_value': float(draw.random())}
      action = task.legal_actions[row % len(task.legal_actions)] if real else 0
      frame = draw.integers(0, 256, task.observation_shape).astype(
          task.observation_dtype)
      writer.append(StepRow(
          observation=frame if frames is None else frames[action],
          action=action, reward=1. * real, raw_reward=1. * real,
          terminal=row == length - 1, truncated=False, life_loss=False,
          real=real, has_search='search' in columns and real, env_step=step,
          **{column: values[column] if column in columns else None
             for column in values}))
      step += real
    writer.end_episode('terminal')
  writer.close()
  return task
