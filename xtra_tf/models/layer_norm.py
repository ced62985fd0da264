"""Layer normalisation of flat tensors, in batch norm's place."""

import tensorflow as tf


class LayerNorm(tf.keras.layers.LayerNormalization):
  """Normalises each row by itself, in training and inference alike.

    y = (x - mean) / sqrt(variance + 1e-5) * gamma + beta

  with the (biased) variance over the row's channels. Statistics and arithmetic
  are float32 for an input of bfloat16 too.
  """

  def __init__(self, channels: int, name: str):
    """Creates the variables.

    Args:
      channels: size C of the last axis.
      name: of the layer.
    """
    super().__init__(epsilon=1e-5, name=name, autocast=False)
    with tf.name_scope(name):
      self.build([None, channels])

  def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Normalises.

    Args:
      x: <float32 or bfloat16>[B, C].
      training: makes no difference.

    Returns:
      A tensor like `x`.
    """
    del training
    return tf.cast(super().call(x), x.dtype)
