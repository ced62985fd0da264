"""Frames of one size and colour as frames of another."""

from typing import Any, Tuple

import numpy as np

from xtra_tf.errors import UsageError


def convert_frame(frame: np.ndarray, shape: Tuple[int, ...]) -> np.ndarray:
  """A frame in another resolution and colour.

  Grey becomes RGB by three equal channels, RGB becomes grey by ITU-R BT.601:

    grey = 0.299 R + 0.587 G + 0.114 B

  A smaller picture is made with the area filter, as in the preprocessing of
  Atari; a larger one bilinearly. What is left out cannot be had back.

  Args:
    frame: uint8[H, W, C], C = 1 (grey) or 3 (RGB).
    shape: [H', W', C'] that is wanted, C' = 1 or 3.

  Returns:
    uint8[H', W', C']; the frame itself where it has this shape already.

  Raises:
    ValueError: frames of another type or shape.
    UsageError: OpenCV is needed and not installed.
  """
  if (frame.dtype != np.uint8 or frame.ndim != 3 or len(shape) != 3
      or frame.shape[2] not in (1, 3) or shape[2] not in (1, 3)):
    raise ValueError('`frame` and `shape` must be uint8[H, W, 1] or [H, W, 3], '
                     f'got {frame.dtype}{list(frame.shape)} and {list(shape)}.')
  height, width, channels = shape
  if frame.shape[2] == 3 and channels == 1:
    frame = _opencv().cvtColor(frame, _opencv().COLOR_RGB2GRAY)[..., None]
  if frame.shape[:2] != (height, width):
    cv2 = _opencv()
    smaller = frame.shape[0] >= height and frame.shape[1] >= width
    frame = cv2.resize(
        frame, (width, height),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    ).reshape([height, width, frame.shape[2]])
  if frame.shape[2] == 1 and channels == 3:
    frame = np.repeat(frame, 3, axis=2)
  return frame


def _opencv() -> Any:
  try:
    import cv2
  except ImportError as error:
    raise UsageError(
        f'Converting frames needs OpenCV, which is not installed ({error}). '
        'Expected `pip install "xtra-tf[atari]"`, or frames left as they are.'
    ) from error
  return cv2
