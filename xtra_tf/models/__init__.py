"""World models: networks behind the protocol of `world_model`."""

from xtra_tf.models.efficientzero import EfficientZero, EfficientZeroState
from xtra_tf.models.efficientzero_config import EfficientZeroConfig
from xtra_tf.models.registry import build_world_model

__all__ = ['EfficientZero', 'EfficientZeroConfig', 'EfficientZeroState',
           'build_world_model']
