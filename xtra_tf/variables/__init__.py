"""Weights: checkpoints tied to manifests, and copies between models."""

from xtra_tf.variables.checkpoint_graph import check_fits
from xtra_tf.variables.checkpoints import (
    CheckpointInfo,
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

__all__ = [
    'CheckpointInfo', 'ManifestedCheckpoints', 'check_fits', 'copy_variables',
    'load_model_description', 'resolve_checkpoint', 'restore_world_model',
    'save_model_description', 'save_world_model']
