"""A game is brought back to where it was by its seed and its actions."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf import environments
from xtra_tf.tasks import get_task

SLOTS = 3


def _load(name):
  return environments.load(get_task(name), num_envs=SLOTS, seed=5,
                           training=True, max_episode_steps=250)


def _play(environment, steps, seed):
  """Random play; per slot the frames and actions of its unfinished game."""
  random = np.random.default_rng(seed)
  legal = np.array(environment.task.legal_actions)
  time_step = environment.reset()
  seeds = environment.episode_seeds()
  games = [([], []) for _ in range(SLOTS)]
  begun = np.ones([SLOTS], np.int64)
  for _ in range(steps):
    actions = random.choice(legal, size=SLOTS).astype(np.int32)
    for slot, (frames, played) in enumerate(games):
      frames.append(time_step.observation['frame'][slot])
      played.append(actions[slot])
    time_step = environment.step(actions)
    for slot in np.flatnonzero(environment.episode_seeds() != seeds):
      games[slot] = ([], [])
      begun[slot] += 1
    seeds = environment.episode_seeds()
  return time_step, games, begun - 1


class ResumeTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ('tiny:catch', 23), ('tiny:dodge', 47), ('tiny:cross', 90),
      ('Breakout', 500), ('SpaceInvaders-m1-d0', 30))
  def test_games_go_on_as_if_they_had_never_been_left(self, name, steps):
    first = _load(name)
    expected, games, numbers = _play(first, steps, seed=steps)
    again = _load(name)
    again.set_episode_numbers(numbers)
    seen = [[] for _ in range(SLOTS)]

    def look(slot, step, frame):
      self.assertLen(seen[slot], step)
      seen[slot].append(frame)

    found = again.resume(
        {slot: np.array(played) for slot, (_, played) in enumerate(games)
         if played}, look)
    for slot, (frames, _) in enumerate(games):
      self.assertAllEqual(seen[slot], frames)
    if name == 'Breakout':  # others have games of one length
      self.assertGreater(len({len(played) for _, played in games}), 1)
    random = np.random.default_rng(0)
    for _ in range(40):
      for one, other in zip(tf.nest.flatten(expected), tf.nest.flatten(found)):
        self.assertAllEqual(one, other)
      action = random.choice(
          np.array(first.task.legal_actions), size=SLOTS).astype(np.int32)
      expected, found = first.step(action), again.step(action)
      for one, other in zip(first.get_info(), again.get_info()):
        self.assertAllEqual(one, other)
    self.assertAllEqual(first.episode_seeds(), again.episode_seeds())

  def test_without_games_to_go_on_with_all_begin(self):
    first, again = _load('tiny:catch'), _load('tiny:catch')
    expected = first.reset()
    found = again.resume({}, lambda *_: self.fail('nothing was played'))
    for one, other in zip(tf.nest.flatten(expected), tf.nest.flatten(found)):
      self.assertAllEqual(one, other)

  def test_look_may_refuse(self):
    environment = _load('tiny:catch')

    def look(slot, step, frame):
      raise ArithmeticError(f'{slot} {step} {frame.shape}')

    with self.assertRaisesRegex(ArithmeticError, '1 0 '):
      environment.resume({1: np.zeros([3], np.int32)}, look)


if __name__ == '__main__':
  tf.test.main()
