"""The flag that names a stage of a run."""

from absl import flags

flags.DEFINE_string(
    'stage', None, 'Of the run: finetune, scratch or data/TASK; with '
    'launchers.evaluate --follow any other, too.')
