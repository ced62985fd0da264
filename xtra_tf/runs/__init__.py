"""What a run is on disk; free of TensorFlow until metrics are shown by it."""

from xtra_tf.runs.atomic import (
    make_folder,
    read_json,
    storage_error,
    write_bytes,
    write_json,
)
from xtra_tf.runs.descriptions import differences
from xtra_tf.runs.free_space import check_free_space, format_bytes
from xtra_tf.runs.incidents import read_incidents, record_incident
from xtra_tf.runs.manifest import (
    Manifest,
    newest_manifest,
    sweep_orphans,
    write_manifest,
)
from xtra_tf.runs.metrics import MetricsWriter, read_metrics
from xtra_tf.runs.port_lock import PortLock
from xtra_tf.runs.progress import StageProgress
from xtra_tf.runs.run_directory import RunDirectory, run_of_stage
from xtra_tf.runs.run_lock import RunLock
from xtra_tf.runs.settings import SettingChange, compare_settings
from xtra_tf.runs.stage_directory import StageDirectory
from xtra_tf.runs.stopping import StopRequest, stop_request
from xtra_tf.runs.tensorflow_writes import as_storage_error
from xtra_tf.runs.waited_calls import wait_for

__all__ = [
    'Manifest', 'MetricsWriter', 'PortLock', 'RunDirectory', 'RunLock',
    'SettingChange', 'StageDirectory', 'StageProgress', 'StopRequest',
    'as_storage_error', 'check_free_space', 'compare_settings', 'differences',
    'format_bytes', 'make_folder', 'newest_manifest', 'read_incidents',
    'read_json', 'read_metrics', 'record_incident', 'run_of_stage',
    'stop_request', 'storage_error', 'sweep_orphans', 'wait_for',
    'write_bytes', 'write_json', 'write_manifest']
