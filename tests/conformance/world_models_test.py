"""The suite of the world-model protocol over every implementation."""

import tensorflow as tf

from tests.conformance import world_model_suite
from xtra_tf.models import EfficientZero, EfficientZeroConfig
from xtra_tf.testing.linear_world_model import LinearWorldModel

# Random heads, so that outputs differ; everything else as small as it goes.
_SIZES = {'num_actions': 3, 'channels': 4, 'head_channels': 2,
          'head_hidden': (4,), 'lstm_size': 4, 'support': 5,
          'projection_hidden': 8, 'projection_size': 8,
          'projection_head_hidden': 4, 'zero_initial_heads': False}


class EfficientZeroOfImagesTest(world_model_suite.WorldModelSuite,
                                tf.test.TestCase):

  OBSERVATION_SHAPE = (32, 32, 2)

  @classmethod
  def make_model(cls, seed):
    return EfficientZero(
        EfficientZeroConfig(cls.OBSERVATION_SHAPE, **_SIZES), seed=seed)


class EfficientZeroOfVectorsTest(world_model_suite.WorldModelSuite,
                                 tf.test.TestCase):

  OBSERVATION_SHAPE = (6,)

  @classmethod
  def make_model(cls, seed):
    return EfficientZero(
        EfficientZeroConfig(cls.OBSERVATION_SHAPE, **_SIZES), seed=seed)


class EfficientZeroOfSomeActionsTest(world_model_suite.WorldModelSuite,
                                     tf.test.TestCase):
  """The network knows three of the family's actions."""

  OBSERVATION_SHAPE = (6,)

  @classmethod
  def make_model(cls, seed):
    return EfficientZero(
        EfficientZeroConfig(cls.OBSERVATION_SHAPE,
                            **{**_SIZES, 'num_actions': 7,
                               'action_ids': (5, 0, 3)}), seed=seed)


class LinearWorldModelTest(world_model_suite.WorldModelSuite,
                           tf.test.TestCase):
  """The fake of other tests keeps the protocol too."""

  OBSERVATION_SHAPE = (6,)

  @classmethod
  def make_model(cls, seed):
    return LinearWorldModel(cls.OBSERVATION_SHAPE, seed=seed)


if __name__ == '__main__':
  tf.test.main()
