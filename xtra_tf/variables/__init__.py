"""Weights: checkpoints tied to manifests, and copies between models."""

from xtra_tf.variables.checkpoint_graph import check_fits
from xtra_tf.variables.checkpoints import (
    CheckpointInfo,
    read_unplaced,
    resolve_checkpoint,
    restore_world_model,
    save_world_model,
)
from xtra_tf.variables.copying import copy_variables
from xtra_tf.variables.manifested_checkpoints import ManifestedCheckpoints
from xtra_tf.variables.model_description import (
    load_model_description,
    save_model_description,
)
from xtra_tf.variables.state_dicts import (
    StateDict,
    module_versions,
    read_state_dict,
    write_state_dict,
)

__all__ = [
    'CheckpointInfo', 'ManifestedCheckpoints', 'StateDict', 'check_fits',
    'copy_variables', 'load_model_description', 'module_versions',
    'read_state_dict', 'read_unplaced', 'resolve_checkpoint',
    'restore_world_model', 'save_model_description', 'save_world_model',
    'write_state_dict']
