"""Episodes whose every number says where it belongs."""

import numpy as np

from xtra_tf.episodes import EpisodeLog, EpisodeLogWriter, StepRow
from xtra_tf.tasks import get_task

PONG = (0, 1, 3, 4, 11, 12)  # minimal set by ALE's ids
COLUMNS = ('search', 'root_value', 'bootstrap_value')


def reward(step):
  """What the action of a step is given."""
  return float((step % 5) - 2)


def action(step):
  """Index into a minimal set of 6."""
  return (3 * step + 1) % 6


def frame(step, shape=(12, 10, 1), seed=0):
  """<uint8>[H, W, C], another one for every step and seed."""
  return np.random.default_rng([seed, step]).integers(
      0, 256, shape, np.uint8)


def log_row(task, step, **changes):
  shape, dtype = task.observation_shape, task.observation_dtype
  observation = (frame(step, shape) if dtype == 'uint8' else
                 np.full(shape, step / 7, np.float32))
  row = StepRow(
      observation=observation,
      action=task.legal_actions[step % len(task.legal_actions)],
      search=np.arange(task.num_actions, dtype=np.float32) + step,
      reward=float(np.sign(reward(step))), raw_reward=reward(step) * 2.5,
      terminal=False, truncated=False, life_loss=False, real=True,
      root_value=step / 3, bootstrap_value=-step / 3, has_search=step % 2 == 0,
      env_step=step)
  return row._replace(**changes)


def final(row, step):
  return row._replace(action=0, reward=0., raw_reward=0., terminal=False,
                      truncated=False, life_loss=False, real=False,
                      has_search=False, env_step=step)


def write_log(folder, task=None, columns=COLUMNS, steps=7):
  """A log with an episode of each end, and a life lost in the first one."""
  task = task or get_task('Pong', resolution=12, grayscale=True)
  writer = EpisodeLogWriter(folder, task, columns,
                            provenance={'source': 'a test', 'seed': 3})
  for end in ('terminal', 'truncated', 'cut'):
    begin = 100 * len(end)
    for step in range(begin, begin + steps):
      lost = end == 'terminal' and step == begin + 2
      writer.append(log_row(task, step, life_loss=lost))
      if lost:  # the no-op behind it, which nobody chose
        writer.append(log_row(task, step + 50, real=False, action=0,
                              raw_reward=9., reward=0.))
    step = begin + steps
    last = log_row(task, step, terminal=end == 'terminal',
                   truncated=end == 'truncated')
    writer.append(last)
    if end != 'cut':
      writer.append(final(log_row(task, step + 1), step + 1))
    writer.end_episode(end)
  writer.close()
  return EpisodeLog(folder)


def content(directory):
  """{column: values of all episodes}, for comparisons; numbers left out."""
  names = [*StepRow._fields, 'end']
  return {name: [getattr(episode, name)
                 for episode in EpisodeLog(directory).episodes()]
          for name in names}
