"""The flags of programs that learn: on which devices."""

from absl import flags

flags.DEFINE_enum(
    'strategy', 'one', ['one', 'mirrored', 'multi_worker', 'tpu'],
    'Devices of the gradient step, which share each batch equally: one; all '
    'GPUs of this machine; those of all machines that TF_CONFIG names; or a '
    'TPU.')
flags.DEFINE_string(
    'tpu_name', '', 'With --strategy=tpu: local on a TPU VM, or the name of '
    'the TPU.')
