"""Replay tables: the only package that makes Reverb servers and data sets."""

from xtra_tf.replay.batches import Extras
from xtra_tf.replay.composition import Composition
from xtra_tf.replay.dataset import make_dataset
from xtra_tf.replay.indexed_dataset import make_indexed_dataset
from xtra_tf.replay.indexed_table import IndexedTable, IndexedWriter
from xtra_tf.replay.priorities import (
    sanitize,
    update_priorities,
    update_priorities_from_host,
)
from xtra_tf.replay.priority_ledger import PriorityLedger
from xtra_tf.replay.segments import SegmentWriter
from xtra_tf.replay.server import ReplayServer, TableSpec
from xtra_tf.replay.shared_record import (
    RECORD_TABLE,
    SharedRecord,
    SharedTable,
    publish,
    read_record,
    record_table,
)
from xtra_tf.replay.shared_tables import SharedServer, SharedTables, connect
from xtra_tf.replay.tables import IndexedTables, ReplayTables, ReverbTables
from xtra_tf.replay.waiting import BoundedIterator
from xtra_tf.replay.window import WindowSpec
from xtra_tf.replay.writer import ReplayWriter

__all__ = [
    'BoundedIterator', 'Composition', 'Extras', 'IndexedTable', 'IndexedTables',
    'IndexedWriter', 'PriorityLedger', 'RECORD_TABLE', 'ReplayServer',
    'ReplayTables', 'ReplayWriter', 'ReverbTables', 'SegmentWriter',
    'SharedRecord', 'SharedServer', 'SharedTable', 'SharedTables', 'TableSpec',
    'WindowSpec', 'connect', 'make_dataset', 'make_indexed_dataset', 'publish',
    'read_record', 'record_table', 'sanitize', 'update_priorities',
    'update_priorities_from_host']
