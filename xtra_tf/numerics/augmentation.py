"""Image augmentation, one draw a sample, from stateless seeds.

Source: DrQ (random shift), Data-efficient RL (intensity); EfficientZero
`core/dataset.py`.
"""

from typing import Tuple

import tensorflow as tf

from xtra_tf.numerics import replicas

# Named, because 'auto_select' draws other numbers when compiled by XLA. Even
# so only integers agree, and floats are made of them.
RANDOM_ALGORITHM = 'philox'
RANDOM_BITS = 23  # so that integer + 0.5 is exact in float32


def random_shift(images: tf.Tensor, padding: int,
                 seed: tf.Tensor) -> tf.Tensor:
  """Shifts each image by up to `padding` pixels; borders are repeated.

  The same as padding each side with copies of the border pixels and cutting
  out an image of the old size at a random place.

  Args:
    images: <any>[B, H, W, C].
    padding: the largest shift, pixels; shifts are uniform in
      -padding..padding, for each axis and sample.
    seed: <int32>[2].

  Returns:
    A tensor like `images`.
  """
  batch, height, width, _ = images.shape
  shifts = replicas.own_rows(tf.random.stateless_uniform(
      [replicas.number() * batch, 2], seed, minval=-padding, maxval=padding + 1,
      dtype=tf.int32, alg=RANDOM_ALGORITHM))
  rows = tf.clip_by_value(
      tf.range(height) + shifts[:, :1], 0, height - 1)
  columns = tf.clip_by_value(
      tf.range(width) + shifts[:, 1:], 0, width - 1)
  shifted = tf.gather(images, rows, axis=1, batch_dims=1)
  return tf.gather(shifted, columns, axis=2, batch_dims=1)


def random_intensity(images: tf.Tensor, scale: float,
                     seed: tf.Tensor) -> tf.Tensor:
  """Makes each image a little brighter or darker.

    image * (1 + scale * clip(noise, -2, 2)),  noise ~ N(0, 1)

  Args:
    images: <float32>[B, ...].
    scale: standard deviation of the factor.
    seed: <int32>[2].

  Returns:
    <float32>[B, ...]; not clipped to [0, 1].
  """
  shape = [replicas.number() * images.shape[0]] + [1] * (images.shape.rank - 1)
  integers = replicas.own_rows(tf.random.stateless_uniform(
      shape, seed, minval=0, maxval=2**RANDOM_BITS, dtype=tf.int32,
      alg=RANDOM_ALGORITHM))
  uniform = (tf.cast(integers, tf.float32) + 0.5) / 2**RANDOM_BITS
  noise = tf.math.ndtri(uniform)
  return images * (1. + scale * tf.clip_by_value(noise, -2., 2.))


def split_seed(seed: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
  """Two independent seeds out of one.

  Args:
    seed: <int32>[2].

  Returns:
    Two <int32>[2].
  """
  first, second = tf.unstack(tf.random.experimental.stateless_split(
      seed, 2, alg=RANDOM_ALGORITHM))
  return first, second
