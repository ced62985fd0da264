"""The flags of every program that takes a run's settings."""

from absl import flags

from launchers import gin_flags

flags.adopt_module_key_flags(gin_flags)

flags.DEFINE_integer('seed', 0, 'Seed of weights, environments and searches.')
