"""Layers with PyTorch's arithmetic: padding, pooling, flattening, LSTM.

Axes: B batch, H and W space, C channels, L units of the LSTM. All variables
exist from the constructor on.

Variables are float32. Convolutions and linear maps compute in the precision of
what they are given, <float32 or bfloat16>, and so do not let Keras cast it.
"""

import math
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import tensorflow as tf

from xtra_tf.models.batch_norm import BatchNorm
from xtra_tf.models.initializers import Seeds, torch_uniform
from xtra_tf.models.layer_norm import LayerNorm

# Of flat tensors, by what a configuration calls them.
NORMS: Dict[str, Callable[[int, str], tf.keras.layers.Layer]] = {
    'batch': BatchNorm, 'layer': LayerNorm}

# One row and column of zeros on all four sides.
_BORDER = ((0, 0), (1, 1), (1, 1), (0, 0))


def average_pool(x: tf.Tensor) -> tf.Tensor:
  """Mean over 3x3 windows, stride 2, whose zero padding counts as cells.

  Source: torch.nn.AvgPool2d(3, 2, padding=1). Keras' 'same' pooling divides by
  the number of real cells and starts one row later.

  Args:
    x: <float32>[B, H, W, C].

  Returns:
    <float32>[B, ceil(H / 2), ceil(W / 2), C].
  """
  return tf.nn.avg_pool2d(tf.pad(x, _BORDER), 3, 2, 'VALID')


def flatten_channels_first(x: tf.Tensor) -> tf.Tensor:
  """Flattens in the order channel, row, column, as PyTorch does.

  Args:
    x: <float32>[B, H, W, C].

  Returns:
    <float32>[B, C * H * W].
  """
  size = x.shape[1] * x.shape[2] * x.shape[3]
  if x.shape[1] * x.shape[2] > 1:
    x = tf.transpose(x, [0, 3, 1, 2])
  return tf.reshape(x, [-1, size])


def min_max_normalize(latent: tf.Tensor) -> tf.Tensor:
  """Brings each row to the range [0, 1].

    (x - min(x)) / (max(x) - min(x)),  0 if all values are equal

  with min and max over space and channels together. Of equal extremes the first
  has the gradient, as in PyTorch.
  Source: EfficientZero `core/model.py` (renormalize).

  Args:
    latent: <float32>[B, h, w, C].

  Returns:
    <float32>[B, h, w, C].
  """
  flat = tf.reshape(latent, [tf.shape(latent)[0], math.prod(latent.shape[1:])])
  # Not reduce_min and reduce_max: XLA may compute the latent twice, unlike in
  # the last bit, and their gradients, 0 / 0 where nothing equals the extreme,
  # would not be finite.
  minimum, maximum = (
      tf.gather(flat, index(flat, axis=1)[:, tf.newaxis], batch_dims=1)
      for index in (tf.argmin, tf.argmax))
  normalized = tf.math.divide_no_nan(flat - minimum, maximum - minimum)
  return tf.reshape(normalized, tf.shape(latent))


class Convolution(tf.keras.layers.Layer):
  """3x3 with zero padding 1, or 1x1; PyTorch's initial weights."""

  def __init__(self, inputs: int, outputs: int, seeds: Seeds, name: str, *,
               size: int = 3, stride: int = 1, use_bias: bool = False):
    super().__init__(name=name, autocast=False)
    self._stride = stride
    # Stride 2 needs the border written out: 'SAME' would pad an even input at
    # the bottom and right only, and shift the picture by one pixel. As a pad
    # of its own, because gradients of explicitly padded convolutions are a
    # third slower on CPUs.
    self._pads = size == 3 and stride > 1
    fan_in = inputs * size * size
    with tf.name_scope(name):
      self.kernel = self.add_weight(
          'kernel', [size, size, inputs, outputs],
          initializer=torch_uniform(fan_in, seeds))
      self.bias = self.add_weight(
          'bias', [outputs],
          initializer=torch_uniform(fan_in, seeds)) if use_bias else None

  def call(self, x: tf.Tensor) -> tf.Tensor:
    """Maps <float32>[B, H, W, inputs] to [B, H / stride, ..., outputs]."""
    kernel = tf.cast(self.kernel, x.dtype)
    if self._pads:
      y = tf.nn.conv2d(tf.pad(x, _BORDER), kernel, self._stride, 'VALID')
    else:
      y = tf.nn.conv2d(x, kernel, self._stride, 'SAME')
    if self.bias is None:
      return y
    return tf.nn.bias_add(y, tf.cast(self.bias, x.dtype))


class Linear(tf.keras.layers.Layer):
  """Affine map with PyTorch's initial weights, or with zeros."""

  def __init__(self, inputs: int, outputs: int, seeds: Seeds, name: str, *,
               zero_initial: bool = False):
    super().__init__(name=name, autocast=False)
    def initializer() -> Any:
      return 'zeros' if zero_initial else torch_uniform(inputs, seeds)
    with tf.name_scope(name):
      self.kernel = self.add_weight('kernel', [inputs, outputs],
                                    initializer=initializer())
      self.bias = self.add_weight('bias', [outputs], initializer=initializer())

  def call(self, x: tf.Tensor) -> tf.Tensor:
    """Maps <float32>[B, inputs] to [B, outputs]."""
    return tf.nn.bias_add(tf.matmul(x, tf.cast(self.kernel, x.dtype)),
                          tf.cast(self.bias, x.dtype))


