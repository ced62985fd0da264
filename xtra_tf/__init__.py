"""Model-based cross-task transfer (XTRA, arXiv 2210.10763) in TensorFlow."""

from xtra_tf.version import __version__

__all__ = ['__version__']
