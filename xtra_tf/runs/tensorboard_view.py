"""A run's metrics for TensorBoard; never read back by us."""

import glob
import os
from typing import Any, Dict, Sequence

from xtra_tf.runs import atomic
from xtra_tf.runs.tensorflow_writes import as_storage_error

_SUFFIX = '.metrics'
_COUNTERS = ('step', 'env_steps', 'time')
_BY_ENV_STEPS = ('collect/', 'eval/')


class TensorBoardView:
  """Writes rows of metrics as scalars.

  The horizontal axis is gradient steps; for `collect/` and `eval/` it is
  environment steps, in stages that take any. TensorFlow is imported when the
  first row is written.
  """

  def __init__(self, folder: str):
    """Initializes the view; nothing is written yet.

    Args:
      folder: where the event files go.
    """
    self._folder = folder
    self._writer: Any = None

  def write(self, row: Dict[str, Any]) -> None:
    """Shows a row of metrics; nulls are left out."""
    import tensorflow as tf
    if self._writer is None:
      atomic.make_folder(self._folder)
      self._writer = tf.summary.create_file_writer(
          self._folder, filename_suffix=_SUFFIX)
    step, env_steps = row['step'], row['env_steps']
    by_step = {'counters/env_steps': float(env_steps)}
    by_env_steps: Dict[str, float] = {}
    for tag, value in row.items():
      if tag in _COUNTERS or value is None:
        continue
      acted = env_steps and tag.startswith(_BY_ENV_STEPS)
      (by_env_steps if acted else by_step)[tag] = value
    with as_storage_error(self._folder), self._writer.as_default():
      for x, scalars in ((step, by_step), (env_steps, by_env_steps)):
        if scalars:
          # One record for all tags of an axis, not one operation per tag.
          values = [tf.compat.v1.Summary.Value(tag=tag, simple_value=value)
                    for tag, value in scalars.items()]
          summary = tf.compat.v1.Summary(value=values)
          tf.summary.experimental.write_raw_pb(
              summary.SerializeToString(), step=x)

  def rebuild(self, rows: Sequence[Dict[str, Any]]) -> None:
    """Replaces all that was written before by these rows."""
    self.close()
    pattern = os.path.join(glob.escape(self._folder),
                           f'events.out.tfevents.*{_SUFFIX}')
    for path in glob.glob(pattern):
      os.unlink(path)
    for row in rows:
      self.write(row)

  def flush(self) -> None:
    """Makes the last rows visible."""
    if self._writer is not None:
      with as_storage_error(self._folder):
        self._writer.flush()

  def close(self) -> None:
    """Closes the event file; a later row opens another."""
    if self._writer is not None:
      writer, self._writer = self._writer, None
      with as_storage_error(self._folder):
        writer.close()
