"""The flags of programs that are one role of a stage."""

from absl import flags

from launchers import stage_flag

flags.adopt_module_key_flags(stage_flag)

flags.DEFINE_string(
    'replay_address', None, "HOST:PORT of the run's own "
    'launchers.replay_server (that with --root_dir and --stage).')
flags.DEFINE_float(
    'max_unreachable', 300., 'Seconds that others of the run may be gone '
    'before this role ends with 69.', lower_bound=0.)
flags.DEFINE_bool(
    'lock_step', True, 'Playing and learning wait for each other, so that a '
    'result does not depend on how fast the machines are. All roles must say '
    'the same.')
