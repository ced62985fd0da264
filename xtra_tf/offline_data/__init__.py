"""Offline data: getting them into replay tables."""

from xtra_tf.offline_data.loading import (
  LoadSummary,
  LogStream,
  MemoryNeed,
  check_memory,
  estimate_bytes,
  load_log,
)

__all__ = ['LoadSummary', 'LogStream', 'MemoryNeed', 'check_memory',
           'estimate_bytes', 'load_log']
