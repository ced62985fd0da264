"""What every environment of this project keeps to; inherit and make one."""

import abc

import numpy as np
import tensorflow as tf
from tf_agents.specs import array_spec

from xtra_tf.environments import GameEnvironment

FIRST, MID, LAST = 0, 1, 2


class EnvironmentSuite(abc.ABC):
  """Mixed into a `tf.test.TestCase`. N slots, A actions.

  Attributes:
    steps: played per check; enough for at least one end, if `ends`.
    ends: a random player's games end within `steps`.
  """

  steps = 120
  ends = True

  @abc.abstractmethod
  def make_environment(self, seed: int = 0) -> GameEnvironment:
    """A training environment with at least two slots."""

  def play(self, seed=0, steps=None, action_seed=0):
    """Random legal play. Yields (actions, time_step, info), reset first."""
    environment = self.make_environment(seed)
    self.addCleanup(environment.close)
    random = np.random.default_rng(action_seed)
    time_step = environment.reset()
    yield None, time_step, environment.get_info()
    for _ in range(self.steps if steps is None else steps):
      actions = random.choice(environment.task.legal_actions,
                              environment.batch_size).astype(np.int32)
      time_step = environment.step(actions)
      yield actions, time_step, environment.get_info()

  def test_time_steps_fit_the_specs(self):
    environment = self.make_environment()
    self.addCleanup(environment.close)
    spec = environment.time_step_spec()
    self.assertTrue(environment.batched)
    self.assertGreaterEqual(environment.batch_size, 2)
    self.assertEqual(environment.action_spec().dtype, np.int32)
    self.assertEqual(environment.action_spec().shape, ())
    for _, time_step, _ in self.play(steps=5):
      for slot in range(environment.batch_size):
        row = tf.nest.map_structure(lambda x, i=slot: x[i], time_step)
        self.assertTrue(array_spec.check_arrays_nest(row, spec), row)

  def test_reset_is_first_without_reward(self):
    for _, time_step, info in self.play(steps=0):
      self.assertAllEqual(time_step.step_type, np.zeros_like(info.raw_reward))
      self.assertAllEqual(time_step.reward, np.zeros_like(info.raw_reward))
      self.assertAllEqual(time_step.discount, np.ones_like(info.raw_reward))
      for column in info:
        self.assertFalse(np.any(column))

  def test_first_follows_last_and_nothing_else(self):
    previous = None
    for _, time_step, _ in self.play():
      if previous is not None:
        self.assertAllEqual(previous == LAST, time_step.step_type == FIRST)
      previous = time_step.step_type

  def test_info_tells_how_an_episode_ends(self):
    ended = 0
    for actions, time_step, info in self.play():
      last, first = time_step.is_last(), time_step.is_first()
      stops = info.terminal | info.truncated | info.life_loss
      self.assertAllEqual(last, stops & ~info.noop)
      self.assertFalse(np.any(info.terminal & info.truncated))
      self.assertAllEqual(time_step.discount == 0,
                          (info.terminal | info.life_loss) & ~info.noop)
      if actions is not None:
        self.assertTrue(np.all(first[info.noop]))
        self.assertFalse(np.any(info.raw_reward[first & ~info.noop]))
      ended += int(last.sum())
    if self.ends:
      self.assertGreater(ended, 0)

  def test_reward_is_the_raw_one_as_the_task_wants_it(self):
    clip = self.make_environment().task.clip_reward
    seen = 0
    for _, time_step, info in self.play():
      expected = np.sign(info.raw_reward) if clip else info.raw_reward
      self.assertAllEqual(time_step.reward,
                          np.where(time_step.is_first(), 0, expected))
      seen += int(np.count_nonzero(time_step.reward))
    self.assertGreater(seen, 0)

  def test_a_seed_repeats_and_another_does_not(self):

    def played(seed):
      return [t.observation['frame'].tobytes() + t.reward.tobytes()
              for _, t, _ in self.play(seed=seed, steps=40)]

    first = played(seed=5)
    self.assertEqual(first, played(seed=5))
    self.assertNotEqual(first, played(seed=6))

  def test_slots_differ(self):
    frames = [t.observation['frame'] for _, t, _ in self.play(steps=30)]
    self.assertTrue(any(np.any(f[0] != f[1]) for f in frames))

  def test_time_steps_own_their_memory(self):
    kept = [(t, t.observation['frame'].copy(), t.reward.copy())
            for _, t, _ in self.play(steps=10)]
    for time_step, frame, reward in kept:
      self.assertAllEqual(time_step.observation['frame'], frame)
      self.assertAllEqual(time_step.reward, reward)

  def test_legal_actions_are_the_tasks(self):
    task = self.make_environment().task
    for _, time_step, _ in self.play(steps=3):
      for row in time_step.observation['legal_actions']:
        self.assertAllEqual(row, task.legal_mask())
        self.assertAllEqual(np.flatnonzero(row), task.legal_actions)

  def test_illegal_action_names_task_slot_and_id(self):
    environment = self.make_environment()
    self.addCleanup(environment.close)
    environment.reset()
    task = environment.task
    illegal = [a for a in range(-1, task.num_actions + 1)
               if a not in task.legal_actions]
    for action in illegal:
      actions = np.full([environment.batch_size], task.legal_actions[0])
      actions[1] = action
      with self.assertRaisesRegex(
          ValueError, f'Action {action} in slot 1 is not one of {task.name}. '
          rf'Expected one of \({task.legal_actions[0]}, '):
        environment.step(actions)

  def test_actions_of_another_shape_or_type_are_refused(self):
    environment = self.make_environment()
    self.addCleanup(environment.close)
    environment.reset()
    slots = environment.batch_size
    with self.assertRaisesRegex(ValueError, rf'got shape \({slots + 1},\)'):
      environment.step(np.zeros([slots + 1], np.int32))
    with self.assertRaisesRegex(ValueError, 'of float32'):
      environment.step(np.zeros([slots], np.float32))