class ResidualBlock(tf.keras.layers.Layer):
  """Two 3x3 convolutions with batch norm around a skip connection.

    relu(bn(conv(relu(bn(conv(x))))) + skip(x))

  Without a change of resolution skip(x) = x. A block that halves it has a
  stride-2 convolution as skip, without batch norm.
  Source: EfficientZero `config/atari/model.py` (ResidualBlock, DownSample).
  """

  def __init__(self, inputs: int, outputs: int, seeds: Seeds, name: str, *,
               stride: int = 1):
    super().__init__(name=name, autocast=False)
    with tf.name_scope(name):
      self.conv_1 = Convolution(inputs, outputs, seeds, 'conv_1', stride=stride)
      self.norm_1 = BatchNorm(outputs, 'norm_1')
      self.conv_2 = Convolution(outputs, outputs, seeds, 'conv_2')
      self.norm_2 = BatchNorm(outputs, 'norm_2')
      self.skip: Optional[Convolution] = None
      if stride != 1 or inputs != outputs:
        self.skip = Convolution(inputs, outputs, seeds, 'skip', stride=stride)

  def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps <float32>[B, H, W, inputs] to [B, H / stride, ..., outputs]."""
    y = tf.nn.relu(self.norm_1(self.conv_1(x), training=training))
    y = self.norm_2(self.conv_2(y), training=training)
    return tf.nn.relu(y + (x if self.skip is None else self.skip(x)))


class ChannelReducer(tf.keras.layers.Layer):
  """relu(bn(conv1x1(latent))), flattened: what a head starts with."""

  def __init__(self, latent_shape: Tuple[int, int, int], channels: int,
               seeds: Seeds, name: str):
    super().__init__(name=name, autocast=False)
    height, width, inputs = latent_shape
    self.size = channels * height * width
    with tf.name_scope(name):
      self.conv = Convolution(inputs, channels, seeds, 'conv', size=1,
                              use_bias=True)
      self.norm = BatchNorm(channels, 'norm')

  def call(self, latent: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps <float32>[B, h, w, C] to [B, channels * h * w]."""
    y = tf.nn.relu(self.norm(self.conv(latent), training=training))
    return flatten_channels_first(y)


class Mlp(tf.keras.layers.Layer):
  """Linear - norm - relu for each hidden layer, then Linear.

  The last layer is computed in float32 whatever the input is: what follows are
  softmax, value transforms and cosines.
  Source: EfficientZero `config/atari/model.py` (mlp).
  """

  def __init__(self, sizes: Sequence[int], seeds: Seeds, name: str, *,
               zero_initial: bool = False, norm: str = 'batch'):
    """Creates the layers.

    Args:
      sizes: input, hidden and output sizes.
      seeds: of the initial weights.
      name: of the layer.
      zero_initial: whether the last layer starts at 0, and the output with it.
      norm: of the hidden layers, one of NORMS.
    """
    super().__init__(name=name, autocast=False)
    self.hidden, self.norms = [], []
    with tf.name_scope(name):
      for i, (inputs, outputs) in enumerate(zip(sizes[:-2], sizes[1:-1])):
        self.hidden.append(Linear(inputs, outputs, seeds, f'hidden_{i}'))
        self.norms.append(NORMS[norm](outputs, f'norm_{i}'))
      self.last = Linear(sizes[-2], sizes[-1], seeds, 'last',
                         zero_initial=zero_initial)

  def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [B, sizes[0]] to <float32>[B, sizes[-1]]."""
    for linear, norm in zip(self.hidden, self.norms):
      x = tf.nn.relu(norm(linear(x), training=training))
    return self.last(tf.cast(x, tf.float32))


class LstmCell(tf.keras.layers.Layer):
  """One step of an LSTM with two bias vectors, gates in the order i, f, g, o.

    i, f, g, o = split(x W + b_input + h U + b_recurrent)
    cell' = sigmoid(f) * cell + sigmoid(i) * tanh(g)
    hidden' = sigmoid(o) * tanh(cell')

  Two biases as in torch.nn.LSTM: each receives the gradient, so that their sum
  moves twice as fast under SGD as the one bias of Keras' cell.
  """

  def __init__(self, inputs: int, units: int, seeds: Seeds, name: str):
    super().__init__(name=name, autocast=False)
    with tf.name_scope(name):
      def weight(weight_name: str, shape: List[int]) -> tf.Variable:
        return self.add_weight(weight_name, shape,
                               initializer=torch_uniform(units, seeds))
      self.input_kernel = weight('input_kernel', [inputs, 4 * units])
      self.recurrent_kernel = weight('recurrent_kernel', [units, 4 * units])
      self.input_bias = weight('input_bias', [4 * units])
      self.recurrent_bias = weight('recurrent_bias', [4 * units])

  def call(self, x: tf.Tensor, hidden: tf.Tensor,
           cell: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Steps once.

    Args:
      x: <float32 or bfloat16>[B, inputs].
      hidden: <float32>[B, L].
      cell: <float32>[B, L].

    Returns:
      The new hidden and cell, <float32>[B, L] each: gates and memory are
      float32, whatever `x` is.
    """
    mapped = (tf.matmul(x, tf.cast(self.input_kernel, x.dtype))
              + tf.matmul(tf.cast(hidden, x.dtype),
                          tf.cast(self.recurrent_kernel, x.dtype)))
    gates = (tf.cast(mapped, tf.float32)
             + (self.input_bias + self.recurrent_bias))
    let_in, keep, candidate, let_out = tf.split(gates, 4, axis=-1)
    cell = (tf.sigmoid(keep) * cell
            + tf.sigmoid(let_in) * tf.tanh(candidate))
    return tf.sigmoid(let_out) * tf.tanh(cell), cell
