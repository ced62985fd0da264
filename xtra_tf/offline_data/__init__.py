"""Offline data: getting them into replay tables."""

from xtra_tf.offline_data.loading import LoadSummary, estimate_bytes, load_log

__all__ = ['LoadSummary', 'estimate_bytes', 'load_log']
