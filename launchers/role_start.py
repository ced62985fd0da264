"""How every program that is one role of a stage of a run starts."""

import os
from typing import Any

from absl import flags

from launchers import gin_flags, program

FLAGS = flags.FLAGS


def begin(log: str = '', strategy: str = 'one', tpu_name: str = '') -> Any:
  """Reads the flags that all roles share, and finds the stage they name.

  To be called before anything that imports TensorFlow.

  Args:
    log: file in the run's logs for what native code says; dropped without.
    strategy: devices of a learner, as --strategy names them.
    tpu_name: of its TPU.

  Returns:
    A StageOfRun.

  Raises:
    UserError: a setting, a stage that has no roles, devices out of reach.
  """
  root_dir = program.require_root_dir()
  stage = program.require('stage', FLAGS.stage, 'scratch')
  if not FLAGS.debug:
    program.native_output_to(
        os.path.join(root_dir, 'logs', log) if log else os.devnull)
  gin_flags.apply_trust()
  from xtra_tf.experiments import stage_roles, strategies
  return stage_roles.resolve(
      root_dir, stage, gin_flags.files(), FLAGS.gin_bindings, FLAGS.seed,
      strategies.Devices(strategy, tpu_name))


def require_address() -> str:
  """Of the run's replay server."""
  return program.require(
      'replay_address', FLAGS.replay_address, 'localhost:8000')
