"""From stored frames to what a world model takes.

Axes: B batch, S stacked frames, W rows of a replay window.
"""

from typing import List, Sequence

import tensorflow as tf


def scale_frames(x: tf.Tensor) -> tf.Tensor:
  """Bytes become numbers in [0, 1]; floats pass through.

  Args:
    x: <uint8 or float32>[...].

  Returns:
    <float32>[...].

  Raises:
    ValueError: for any other dtype.
  """
  if x.dtype == tf.uint8:
    return tf.cast(x, tf.float32) / 255.
  if x.dtype == tf.float32:
    return x
  raise ValueError(f'Frames must be uint8 or float32, got {x.dtype.name}.')


def stack_frames(frames: tf.Tensor) -> tf.Tensor:
  """Joins frames along the channels and scales them.

  Args:
    frames: <uint8 or float32>[B, S, *frame], oldest frame first; a frame is
      [H, W, C] or a vector [D].

  Returns:
    <float32>[B, H, W, S * C], the colours of a frame together; for vectors
    <float32>[B, S * D].

  Raises:
    ValueError: for a frame of another rank.
  """
  return join_frames(scale_frames(frames))


def join_frames(frames: tf.Tensor) -> tf.Tensor:
  """`stack_frames` without the scaling: <uint8 or float32>, as they are."""
  shape = frames.shape
  if shape.rank == 3:
    return tf.reshape(frames, [-1, shape[1] * shape[2]])
  if shape.rank == 5:
    by_pixel = tf.transpose(frames, [0, 2, 3, 1, 4])
    return tf.reshape(by_pixel, [-1, shape[2], shape[3], shape[1] * shape[4]])
  raise ValueError('A frame must be [H, W, C] or [D], got frames of shape '
                   f'{shape}.')


def window_stacks(observation: tf.Tensor, stack: int,
                  offsets: Sequence[int]) -> List[tf.Tensor]:
  """The stacked observations of some states of a replay window.

  Args:
    observation: <uint8 or float32>[B, W, *frame]; the anchor, state t, is row
      `stack - 1`.
    stack: frames in a stack, S.
    offsets: k >= 0 of the states t + k that are wanted; state t + k is made of
      rows k .. k + stack - 1.

  Returns:
    One <float32>[B, ...] for each offset, as `stack_frames` says.

  Raises:
    ValueError: if a state lies outside the window.
  """
  rows = observation.shape[1]
  for offset in offsets:
    if not 0 <= offset <= rows - stack:
      raise ValueError(f'A window of {rows} rows with stacks of {stack} has '
                       f'states 0..{rows - stack}, got {offset}.')
  return [stack_frames(observation[:, k:k + stack]) for k in offsets]
