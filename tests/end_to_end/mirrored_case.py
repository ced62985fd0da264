"""A run of all stages on two logical CPUs; mirrored_test.py starts it.

Logical devices have to be made before TensorFlow does anything, so the launcher
itself, which makes none, cannot be given them.
"""

import sys

import tensorflow as tf

from tests.end_to_end import tiny_run
from xtra_tf.experiments import local_run, strategies


def main() -> None:
  """Runs into the folder that is the one argument."""
  cpu, = tf.config.list_physical_devices('CPU')
  tf.config.set_logical_device_configuration(
      cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
  local_run.run_xtra(
      sys.argv[1], gin_files=[tiny_run.GIN_FILE],
      gin_bindings=list(tiny_run.BINDINGS), seed=0,
      devices=strategies.Devices('mirrored'))


if __name__ == '__main__':
  main()
