"""Offline data: getting them into replay tables."""

from xtra_tf.offline_data.loading import (
  LoadSummary,
  LogStream,
  MemoryNeed,
  check_memory,
  estimate_bytes,
  load_log,
)
from xtra_tf.offline_data.reloading import reload_played

__all__ = ['LoadSummary', 'LogStream', 'MemoryNeed', 'check_memory',
           'estimate_bytes', 'load_log', 'reload_played']
