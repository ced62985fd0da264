"""Replay tables: the only package that makes Reverb servers and data sets."""

from xtra_tf.replay.dataset import make_dataset
from xtra_tf.replay.priorities import (
    sanitize,
    update_priorities,
    update_priorities_from_host,
)
from xtra_tf.replay.server import ReplayServer, TableSpec
from xtra_tf.replay.waiting import BoundedIterator
from xtra_tf.replay.window import WindowSpec
from xtra_tf.replay.writer import ReplayWriter

__all__ = [
    'BoundedIterator', 'ReplayServer', 'ReplayWriter', 'TableSpec',
    'WindowSpec', 'make_dataset', 'sanitize', 'update_priorities',
    'update_priorities_from_host']
