"""The on-disk episode format: the truth from which tables are filled."""

from xtra_tf.episodes.log import EpisodeLog
from xtra_tf.episodes.reading_ahead import episodes_ahead
from xtra_tf.episodes.schema import OPTIONAL_COLUMNS, Episode, StepRow
from xtra_tf.episodes.seal import write_seal
from xtra_tf.episodes.writer import EpisodeLogWriter

__all__ = ['Episode', 'EpisodeLog', 'EpisodeLogWriter', 'OPTIONAL_COLUMNS',
           'StepRow', 'episodes_ahead', 'write_seal']
