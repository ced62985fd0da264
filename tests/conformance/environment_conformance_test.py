"""The environment suite over each kind of environment."""

import dataclasses

import tensorflow as tf

from tests.conformance import environment_suite
from xtra_tf import environments, tasks
from xtra_tf.testing import random_environment


class AtariConformanceTest(environment_suite.EnvironmentSuite,
                           tf.test.TestCase):
  steps = 70

  def make_environment(self, seed=0):
    task = tasks.get_task('Breakout', resolution=32)
    return environments.load(task, num_envs=2, seed=seed, training=True)


class GrayAtariConformanceTest(environment_suite.EnvironmentSuite,
                               tf.test.TestCase):
  steps = 40

  def make_environment(self, seed=0):
    task = tasks.get_task('Alien', resolution=32, grayscale=True)
    return environments.load(task, num_envs=2, seed=seed, training=True,
                             max_episode_steps=25)


class FlavourConformanceTest(environment_suite.EnvironmentSuite,
                             tf.test.TestCase):
  steps = 70

  def make_environment(self, seed=0):
    task = tasks.get_task('Breakout-m4-d1', resolution=32)
    return environments.load(task, num_envs=2, seed=seed, training=True)


class CatchConformanceTest(environment_suite.EnvironmentSuite,
                           tf.test.TestCase):

  def make_environment(self, seed=0):
    return environments.load(tasks.get_task('tiny:catch'), num_envs=3,
                             seed=seed, training=True)


class CrossConformanceTest(environment_suite.EnvironmentSuite,
                           tf.test.TestCase):

  def make_environment(self, seed=0):
    return environments.load(tasks.get_task('tiny:cross'), num_envs=2,
                             seed=seed, training=True, max_episode_steps=30)


class CartPoleConformanceTest(environment_suite.EnvironmentSuite,
                              tf.test.TestCase):

  def make_environment(self, seed=0):
    return environments.load(tasks.get_task('gym:CartPole-v1'), num_envs=2,
                             seed=seed, training=True)


class RandomConformanceTest(environment_suite.EnvironmentSuite,
                            tf.test.TestCase):

  def make_environment(self, seed=0):
    task = dataclasses.replace(tasks.get_task('tiny:dodge'), name='tiny:noise')
    return random_environment.random_environment(
        task, num_envs=3, seed=seed,
        chances=random_environment.Chances(truncated=0.02))


if __name__ == '__main__':
  tf.test.main()
